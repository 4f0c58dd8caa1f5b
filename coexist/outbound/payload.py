"""The bodies that go to Graph's /messages. Pure. meta-protocol 7.1 and 7.2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from coexist.meta.model import OUR_REF_PREFIX

HAS_LINK: Final = re.compile(r"https?://", re.IGNORECASE)


def callback_data(our_ref: UUID) -> str:
    """Return what goes as ``biz_opaque_callback_data``, so that a status finds the message we sent."""
    return f"{OUR_REF_PREFIX}{our_ref}"


def recipient(peer: str, phone: str | None = None) -> dict[str, str]:
    """Return the fields that address a person: ``to`` for a phone, ``recipient`` for a BSUID (requirement F6).

    A phone goes with ``+`` and every digit as received: without ``+`` Meta may put the business's own country
    before it. A BSUID whose phone is known goes to that phone, which needs no feature of 2026.
    """
    number = peer if peer.isdigit() else phone
    return {"to": f"+{number}"} if number else {"recipient": peer}


def addressed_to(body: Mapping[str, Any]) -> str:
    """Return the id that a message goes to, as it was received: the other way round of ``recipient``."""
    return str(body.get("recipient") or body["to"]).removeprefix("+")


def message(
    peer: str,
    type_: str,
    part: Mapping[str, Any],
    our_ref: UUID,
    *,
    phone: str | None = None,
    reply_to: str | None = None,
) -> dict[str, Any]:
    """Return a message of ``type_``, whose object is ``part``; ``reply_to`` is the wamid of the message it quotes."""
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **recipient(peer, phone),
        "type": type_,
        type_: part,
        "biz_opaque_callback_data": callback_data(our_ref),
    }
    if reply_to is not None:
        body["context"] = {"message_id": reply_to}
    return body


def text(body: str) -> dict[str, Any]:
    """Return the object of a text message."""
    return {"body": body, "preview_url": HAS_LINK.search(body) is not None}


def template(name: str, language: str, components: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the object of a template message; a template without places has no components."""
    filled = {"components": list(components)} if components else {}
    return {"name": name, "language": {"code": language}, **filled}


def shape(value: object, name: str = "") -> list[str]:
    """Return what a payload is made of, for the log, without a word of it: ``text.body: 12 characters``."""
    match value:
        case dict():
            return [line for key, part in value.items() for line in shape(part, f"{name}.{key}" if name else str(key))]
        case list():
            return [line for place, part in enumerate(value) for line in shape(part, f"{name}[{place}]")]
        case str():
            return [f"{name}: {len(value)} characters"]
    return [f"{name}: {type(value).__name__}"]
