"""Reads a page as a browser would, far enough to say what is wrong with it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input", "col"}
RESOURCES = {"src", "srcset", "data", "poster", "action", "xlink:href", "formaction"}


class Page(HTMLParser):
    """`problems` lists what is not well-formed; `words` is the visible text; `resources` what a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.resources: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self._words: list[str] = []
        self.feed(html)
        self.close()
        self.problems += [f"never closed: {tag}" for tag in self.open]
        self.words = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]} at {self.getpos()}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self._words.append(data)

    def _see(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        self.problems += [f"{name} twice on {tag}" for name in set(names) if names.count(name) > 1]
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in RESOURCES or (name == "href" and tag in {"link", "use", "image"}):
                self.resources.append(value or "")
            if name == "href" and tag == "a":
                self.targets.append(value or "")
