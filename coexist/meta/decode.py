"""From JSON to wire types, tolerantly: what cannot be read spoils itself and nothing beside it.

Two roads. The fast one decodes a whole object in one pass. When something is wrong in it, `read` mends its escapes,
or goes over the same object part by part, keeps all that is readable and says in ``flaw`` what is not.

Meta forwards what people type: PostgreSQL stores neither U+0000 nor half a surrogate pair, msgspec refuses the
latter. NULs are taken out of the whole body (`clean`), halves are found by msgspec and mended where they stand.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw

_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u....|.)", re.DOTALL)
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]..")


def clean(body: bytes) -> bytes:
    """The same JSON without U+0000, and in UTF-8. An ordinary body comes back untouched after a quick look."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            body = body.decode(errors="replace").encode()
    if b"\0" in body:
        body = body.replace(b"\0", b"")
    return mended(body) if b"u0000" in body else body


def mended(json: bytes) -> bytes:
    """The same JSON with U+0000 removed and U+FFFD for half surrogate pairs; all else as it was written."""
    return _ESCAPE.sub(_mended, json)


def _mended(escape: re.Match[bytes]) -> bytes:
    found = escape[0]
    if found == rb"\u0000":
        return b""
    return rb"\ufffd" if _HALF.fullmatch(found) else found


class Item(msgspec.Struct, gc=False):
    """A wire type. Every field is optional, for any may be missing; what is not named is passed over.

    ``flaw`` is no part of Meta's wire: `read` writes there what it could not use.
    """

    flaw: str | None = msgspec.field(default=None, name="~flaw")


K = TypeVar("K", bound=Item)


class _Decoders(dict[Any, msgspec.json.Decoder[Any]]):
    """One compiled decoder for each kind."""

    def __missing__(self, kind: Any) -> msgspec.json.Decoder[Any]:
        decoder = self[kind] = msgspec.json.Decoder(kind)
        return decoder


_decoders: Final = _Decoders()


def _decode(raw: bytes | Raw, kind: Any) -> Any:
    """`kind` out of `raw`, strictly. Raises ValueError (msgspec's DecodeError is one) or RecursionError."""
    return _decoders[kind].decode(raw)


def read(raw: bytes | Raw, kind: type[K]) -> K:
    """`kind` out of `raw`, with as much as is readable. Never raises; what was lost is told in ``flaw``."""
    try:
        item: K = _decoders[kind].decode(raw)
    except (ValueError, RecursionError):
        return _salvaged(mended(bytes(raw)), kind)
    return item


def _salvaged(raw: bytes, kind: type[K]) -> K:
    try:
        item: K = _decode(raw, kind)
    except (ValueError, RecursionError):
        pass
    else:
        return item  # only its escapes were wrong
    try:
        parts: dict[str, Raw] = _decode(raw, dict[str, Raw])
    except (ValueError, RecursionError) as error:
        return kind(flaw=str(error) or "empty")
    readable: dict[str, Any] = {}
    flaws: list[str] = []
    for field in msgspec.structs.fields(kind):
        part = parts.get(field.encode_name)
        if part is None:
            continue
        try:
            readable[field.name] = _part(part, field.type)
        except (ValueError, RecursionError) as error:
            flaws.append(f"{field.encode_name}: {error}")
    return kind(**readable, flaw="; ".join(flaws) or None)


def _part(raw: Raw, kind: Any) -> Any:
    """One field's value: a list of items is salvaged item by item, anything else must be right as a whole."""
    if get_origin(kind) is list:
        (item_kind,) = get_args(kind)
        if isinstance(item_kind, type) and issubclass(item_kind, Item):
            return [read(item, item_kind) for item in _decode(raw, list[Raw])]
    return _decode(raw, kind)


def read_list(raw: bytes | Raw, kind: type[K]) -> list[K]:
    """The items of an array, each with as much as is readable; a single object counts as an array of one."""
    try:
        items: list[Raw] = _decode(raw, list[Raw])
    except (ValueError, RecursionError):
        return [read(raw, kind)]
    return [read(item, kind) for item in items]


def members(raw: Raw) -> dict[Any, Raw]:
    """What is in an object by name, or in an array by index, undecoded; nothing for anything else."""
    json = mended(bytes(raw))
    try:
        if json.lstrip().startswith(b"["):
            return dict(enumerate(_decode(json, list[Raw])))
        named: dict[Any, Raw] = _decode(json, dict[str, Raw])
    except (ValueError, RecursionError):
        return {}
    return named


def unwrapped(body: bytes) -> list[Raw]:
    """The bodies in an array of bodies; any other body as the only one (section 10: some samples are wrapped)."""
    if not body.lstrip().startswith(b"["):
        return [Raw(body)]
    try:
        bodies: list[Raw] = _decode(body, list[Raw])
    except (ValueError, RecursionError):
        return [Raw(body)]
    return bodies or [Raw(body)]


def compact(raw: bytes | Raw) -> bytes:
    """The same JSON without spaces, fit for PostgreSQL; every number as it was written.

    What turns out to be no JSON (such parts are passed on undecoded) is kept as text: ``{"malformed":"…"}``.
    """
    json = mended(bytes(raw))
    try:
        return msgspec.json.format(json, indent=-1)
    except (ValueError, RecursionError):
        return msgspec.json.encode({"malformed": json.replace(b"\0", b"").decode(errors="replace")})


def given(raw: Raw) -> bool:
    """Whether a part was there at all: not missing, not null."""
    return bool(raw) and bytes(raw) != b"null"


def packed(**parts: Raw) -> bytes | None:
    """The given parts as one compact object keyed by their names; None when there is none."""
    members = [b'"%s":%s' % (name.encode(), bytes(raw)) for name, raw in parts.items() if given(raw)]
    return compact(b"{%s}" % b",".join(members)) if members else None


def merged(value: Raw, name: str, part: Raw) -> Raw:
    """An object with `part` added under `name`: for keys that stand beside the value they belong to."""
    try:
        parts: dict[str, Raw] = _decode(value, dict[str, Raw])
    except (ValueError, RecursionError):
        return value
    return Raw(msgspec.json.encode({name: part} | parts))
