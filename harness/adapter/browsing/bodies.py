"""Bodies of requests: urlencoded, JSON, multipart. Each with its Content-Type line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec
from urllib3.filepost import encode_multipart_formdata

Data = Mapping[str, object] | Sequence[tuple[str, object]]
File = tuple[str, bytes, str]
"""Name, content, content type."""

_FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
_JSON = b"Content-Type: application/json\r\n"
_encode = msgspec.json.Encoder().encode


def body_of(
    data: Data | bytes | None, json: object, files: Mapping[str, File] | None, *, multipart: bool = False
) -> tuple[bytes, bytes]:
    """Content-Type line and body. At most one of `data` and `json` is given; `files` come with `data`."""
    if json is not None:
        return _JSON, _encode(json)
    if isinstance(data, bytes):
        return b"", data
    pairs = _pairs(data or ())
    if files or multipart:
        parts: list[tuple[str, str | File]] = [*pairs, *(files or {}).items()]
        body, kind = encode_multipart_formdata(parts)
        return f"Content-Type: {kind}\r\n".encode(), body
    return _FORM, urlencode(pairs).encode()


def _pairs(data: Data) -> list[tuple[str, str]]:
    items = data.items() if isinstance(data, Mapping) else data
    pairs: list[tuple[str, str]] = []
    for name, value in items:
        values = value if isinstance(value, list | tuple) else (value,)
        pairs += [(name, str(one)) for one in values if one is not None]
    return pairs
