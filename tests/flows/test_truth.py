"""The closing assertion itself: whatever an export tells wrongly about the phone, it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.flows.expected import Json, moment
from tests.flows.shop import Shop
from tests.flows.truth import differences

UNSHOWN: Final = {
    # what the phone does not know: our own names, states and decisions
    "inbox": {"kind", "portfolio_id", "name", "is_coexistence", "onboarded_at", "state_reason", "state_initiated_by",
              "sync"},
    "contact": {"kind"},
    "conversation": {"kind", "status", "unread_count"},
    "message": {"kind"},
}  # fmt: skip
"""The fields of each kind of line about which the phone says nothing."""


TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT.*Z")


async def filled(shop: Shop) -> tuple[list[Json], Json]:
    """A shop in which every field that a message can have is filled in."""
    chat = (await shop.tell("new-customer", text="Bom dia"))["chat"]
    asked = await shop.tell("customer/send", chat=chat, text="Vocês tem lavanda?")
    await shop.tell("customer/edit", message=asked["wamid"], text="Vocês têm lavanda?")
    answer = await shop.tell("owner/send", chat=chat, text="Temos sim", reply_to=asked["wamid"])
    await shop.tell("customer/react", message=answer["wamid"], emoji="👍")
    await shop.tell("owner/send", chat=chat, media="document", caption="O orçamento", forwarded=True)
    gone = await shop.tell("owner/send", chat=chat, text="ops")
    await shop.tell("owner/delete", message=gone["wamid"])
    for kind in ("location", "contacts", "order", "unsupported"):
        await shop.tell("customer/send", chat=chat, type=kind)
    form = {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"pots": 3}'}}
    await shop.tell("customer/send", chat=chat, type="interactive", content=form)
    return await shop.check(), await shop.look("truth")


def others(value: Any) -> Iterator[Any]:
    """Something else of the same kind: for an object, one with another value under one of its names."""
    match value:
        case dict():
            yield from ({**value, name: another} for name, inner in value.items() for another in others(inner))
        case list():
            yield value[1:] if value else ["x"]
        case bool():
            yield not value
        case int() | float():
            yield value + 1
        case str():
            yield moment(0) if TIME.fullmatch(value) else f"{value}x"
        case _:
            yield [{"code": 1}]


def tampered(lines: list[Json]) -> Iterator[tuple[str, list[Json]]]:
    """The export with one thing wrong, and what that is: every field, of the open conversation if it says anything."""
    is_open = next(line for line in lines if line["kind"] == "conversation" and line["window"]["open"])
    lines = sorted(lines, key=lambda line: (is_open["contact"] not in str(line), line.get("type") != "text"))
    fullest: dict[tuple[str, str], int] = {}
    for place, line in enumerate(lines):
        for name, value in line.items():
            known = fullest.setdefault((line["kind"], name), place)
            if value and not lines[known][name]:
                fullest[line["kind"], name] = place
    for (kind, name), place in fullest.items():
        for another in others(lines[place][name]) if name not in UNSHOWN[kind] else ():
            yield f"{kind}.{name} {another}", _with(lines, place, name, another)
    for kind in ("contact", "conversation", "message"):
        place = next(place for place, line in enumerate(lines) if line["kind"] == kind)
        yield f"{kind} left out", lines[:place] + lines[place + 1 :]
        yield f"{kind} doubled", [*lines, lines[place]]
    place = next(place for place, line in enumerate(lines) if line["kind"] == "message")
    here = lines[place]["conversation"]
    there = next(line["id"] for line in lines if line["kind"] == "conversation" and line["id"] != here)
    yield "a message in somebody else's conversation", _with(lines, place, "conversation", there)


def _with(lines: list[Json], place: int, name: str, value: Any) -> list[Json]:
    return [*lines[:place], {**lines[place], name: value}, *lines[place + 1 :]]


async def test_it_finds_whatever_is_wrong(shop: Shop) -> None:
    lines, truth = await filled(shop)
    assert differences(lines, truth) == []
    kinds = {line["kind"] for line in lines}
    assert kinds == UNSHOWN.keys()
    unseen = [what for what, changed in tampered(lines) if not differences(changed, truth)]
    assert unseen == []
