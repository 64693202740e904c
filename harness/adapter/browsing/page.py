"""An answer as a fan sees it: text, elements, forms, JSON. It is read only as far as an adapter asks for it."""

from __future__ import annotations

import codecs
import re
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from csv import DictReader
from csv import Error as CsvError
from io import StringIO
from typing import Any, Final, Literal, TypeVar

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from harness.adapter.browsing.site import joined
from harness.adapter.errors import NoAnswer
from harness.swarm.client.documents import decode
from harness.swarm.client.types import Response

T = TypeVar("T")
Fields = list[tuple[str, str]]

_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DELIMITERS: Final = (",", ";", "\t")
_QUOTED: Final = re.compile(r'"[^"]*"')
_META_BYTES: Final = 1024
_TEXT_SHOWN: Final = 200
_GZIP_OR_ZLIB: Final = 47
_HTML_CHARACTERS_MAX: Final = 8 * 1024 * 1024
_TAGS_FREE: Final = 2000
_TAG_CHARACTERS_MAX: Final = 65_536
_DEPTH_MAX: Final = 2000  # browsers show 512 levels
_find_tags: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)").findall
_has_endless_tag: Final = re.compile(r"<[a-zA-Z][^<>]{65536}").search
_ENDS_BY_ITSELF: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
    | {"li", "p", "dt", "dd", "option", "optgroup", "td", "th", "tr", "tbody", "thead", "tfoot", "colgroup"}
)
_COMPLAINTS: Final = ".error, .errors, .errorlist, .alert-danger, .alert-error, .invalid-feedback, [role=alert]"
"""Where pages usually say what is wrong."""
_MAIN_PART: Final = "main, [role=main], #main, #content"
_NOT_MAIN: Final = ("script", "style", "template", "noscript", "head", "header", "nav", "footer", "aside", "select")
_BUTTONS: Final = frozenset({"submit", "image"})
_NEVER_SENT: Final = frozenset({"submit", "image", "button", "reset", "file"})


_ACCEPTED: Final = 202
_REFRESH: Final = 'meta[http-equiv="refresh" i]'
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,'\u2019\u00a0\u202f ]\d{3})+(?!\d)|\d+")
_SUM: Final = re.compile(r"\d(?:[\d.,'\u2019\u00a0\u202f ]*\d)?")
_DECIMALS: Final = re.compile(r"[.,](\d{1,2})$")


def whole_number(text: str) -> int | None:
    """The first whole number of a text, in which thousands may be set apart; null: none."""
    found = _GROUPED.search(text)
    return int(re.sub(r"\D", "", found[0])) if found else None


def money_cents(text: str) -> int | None:
    """The first sum of a text, with decimals or without; null: there is none."""
    found = _SUM.search(text)
    if found is None:
        return None
    decimals = _DECIMALS.search(found[0])
    whole = found[0][: decimals.start()] if decimals else found[0]
    return int(re.sub(r"\D", "", whole)) * 100 + (int(decimals[1].ljust(2, "0")) if decimals else 0)


def _matched(search: Callable[[str], T], selector: str) -> T:
    """What a search by it finds. Raises ValueError with the selector, where it is none."""
    try:
        return search(selector)
    except SelectolaxError:
        raise ValueError(f"{selector!r} is no CSS selector") from None


class _Searched(ABC):
    """What can be searched by CSS selectors: a page, or an element of one."""

    __slots__ = ()

    @property
    @abstractmethod
    def _searched(self) -> LexborNode | LexborHTMLParser: ...

    def find(self, selector: str) -> Element | None:
        """The first element in it that this CSS selector matches; null: none."""
        node = _matched(self._searched.css_first, selector)
        return None if node is None else Element(node)

    def select(self, selector: str) -> list[Element]:
        """All elements in it that the selector matches."""
        return [Element(node) for node in _matched(self._searched.css, selector)]

    def number(self, selector: str) -> int | None:
        """The first whole number of an element in it, "1,045 left" is 1045; null: no such element or number."""
        found = self.find(selector)
        return whole_number(found.text) if found is not None else None

    def cents(self, selector: str) -> int | None:
        """The first sum of an element in it, "1,045.00 EUR" is 104500; null: there is no such element or sum."""
        found = self.find(selector)
        return money_cents(found.text) if found is not None else None


