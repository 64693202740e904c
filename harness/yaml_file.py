"""A YAML file decoded into a frozen type; what is wrong with it is said with file, line, key and a hint.

Scenarios and experiments are both read through here. It knows YAML and types, and nothing of what they mean: a rule
such as "a fault must end before the run does" belongs to the caller, who says it with `YamlFile.error`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec
import yaml
from msgspec import inspect as shapes

from harness.errors import InputError
from harness.input_file import read_input

T = TypeVar("T")
Keys: TypeAlias = tuple[str | int, ...]
"""The way to a value in a document: ("load", "fans") or ("faults", 2, "start_s")."""

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>.*)`")
_INVALID_VALUE = re.compile(r"Invalid (enum )?value (?P<value>.*)")
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<place>\$.*)`)?$", re.DOTALL)
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_SEGMENT = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 100
REPEATED_MAX: Final = 10_000
"""Values that aliases may stand for, each counted as often as it is referred to."""


class _BoundedLoader(yaml.SafeLoader):
    """Refuses what is nested deeper than `DEPTH_MAX` before its own recursion does."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth > DEPTH_MAX:
            problem = f"nested more than {DEPTH_MAX} levels deep"
            # types-PyYAML leaves this method of every loader untyped
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=cast(Any, self).peek_event().start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def value_of(text: str) -> object:
    """What a text is as a value of a file: a number, a list, a word. Raises InputError, without a place."""
    return YamlFile(Path(), text.encode("utf-8", "surrogatepass")).data if text.strip() else None


def load(path: Path, type: type[T]) -> T:
    """Read one YAML file into `type`. Raises InputError."""
    return YamlFile(path).decode(type)


