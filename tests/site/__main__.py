"""Builds the site into build/documents/site (a warning is a failure), serves it, or takes the documents' pictures."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.site import pictures
from tests.site.pages import ROOT, gather

BUILD = ROOT / "build" / "documents"


def main(words: list[str]) -> int:
    """`[build | serve | pictures]`."""
    if words not in ([], ["build"], ["serve"], ["pictures"]):
        print("usage: python -m tests.site [build | serve | pictures]", file=sys.stderr)
        return 2
    if words == ["pictures"]:
        pictures.take_all()
        return 0
    shutil.rmtree(BUILD, ignore_errors=True)
    gather(BUILD / "pages")
    shutil.copyfile(ROOT / "tests" / "site" / "zensical.toml", BUILD / "zensical.toml")
    how = ["serve"] if words == ["serve"] else ["build", "--clean", "--strict"]
    done = subprocess.run([sys.executable, "-m", "zensical", *how], cwd=BUILD, check=False)
    if done.returncode == 0 and words != ["serve"]:
        print(f"site: {BUILD / 'site' / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