class Element(_Searched):
    """One element of a page."""

    __slots__ = ("_node",)

    def __init__(self, node: LexborNode) -> None:
        self._node = node

    @property
    def tag(self) -> str:
        """Its name in lower case."""
        return self._node.tag or ""

    @property
    def text(self) -> str:
        """All text in it, with single spaces."""
        return " ".join(self._node.text(deep=True, separator=" ").split())

    def get(self, name: str, default: str = "") -> str:
        """An attribute; "" for one without a value."""
        attributes = self._node.attributes
        return (attributes[name] or "") if name in attributes else default

    def __getitem__(self, name: str) -> str:
        if name not in self._node.attributes:
            raise NoAnswer("protocol", detail=f"<{self.tag}> has no attribute {name}")
        return self.get(name)

    @property
    def _searched(self) -> LexborNode:
        return self._node

    @property
    def marks(self) -> list[str]:
        """What its attributes say, word by word: classes, codes, ids."""
        return [word for value in self._node.attributes.values() for word in (value or "").split()]


class Form(msgspec.Struct, frozen=True):
    """A form as the browser would send it when its first button is pressed. `fields` in the order of the page."""

    url: str
    method: Literal["GET", "POST"]
    fields: tuple[tuple[str, str], ...]
    page_url: str
    multipart: bool = False

    def get(self, name: str) -> str | None:
        """The value of a field; null when the form has none of that name."""
        return next((value for key, value in self.fields if key == name), None)

    def filled(self, changes: dict[str, object]) -> Fields:
        """The fields with these values; null takes a field out, a list gives one field several values."""
        wanted = {name: _values(value) for name, value in changes.items()}
        placed: set[str] = set()
        fields: Fields = []
        for name, value in self.fields:
            if name not in wanted:
                fields.append((name, value))
            elif name not in placed:
                placed.add(name)
                fields += [(name, one) for one in wanted[name]]
        return fields + [(name, one) for name in wanted if name not in placed for one in wanted[name]]


