"""`python -m tests.supply check|licences|sbom [FILE]`: what gatecrash is made of, told without a network.

    check     the locks pin everything by version and hash, agree with the project and with what is installed,
              and every licence is accepted
    licences  package, version and licence of each that is needed at run time
    sbom      the parts list (CycloneDX), into FILE or on stdout

Known vulnerabilities cannot be told without a network: `make audit` asks for them. Nor can whether a version was
withdrawn from the index; a lock goes on installing what its hashes say.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from tests.supply.licences import is_accepted, table
from tests.supply.lock import DEV_LOCK, LOCK, ROOT, LockError, pins, problems
from tests.supply.sbom import SbomError, sbom


def main(arguments: list[str]) -> int:
    """Do what is asked for; returns 1 for what is not as it must be, 2 for a request that is none."""
    match arguments:
        case ["check"]:
            return _check()
        case ["licences"]:
            for row in table(pins(LOCK.read_text())):
                print("  ".join(f"{cell:<28}" for cell in row).rstrip())
            return 0
        case ["sbom", *rest] if len(rest) <= 1:
            return _sbom(Path(rest[0]) if rest else None)
    print(__doc__, file=sys.stderr)
    return 2


def _check() -> int:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    try:
        lock, dev = pins(LOCK.read_text()), pins(DEV_LOCK.read_text())
    except LockError as error:
        print(error)
        return 1
    found = list(problems(lock, dev, wanted))
    found += [
        f"{name}: the licence {text or '(none)'} is not accepted"
        for name, _, text in table(lock)
        if not is_accepted(text)
    ]
    print(
        "\n".join(found) or f"{len(lock)} packages at run time, {len(dev)} with the tools: pinned, installed, licensed"
    )
    return int(bool(found))


def _sbom(to: Path | None) -> int:
    try:
        written = sbom(pins(LOCK.read_text()))
    except (LockError, SbomError) as error:
        print(error)
        return 1
    if to is None:
        print(written, end="")
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(written)
        print(f"{to}: {len(written):,} bytes, valid CycloneDX 1.6", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
