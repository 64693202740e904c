"""pause_replay, cut_replication: the replica answers with data that grows older."""

from __future__ import annotations

import msgspec

from chaos.faults.tools import ChangedHands, Gone, Tools
from chaos.injectors import postgres
from chaos.injectors.postgres import PostgresProblem
from chaos.injectors.process import family
from chaos.specification.fault import CutReplication, PauseReplay
from harness.errors import EnvironmentProblem
from harness.processes.identity import Identity


class _Undo(msgspec.Struct, frozen=True):
    """What both inverses know: the server's DSN (with a password), its identity, and the process owning the stack."""

    server: str
    dsn: str
    cluster: str
    owner: Identity

    def require_same(self) -> None:
        """Raises Gone, ChangedHands, PostgresProblem."""
        try:
            found = postgres.identity(self.dsn)
        except PostgresProblem as problem:
            if problem.refused and not self.owner.alive:
                raise Gone(f"the stack of {self.server} is gone") from problem
            raise
        if found != self.cluster:
            raise ChangedHands(f"another database cluster answers for {self.server} now")


class ResumeReplay(_Undo, frozen=True, tag="resume_replay", tag_field="inverse"):
    """The inverse of pause_replay."""

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"resume WAL replay on {self.server}"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises PostgresProblem, ChangedHands, Gone."""
        self.require_same()
        if postgres.is_replica(self.dsn):
            postgres.resume_replay(self.dsn)


class Reconnect(_Undo, frozen=True, tag="reconnect", tag_field="inverse"):
    """The inverse of cut_replication: give the replica exactly the connection that it had."""

    upstream: str

    @property
    def what(self) -> str:
        """What undoing does, in a line for people. The connection, which has a password, is left out."""
        return f"let {self.server} follow its primary again"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises PostgresProblem, ChangedHands, Gone."""
        self.require_same()
        now = postgres.upstream(self.dsn)
        if now not in {"", self.upstream}:
            raise ChangedHands(f"{self.server} was told to follow another primary meanwhile")
        postgres.set_upstream(self.dsn, self.upstream)  # also when the setting is there: the reload may be missing


def inverse_of_pause(fault: PauseReplay, tools: Tools) -> ResumeReplay:
    """The inverse of pausing the replay. Raises EnvironmentProblem for a server that is no replica or is paused
    already.
    """
    dsn, owner = _replica(fault.server, tools)
    if postgres.is_replay_paused(dsn):
        raise EnvironmentProblem(f"replay on {fault.server} is paused already", hint="resume it first")
    return ResumeReplay(fault.server, dsn, postgres.identity(dsn), owner)


def inverse_of_cut(fault: CutReplication, tools: Tools) -> Reconnect:
    """The inverse of the cut. Raises EnvironmentProblem for a server that is no replica or follows no primary."""
    dsn, owner = _replica(fault.server, tools)
    upstream = postgres.upstream(dsn)
    if not upstream:
        raise EnvironmentProblem(f"{fault.server} follows no primary", hint="set its primary_conninfo first")
    return Reconnect(fault.server, dsn, postgres.identity(dsn), owner, upstream)


def pause(inverse: ResumeReplay) -> dict[str, float]:
    """Do it. Returns what was measured: nothing, the canary does."""
    postgres.pause_replay(inverse.dsn)
    return {}


def cut(inverse: Reconnect) -> dict[str, float]:
    """Do it. Returns what was measured: nothing, the canary does."""
    postgres.set_upstream(inverse.dsn, "")
    return {}


def _replica(server: str, tools: Tools) -> tuple[str, Identity]:
    dsn = tools.stack_control.postgres_dsn(server)
    if not postgres.is_replica(dsn):
        raise EnvironmentProblem(f"{server} is no replica", hint="name one that is")
    return dsn, family(tools.stack_control.owner_pid)[0]