class YamlFile:
    """One parsed YAML file that remembers on which line everything stands.

    `data` is the document as plain data. Raises InputError on anything that is not one well-formed document without
    repeated keys.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        """`content` null: what the file holds."""
        self.path = path
        self._root = self._compose(read_input(path, BYTES_MAX) if content is None else content)
        self._refuse_bad_nodes(self._root, (), frozenset())
        self.data: object = self._construct()

    def decode(self, type: type[T]) -> T:
        """Turn the document into `type`: strictly, and with nothing unknown in it."""
        try:
            return msgspec.convert(self.data, type)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), type) from None

    def line_of(self, *keys: str | int) -> int:
        """On which line (from 1) the key or list item stands; of what is absent, the line of its nearest parent."""
        node, line = self._root, self._root.start_mark.line + 1
        for key in keys:
            found = _child(node, key)
            if found is None:
                return line
            mark, node = found
            line = mark.line + 1
        return line

    def error(self, message: str, *keys: str | int, hint: str = "") -> InputError:
        """An error at this place of the file, for rules that a type cannot say."""
        return InputError(message, hint=hint, file=str(self.path), line=self.line_of(*keys), key=spell(keys) or None)

    def _compose(self, content: bytes) -> yaml.Node:
        try:
            root: yaml.Node | None = yaml.compose(content.decode("utf-8"), Loader=_BoundedLoader)
        except UnicodeDecodeError as error:
            raise InputError("is not UTF-8 text", file=str(self.path)) from error
        except yaml.YAMLError as error:
            raise self._syntax_error(error) from error
        if root is None:
            raise InputError("the file is empty", file=str(self.path))
        if not _is_bounded(root, {}):
            raise InputError("its aliases stand for too much", file=str(self.path), hint="write out what they mean")
        return root

    def _construct(self) -> object:
        loader = yaml.SafeLoader("")
        try:
            # types-PyYAML leaves this method of every loader untyped
            return cast(Any, loader).construct_document(self._root)
        except yaml.YAMLError as error:
            raise self._syntax_error(error) from error
        except ValueError as error:
            raise InputError(f"holds a value that is not one: {error}", file=str(self.path)) from error
        finally:
            loader.dispose()

    def _syntax_error(self, error: yaml.YAMLError) -> InputError:
        if not isinstance(error, yaml.MarkedYAMLError):
            return InputError("is not YAML text: it holds control characters", file=str(self.path))
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or error.context or "syntax error").split())
        line = mark.line + 1 if mark else None
        return InputError(f"not valid YAML: {problem}", file=str(self.path), line=line)

    def _refuse_bad_nodes(self, node: yaml.Node, keys: Keys, above: frozenset[int]) -> None:
        """Refuse repeated keys, numbers that are not finite, and aliases that contain themselves."""
        if id(node) in above:
            raise self.error("this alias contains itself", *keys)
        if isinstance(node, yaml.ScalarNode):
            self._refuse_bad_text(node, keys)
            if node.tag == "tag:yaml.org,2002:float":
                self._refuse_unbounded(node, keys)
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeats(node, keys)
        for key, child in _children(node):
            self._refuse_bad_nodes(child, (*keys, key), above | {id(node)})

    def _refuse_bad_text(self, node: yaml.ScalarNode, keys: Keys) -> None:
        """Escapes can write what no file name, no JSON and no UTF-8 can hold."""
        if bad := _UNUSABLE.search(node.value):
            raise self.error(f"holds the character U+{ord(bad[0]):04X}, which no text can hold", *keys)

    def _refuse_unbounded(self, node: yaml.ScalarNode, keys: Keys) -> None:
        text = node.value.lower().lstrip("+-.")
        if text in {"inf", "nan"}:
            raise self.error(f"expected a finite number, got {node.value}", *keys)

    def _refuse_repeats(self, node: yaml.MappingNode, keys: Keys) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                hint = f"first given on line {seen[key.value]}: keep one"
                raise InputError(
                    "key is given twice", hint=hint, file=str(self.path), line=line, key=spell((*keys, key.value))
                )
            seen[str(key.value)] = line

    def _explain(self, text: str, type: type[Any]) -> InputError:
        match = _PLACE.match(text)
        assert match is not None  # noqa: S101 - the pattern accepts every text
        keys = self._resolve(match["place"] or "$", text, type)
        what = match["what"]
        if unknown := _UNKNOWN_FIELD.fullmatch(what):
            shape = _shape_at(shapes.type_info(type), self.data, keys)
            return self.error("unknown key", *keys, unknown["name"], hint=suggest(unknown["name"], _names(shape)))
        if missing := _MISSING_FIELD.fullmatch(what):
            return self.error(f"the key {missing['name']!r} is missing", *keys)
        if invalid := _INVALID_VALUE.fullmatch(what):
            choices = _choices(_shape_at(shapes.type_info(type), self.data, keys[:-1]), str(keys[-1]) if keys else "")
            return self.error(f"cannot be {invalid['value']}", *keys, hint=suggest(invalid["value"], choices))
        return self.error(_in_plain_words(what), *keys, hint=_unit(str(keys[-1])) if keys and "`str`" in what else "")

    def _resolve(self, place: str, text: str, type: type[Any]) -> Keys:
        """msgspec's `$.load.fans` as keys. It writes `[...]` for "some value of this mapping": find out which."""
        keys: Keys = ()
        for segment in _SEGMENT.finditer(place):
            if segment["field"] is not None:
                keys = (*keys, segment["field"])
            elif segment["index"] is not None:
                keys = (*keys, int(segment["index"]))
            else:
                culprit = self._culprit(keys, text, type)
                if culprit is None:
                    return keys
                keys = (*keys, culprit)
        return keys

    def _culprit(self, keys: Keys, text: str, type: type[Any]) -> str | int | None:
        mapping = _value_at(self.data, keys)
        for key, value in mapping.items() if isinstance(mapping, dict) else ():
            try:
                msgspec.convert(_with_value(self.data, keys, {key: value}), type)
            except msgspec.ValidationError as error:
                if str(error) == text:
                    return cast("str | int", key)
        return None


