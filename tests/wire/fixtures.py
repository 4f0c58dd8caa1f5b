"""The fixtures of this folder: ``<field>/<variant>.json``, one payload each with all that it must tell.

A file holds ``about`` (why it exists), ``proves`` (requirement ids), either ``value`` (put into the usual envelope,
under the field that the folder is named after, with the ``entry`` keys if there are any) or a whole ``body``, and
what is expected: ``facts``, ``problems`` and ``ignored`` in the form that `compact` gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from coexist.meta.model import Fact, Parsed

FOLDER = Path(__file__).parent
RECEIVED_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OUR_NUMBER = "555100020003000"
USUAL_PLACE = "entry[0].changes[0]"


def fixtures() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every fixture by its name, ``messages/text``."""
    for path in sorted(FOLDER.glob("*/*.json")):
        yield f"{path.parent.name}/{path.stem}", json.loads(path.read_text("utf-8"))


def body_of(name: str, fixture: dict[str, Any]) -> bytes:
    """The bytes as Meta sends them: what is not ASCII is escaped."""
    if "body" in fixture:
        return json.dumps(fixture["body"], separators=(",", ":")).encode()
    change = {"field": name.split("/")[0], "value": fixture["value"]}
    entry = {"id": "701122334455667"} | fixture.get("entry", {}) | {"changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":")).encode()


def handling(fixture: dict[str, Any]) -> str:
    """What becomes of a fixture's payload, in the words of docs/webhooks.md; several where its items differ."""
    facts = [fact["fact"] for fact in fixture["facts"]]
    words = {
        "handled": any(fact != "NoticeGiven" for fact in facts),
        "kept": "NoticeGiven" in facts,
        "ignored": "ignored" in fixture,
        "quarantined": "problems" in fixture,
    }
    return ", ".join(word for word, is_so in words.items() if is_so)


def compact(parsed: Parsed) -> dict[str, Any]:
    """What was told, without what is usual: defaults, our own number, the first change of the first entry."""
    told: dict[str, Any] = {"facts": [_fact(fact) for fact in parsed.facts]}
    if parsed.problems:
        told["problems"] = {_place(problem.part): problem.error for problem in parsed.problems}
    if parsed.ignored:
        told["ignored"] = parsed.ignored
    return told


def _fact(fact: Fact) -> dict[str, Any]:
    told: dict[str, Any] = {"fact": type(fact).__name__, "part": _place(fact.part)}
    for field in msgspec.structs.fields(fact):
        value = getattr(fact, field.name)
        is_usual = value == field.default or value is None or (field.name, value) == ("phone_number_id", OUR_NUMBER)
        if not is_usual and field.name not in ("part", "journal_id"):
            told[field.name] = _value(value)
    return told


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return json.loads(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, msgspec.Struct):
        members = {field.name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        return {name: member for name, member in members.items() if member not in (None, False)}
    return value


def _place(part: str) -> str:
    return part.removeprefix(f"{USUAL_PLACE}.")
