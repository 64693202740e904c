"""The extension for Chaos Toolkit: its actions and probes (`module: chaos.toolkit`), and export and import of files.

    inject(experiment, platform, length_s)   break it; leased like every fault of ours       (action)
    heal(experiment)                         undo it now, wait until that is seen            (action)
    drill(experiment, out)                   a whole `gatecrash drill`, load and all         (action)
    canary(spec, platform)                   one probe at a dependency: ok, or an error      (probe)
    metric(metric, compare, value, …)        a steady state of the platform, or an error     (probe)
    proven()                                 everything injected was effective and is healed (probe)
    expectation(experiment, name)            "not yet", "met: …", "missed: …", …             (probe)
    verdict(experiment)                      of a drill: "not yet", "READY: …", …            (probe)

Chaos Toolkit ends with exit code 0 when an action failed, so a file without `proven` in its hypothesis proves nothing.
Whatever fails here is raised: in a hypothesis that fails the experiment, whereas a first look at a hypothesis that is
only out of tolerance skips the method and still ends with exit code 0.
"""

from chaos.toolkit.actions import drill, heal, inject
from chaos.toolkit.probes import canary, expectation, metric, proven, verdict

__all__ = ["canary", "drill", "expectation", "heal", "inject", "metric", "proven", "verdict"]
