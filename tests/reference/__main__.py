"""Writes every page anew."""

from tests.reference.pages import PAGES

for path, render in PAGES.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(), encoding="utf-8")