class Page(_Searched):
    """What a request was answered with, after its redirects. `url`: where it came from in the end."""

    __slots__ = ("_body", "_body_bytes_max", "_response", "_text", "_tree", "asked", "headers_sent", "url")

    def __init__(self, url: str, asked: str, response: Response, body_bytes_max: int) -> None:
        self.url = url
        self.asked = asked  # "GET /shop/cart", for messages
        self.headers_sent: Mapping[str, str] = {}  # those that the adapter gave
        self._response = response
        self._body_bytes_max = body_bytes_max
        self._body: bytes | None = None
        self._text: str | None = None
        self._tree: LexborHTMLParser | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def retry_after_s(self) -> float | None:
        """How long the platform wants to be left alone."""
        return self._response.retry_after_s

    @property
    def t_end_s(self) -> float:
        """When its last byte was here, on this process's monotonic clock."""
        return self._response.t_end_s

    def header(self, name: str) -> str:
        """A header field, "" when there is none."""
        return self._response.header(name)

    @property
    def body(self) -> bytes:
        """The body without its content coding."""
        if self._body is None:
            self._body = self._decoded()
        return self._body

    @property
    def text(self) -> str:
        """The body as text: in the charset of its byte order mark, of its header or of the page itself, else UTF-8."""
        if self._text is None:
            self._text = self._read_text()
        return self._text

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """The body as JSON."""
        try:
            return decode(self.body, object)
        except msgspec.DecodeError:
            raise self._misread("is not JSON") from None

    def read(self, kind: type[T]) -> T:
        """The body as JSON of that shape, usually a `msgspec.Struct`."""
        try:
            return decode(self.body, kind)
        except msgspec.DecodeError as error:
            raise self._misread(f"is not what was expected: {error}") from None

    def need(self, selector: str) -> Element:
        """The first element that it matches. Without one the verb ends as "protocol": this is another page."""
        found = self.find(selector)
        if found is None:
            raise self._misread(f"has no {selector}")
        return found

    @property
    def _searched(self) -> LexborHTMLParser:
        return self.tree

    def complaint(self, where: str) -> tuple[list[str], str] | None:
        """What it complains of, as codes and as text: by a CSS selector, of JSON under a key; null: it does not."""
        if self.text.lstrip().startswith(("{", "[")):
            told = self.json.get(where) if isinstance(self.json, dict) else None
            return (_texts_of(told), " ".join(_texts_of(told))) if told else None
        found = self.find(where)
        return (found.marks, found.text) if found is not None else None

    @property
    def csv(self) -> list[dict[str, str]]:
        """The body as CSV: of each row its values, by the names in the first line. Between them is a comma, a semicolon
        or a tab, as the first line has it."""
        text = self.text.lstrip("\r\n")
        first = _QUOTED.sub("", text.partition("\n")[0])
        delimiter = max(_DELIMITERS, key=first.count)
        try:
            rows = list(DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except CsvError as error:  # else a quotation mark that is left open would swallow the rows after it
            raise self._misread(f"is no CSV: {error}") from None
        return [_Row(row, self._misread) for row in rows]

    @property
    def is_working(self) -> bool:
        """Whether it asks to be loaded again, because something is still being done."""
        return self.status == _ACCEPTED or self.find(_REFRESH) is not None

    def form(self, selector: str = "form") -> Form:
        """The form that it matches, or the one around what it matches. Hidden fields and tokens are in it."""
        node = _matched(self.tree.css_first, selector)
        while node is not None and node.tag != "form":
            node = node.parent
        if node is None:
            raise self._misread(f"has no form {selector}")
        attributes = node.attributes
        method: Literal["GET", "POST"] = "POST" if (attributes.get("method") or "").lower() == "post" else "GET"
        return Form(
            url=self.link(attributes.get("action") or ""),
            method=method,
            fields=tuple(_fields(self._controls(node))),
            page_url=self.url,
            multipart=(attributes.get("enctype") or "").lower() == "multipart/form-data",
        )

    def link(self, href: str) -> str:
        """The whole address of a link of this page."""
        if "<base" in self.text[: _META_BYTES * 4] and (base := self.find("base[href]")):
            return joined(joined(self.url, base.get("href")), href)
        return joined(self.url, href)

    @property
    def tree(self) -> LexborHTMLParser:
        """The parsed page. One that a browser could not show either, `NoAnswer` "too_large", is not parsed."""
        if self._tree is None:
            if why := _unparsable(self.text):
                raise NoAnswer("too_large", detail=f"{self.asked}: {why}", status=self.status)
            self._tree = LexborHTMLParser(self.text)
        return self._tree

    def __repr__(self) -> str:
        return f"<Page {self.asked} {self.status}>"

    def excerpt(self, characters: int = _TEXT_SHOWN) -> str:
        """What it says, on one line, for messages: title, what it complains of, and its main part."""
        try:
            text = self.text
            if "<" in text[:_META_BYTES]:
                text = " · ".join(dict.fromkeys(filter(None, map(_on_one_line, self._parts()))))
        except NoAnswer as failure:
            text = str(failure)
        line = _on_one_line(text)
        return line if len(line) <= characters else f"{line[:characters]}…"

    def _parts(self) -> Iterator[str]:
        """Its title, its complaints, and its main part: without menus, where nothing is marked as the main part."""
        title = self.tree.css_first("title")
        yield title.text() if title is not None else ""
        yield " ".join(dict.fromkeys(_on_one_line(node.text(separator=" ")) for node in self.tree.css(_COMPLAINTS)))
        main = self.tree.css_first(_MAIN_PART)
        if main is None and (body := LexborHTMLParser(self.text).body) is not None:
            body.strip_tags(list(_NOT_MAIN))
            main = body
        yield main.text(separator=" ") if main is not None else ""

    def _controls(self, form: LexborNode) -> list[LexborNode]:
        controls = form.css("input, select, textarea, button")
        name = form.attributes.get("id")
        if name and "form=" in self.text:
            inside = {control.mem_id for control in controls}
            every = self.tree.css("input, select, textarea, button")
            controls = [one for one in every if one.mem_id in inside or one.attributes.get("form") == name]
        return controls

    def _decoded(self) -> bytes:
        raw = self._response.body
        coding = self._response.header("content-encoding").strip().lower()
        if coding in ("", "identity") or not raw:
            return raw
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise self._misread(f"came as {coding}, which was not asked for")
        try:
            return _inflated(raw, _GZIP_OR_ZLIB, self._body_bytes_max)
        except zlib.error:
            if coding != "deflate":
                raise self._misread("is no gzip") from None
        try:
            return _inflated(raw, -zlib.MAX_WBITS, self._body_bytes_max)
        except zlib.error:
            raise self._misread("is no deflate") from None

    def _read_text(self) -> str:
        body = self.body
        for mark, charset in _BYTE_ORDER_MARKS:
            if body.startswith(mark):
                return body[len(mark) :].decode(charset, "replace")
        named = _CHARSET.search(self._response.header("content-type").encode("latin-1"))
        told = named or _CHARSET.search(body[:_META_BYTES])
        if told is not None:
            try:
                return body.decode(told[1].decode("ascii"), "replace")
            except (LookupError, UnicodeError):  # unknown, or a codec that is no charset
                pass
        return body.decode("utf-8", "replace")

    def _misread(self, what: str) -> NoAnswer:
        shown = "" if "came as" in what or "gzip" in what or "deflate" in what else f"; it says: {self.excerpt()}"
        return NoAnswer("protocol", detail=f"{self.asked} (status {self.status}) {what}{shown}", status=self.status)


class _Row(dict[str, str]):
    """One row of a CSV file. A column that is not there, or that a row ends before, is said with those that are."""

    def __init__(self, values: Mapping[str | None, str | None], misread: Callable[[str], NoAnswer]) -> None:
        super().__init__({name: value for name, value in values.items() if name is not None and value is not None})
        self._misread = misread

    def __missing__(self, name: str) -> str:
        raise self._misread(f"has no column {name!r}: it has {', '.join(map(repr, self))}")


def _texts_of(told: object) -> list[str]:
    """The texts in a JSON value."""
    if isinstance(told, dict | list):
        return [text for one in (told.values() if isinstance(told, dict) else told) for text in _texts_of(one)]
    return [str(told)]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _unparsable(text: str) -> str:
    """Why it would take the parser too long, whose time grows with the square of a page's depth; "" for a page."""
    if len(text) > _HTML_CHARACTERS_MAX:
        return f"a page of {len(text):,} characters"
    if text.count("<") <= _TAGS_FREE and len(text) <= _TAG_CHARACTERS_MAX:
        return ""
    if _has_endless_tag(text):
        return f"a tag of more than {_TAG_CHARACTERS_MAX:,} characters"
    deepest = _depth_of(text)
    return f"elements nested {deepest:,} deep" if deepest > _DEPTH_MAX else ""


def _depth_of(text: str) -> int:
    """How deep its elements are nested, at most; those whose end a page may leave out do not count."""
    opened: Counter[str] = Counter()
    depth = deepest = 0
    for closing, name in _find_tags(text.lower()):
        if name in _ENDS_BY_ITSELF:
            continue
        if not closing:
            opened[name] += 1
            depth += 1
            deepest = max(deepest, depth)
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    return deepest


def _inflated(raw: bytes, wbits: int, bytes_max: int) -> bytes:
    """All members of it. Raises `zlib.error`, and `NoAnswer` for more than `bytes_max`."""
    parts: list[bytes] = []
    size = 0
    while raw:
        decoder = zlib.decompressobj(wbits)
        parts.append(decoder.decompress(raw, bytes_max + 1 - size))
        size += len(parts[-1])
        if size > bytes_max:
            raise NoAnswer("too_large", detail=f"an encoded body holds more than {bytes_max} bytes")
        if not decoder.eof:
            raise zlib.error("it was cut")
        raw = decoder.unused_data
    return b"".join(parts)


def _values(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [str(value)]


def _fields(controls: list[LexborNode]) -> Iterator[tuple[str, str]]:
    """What the browser sends of these controls (HTML standard, "constructing the entry list")."""
    pressed = False
    for control in controls:
        attributes = control.attributes
        kind = (attributes.get("type") or "").lower()
        is_button = (control.tag == "button" and kind in ("", "submit")) or (
            control.tag == "input" and kind in _BUTTONS
        )
        first_button, pressed = is_button and not pressed, pressed or is_button
        name = attributes.get("name")
        if not name or "disabled" in attributes or _is_switched_off(control):
            continue
        if control.tag == "select":
            yield from ((name, value) for value in _chosen(control))
        elif control.tag == "textarea":
            yield name, _lines(control.text(deep=True))
        elif is_button:
            if first_button:
                yield name, attributes.get("value") or ""
        elif control.tag == "input" and kind not in _NEVER_SENT:
            ticks = kind in ("checkbox", "radio")
            if not ticks or "checked" in attributes:
                yield name, attributes.get("value") or ("on" if ticks and "value" not in attributes else "")


def _is_switched_off(control: LexborNode) -> bool:
    """Whether it lies in a disabled fieldset."""
    node = control.parent
    while node is not None and node.tag != "form":
        if node.tag == "fieldset" and "disabled" in node.attributes:
            return True
        node = node.parent
    return False


def _chosen(select: LexborNode) -> list[str]:
    options = [option for option in select.css("option") if "disabled" not in option.attributes]
    chosen = [option for option in options if "selected" in option.attributes]
    if "multiple" not in select.attributes:
        chosen = chosen[-1:] or options[:1]
    return [_value_of(option) for option in chosen]


def _value_of(option: LexborNode) -> str:
    value = option.attributes.get("value")
    return " ".join(option.text().split()) if value is None and "value" not in option.attributes else value or ""


def _lines(text: str) -> str:
    text = text.removeprefix("\n")
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