def spell(keys: Keys) -> str:
    """Keys as people write them: `faults[2].start_s`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), value
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _child(node: yaml.Node, key: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if str(name.value) == str(key):
                return name.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark, node.value[key]
    return None


def _value_at(data: object, keys: Keys) -> object:
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int):
            data = data[key]
    return data


def _with_value(data: object, keys: Keys, value: object) -> object:
    """A copy of the document with another value at `keys`."""
    if not keys:
        return value
    first, rest = keys[0], keys[1:]
    if isinstance(data, dict):
        return {key: _with_value(old, rest, value) if key == first else old for key, old in data.items()}
    if isinstance(data, list):
        return [_with_value(old, rest, value) if at == first else old for at, old in enumerate(data)]
    return data


def _shape_at(shape: shapes.Type, data: object, keys: Keys) -> shapes.Type:
    """The declared type at `keys`; in a union of tagged structs, the one whose tag the document gives."""
    shape = _choose(shape, data)
    for key in keys:
        if isinstance(shape, shapes.StructType):
            shape = next((field.type for field in shape.fields if field.encode_name == key), shapes.AnyType())
        elif isinstance(shape, shapes.DictType):
            shape = shape.value_type
        elif isinstance(shape, shapes.VarTupleType | shapes.ListType):
            shape = shape.item_type
        data = _value_at(data, (key,))
        shape = _choose(shape, data)
    return shape


def _choose(shape: shapes.Type, data: object) -> shapes.Type:
    if not isinstance(shape, shapes.UnionType):
        return shape
    for option in shape.types:
        if not isinstance(option, shapes.StructType):
            continue
        if option.tag_field is None or (isinstance(data, dict) and data.get(option.tag_field) == option.tag):
            return option
    return shape


def mapping_at(type: type[Any], data: object, keys: Keys) -> tuple[dict[Any, Any], bool]:
    """What stands in the mapping at `keys` of a document that leaves it out, and whether its keys are numbers."""
    above = _shape_at(shapes.type_info(type), data, keys[:-1])
    shape = _shape_at(shapes.type_info(type), data, keys)
    fields = above.fields if keys and isinstance(above, shapes.StructType) else ()
    factory = next((field.default_factory for field in fields if field.encode_name == keys[-1]), dict)
    default: object = factory() if callable(factory) else {}
    numbered = isinstance(shape, shapes.DictType) and isinstance(shape.key_type, shapes.IntType)
    return (dict(default) if isinstance(default, dict) else {}), numbered


def _names(shape: shapes.Type) -> list[str]:
    if not isinstance(shape, shapes.StructType):
        return []
    return [field.encode_name for field in shape.fields]


def _choices(shape: shapes.Type, key: str) -> list[str]:
    """What may stand at `key`: the members of a literal or an enum, or the tags of a union."""
    if isinstance(shape, shapes.UnionType):
        return [str(option.tag) for option in shape.types if isinstance(option, shapes.StructType)]
    if isinstance(shape, shapes.StructType):
        shape = next((field.type for field in shape.fields if field.encode_name == key), shape)
    elif isinstance(shape, shapes.VarTupleType | shapes.ListType):
        shape = shape.item_type
    if isinstance(shape, shapes.LiteralType):
        return [str(value) for value in shape.values]
    if isinstance(shape, shapes.EnumType):
        return [str(member.value) for member in shape.cls]
    return []


def _is_bounded(root: yaml.Node, sizes: dict[int, tuple[int, int]]) -> bool:
    """Whether the document, its aliases written out, is not much larger than the file and not nested too deep."""
    size, depth = _size(root, sizes)
    return size <= len(sizes) + REPEATED_MAX and depth <= DEPTH_MAX + 1


def _size(node: yaml.Node, sizes: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """(nodes, levels) of what stands at and below a node, aliases written out; each node is visited once."""
    if id(node) not in sizes:
        sizes[id(node)] = (1, 1)  # while an alias of it is inside it; that is refused elsewhere
        parts = [_size(child, sizes) for pair in _pairs(node) for child in pair]
        sizes[id(node)] = (1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0))
    return sizes[id(node)]


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, ...]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value
    elif isinstance(node, yaml.SequenceNode):
        yield from ((child,) for child in node.value)


def suggest(name: str, known: Sequence[str]) -> str:
    """A hint for a name that is none of `known`: the nearest one, else all of them; "" when nothing is known."""
    if not known:
        return ""
    near = difflib.get_close_matches(name.strip("'"), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"


_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
          "object": "a mapping of keys", "null": "nothing"}  # fmt: skip


_UNITS: Final = {
    "_per_s": "per second",
    "_ms": "in milliseconds",
    "_s": "in seconds",
    "_bytes": "in bytes",
    "_ratio": "as a share from 0 to 1",
}


def _unit(key: str) -> str:
    """A hint for a figure that was written as text: its unit is in the name of its key."""
    unit = next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
    return f"write a number alone: {unit}" if unit else ""


def _in_plain_words(what: str) -> str:
    """`Expected `int`, got `str`` as a sentence for people."""
    text = re.sub(r"`([^`]*)`", lambda names: " or ".join(_WORDS.get(n, n) for n in names[1].split(" | ")), what)
    return text[:1].lower() + text[1:]
