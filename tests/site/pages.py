"""The pages of the site: those of docs/, and the documents that live elsewhere in the repository.

Links are written for readers of the repository. On the site a link to another page leads to that page; what is no page
(code, a scenario) is named and not linked.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Final

from tests.site.diagrams import drawn

ROOT: Final = Path(__file__).parents[2]
ELSEWHERE: Final = {
    "README.md": "project/readme.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "target/README.md": "explanation/reference-system.md",
}
"""Document of the repository → its page."""
_LINK: Final = re.compile(r"\[([^\]\n]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def gather(folder: Path) -> list[str]:
    """Write all pages below the folder, with links that lead on the site. Returns their paths."""
    pages = {**{f"docs/{path}": path for path in _documents()}, **ELSEWHERE}
    for source, page in pages.items():
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (ROOT / source).read_text(encoding="utf-8")
            target.write_text(drawn(relinked(text, source, pages), target), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, target)
    return list(pages.values())


def relinked(text: str, source: str, pages: dict[str, str]) -> str:
    """The text of the document `source`, with the links of its page."""
    here = PurePosixPath(pages[source]).parent

    def link(found: re.Match[str]) -> str:
        words, path, anchor = found[1], found[2], found[3] or ""
        meant = os.path.normpath(PurePosixPath(source).parent / path)
        if meant in pages:
            return f"[{words}]({os.path.relpath(pages[meant], here)}{anchor})"
        return words if words.startswith("`") else f"{words} (`{meant}`)"

    return _LINK.sub(link, text)


def _documents() -> list[str]:
    docs = ROOT / "docs"
    return sorted(str(path.relative_to(docs)) for path in docs.rglob("*") if path.is_file())
