"""Private people in deliveries: every trace of them goes, everything of others stays as it was sent."""

import json
from typing import Any

import msgspec
import pytest

from coexist.meta.model import MessageTold
from coexist.meta.parse import facts_of
from coexist.meta.phones import match_key
from coexist.meta.private import Redaction, redact
from tests.support import private, wire
from tests.support.intake import BRANCH, RECEIVED_AT, SHOP, body_of

LISTED = {match_key(private.PHONE)}


OURS = (SHOP.phone_number_id, SHOP.waba_id)


def list_of(name: str) -> Any:
    return LISTED.__contains__ if name in OURS else None


def learned_list(name: str) -> Any:
    known = LISTED | {private.BSUID, private.NEXT_BSUID, private.PARENT}
    return known.__contains__ if name in OURS else None


def found_in(*changes: dict[str, Any]) -> Redaction:
    return redact(body_of(*changes), list_of)


@pytest.mark.requirement("G11")
@pytest.mark.parametrize("change", list(private.theirs()), ids=lambda one: one["field"])
def test_every_shape_that_names_them_goes(change: dict[str, Any]) -> None:
    found = redact(body_of(change), learned_list)
    assert found.removed_count > 0
    assert private.traces_in(found.body or b"") == []


@pytest.mark.requirement("G11")
def test_what_cannot_be_decoded_goes_as_well_and_nobody_else_with_it() -> None:
    place = {"type": "location", "location": {"latitude": 0.25, "name": private.WORDS}}
    theirs = wire.message("wamid.P1", 1, place, phone=private.WA_ID)
    others = wire.message("wamid.O1", 1, place, phone=private.OTHER)
    found = redact(body_of(theirs).replace(b"0.25", b"1e999"), list_of)
    assert (found.removed_count, found.body) == (1, None)
    kept = redact(body_of(others).replace(b"0.25", b"1e999"), list_of)
    assert kept.removed_count == 0


@pytest.mark.requirement("G11")
def test_ids_learned_in_a_delivery_count_in_all_of_it() -> None:
    found = found_in(*private.theirs(), *private.beside())
    assert found.body is not None
    assert private.traces_in(found.body) == []
    learned = {key for _, _, key in found.learned}
    assert learned == {private.BSUID, private.NEXT_BSUID, private.PARENT}
    assert {known for _, known, _ in found.learned} == LISTED, "each with an id that is on the list"
    texts = [fact.text for fact in facts_of(found.body, RECEIVED_AT).facts if isinstance(fact, MessageTold)]
    assert texts == ["Olá", "antes"]


@pytest.mark.requirement("G11")
def test_what_others_write_stays_byte_for_byte() -> None:
    mine = {"field": "messages", "value": json.loads('{"a": 1.50, "b": "\\u00e9", "big": 12345678901234567890123}')}
    raw = body_of(*private.beside(), mine)
    spaced = raw.replace(b'"Ol\\u00e1"', b'"Ol\\u00E1" ')
    assert redact(spaced, lambda _: None).body is spaced
    found = redact(spaced, list_of)
    assert found.body is not None
    assert b'"Ol\\u00E1" ' in found.body
    assert b'{"a": 1.5, "b": "\\u00e9", "big": 12345678901234567890123}' in found.body
    assert redact(body_of(mine), list_of) == Redaction(body_of(mine))


def test_each_number_has_the_list_of_its_account() -> None:
    both = body_of(
        wire.message("wamid.A", 1, private.text("a"), phone=private.WA_ID),
        wire.message("wamid.B", 1, private.text("b"), phone=private.WA_ID, number=BRANCH),
    )
    found = redact(both, list_of)
    assert found.wamids == {(SHOP.phone_number_id, "wamid.A")}
    facts = facts_of(found.body or b"", RECEIVED_AT).facts
    assert [fact.phone_number_id for fact in facts] == [BRANCH.phone_number_id]


def test_the_progress_of_the_import_stays() -> None:
    chunk = wire.history([wire.thread(private.WA_ID, None, [])], phase=1, order=4, progress=62)
    (fact,) = facts_of(found_in(chunk).body or b"", RECEIVED_AT).facts
    assert (fact.phase, fact.chunk_order, fact.progress, fact.thread_count) == (1, 4, 62, 0)  # type: ignore[attr-defined]


def test_an_item_without_ids_is_the_only_contacts() -> None:
    change = wire.message("wamid.A", 1, private.text("a"))
    change["value"]["contacts"] = [wire.person(phone=private.WA_ID, name=private.NAME)]
    assert found_in(change).body is None


def test_who_moves_takes_the_list_along() -> None:
    moved_to = "351910559133"
    found = found_in(
        wire.moved("wamid.A", private.WA_ID, moved_to, 1),
        wire.message("wamid.B", 2, private.text("b"), phone=moved_to),
    )
    assert found.body is None
    assert moved_to in {key for _, _, key in found.learned}


def test_whose_number_is_shown_moves_nobody() -> None:
    """Somebody who moves to a private number is that person; their former number is somebody else's by now."""
    found = found_in(wire.moved("wamid.A", private.OTHER, private.WA_ID, 1))
    assert found.body is None
    assert found.learned == set()


def test_a_card_that_answers_our_request_tells_whose_it_is() -> None:
    card = {"origin": "contact_request", "phones": [{"phone": f"+{private.PHONE}", "wa_id": private.WA_ID}]}
    asked = wire.message("wamid.A", 1, {"type": "contacts", "contacts": [card]}, bsuid=private.BSUID)
    found = found_in(asked, wire.message("wamid.B", 2, private.text("b"), bsuid=private.BSUID))
    assert found.body is None
    shown = {key: value for key, value in card.items() if key != "origin"}
    other = wire.message("wamid.A", 1, {"type": "contacts", "contacts": [shown]}, bsuid=private.OTHER_BSUID)
    assert found_in(other).learned == set()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"entry": 7}', b'{"entry": [7, {"changes": [7, {"value": 7}]}]}', b"\xff{}"]
)
def test_nonsense_comes_back_as_it_is(body: bytes) -> None:
    assert redact(body, list_of) == Redaction(body)


@pytest.mark.parametrize("wrap", [b"[%b]", b"[%b,%b]"])
def test_bodies_in_an_array_are_searched(wrap: bytes) -> None:
    one = body_of(wire.message("wamid.A", 1, private.text("a"), phone=private.WA_ID))
    body = wrap % ((one,) * wrap.count(b"%b"))
    assert redact(body, list_of).body is None


def test_bare_values_and_changes_are_searched() -> None:
    change = wire.history([wire.thread(private.WA_ID, None, [wire.past("wamid.A", 1, private.text("a"), phone="1")])])
    for bare in (change, change["value"]):
        assert private.traces_in(redact(msgspec.json.encode(bare), list_of).body or b"") == []


@pytest.mark.requirement("C6", "G11")
def test_what_nobody_has_documented_is_searched_as_well() -> None:
    """A field or an array of tomorrow: what names them goes, what names others stays, byte for byte."""
    change = wire.message("wamid.A", 1, private.text("a"), phone=private.WA_ID)
    value = change["value"] | {"visits": [{"by": f"+{private.PHONE}"}, {"by": "+351910559122", "n": 1.50}]}
    found = found_in({"field": "tracking_events", "value": value})
    assert private.traces_in(found.body or b"") == []
    assert b'"visits":[{"by": "+351910559122", "n": 1.5}]' in (found.body or b"")
    alone = {**value, "messages": [], "visits": {"by": private.WA_ID}, "note": "none"}
    assert found_in({"field": "tracking_events", "value": alone}).body is None
    others = {**value, "messages": [], "visits": [{"by": "351910559122"}]}
    assert found_in({"field": "tracking_events", "value": others}).removed_count == 0


@pytest.mark.requirement("G11")
def test_a_change_without_a_number_is_searched_with_the_lists_of_its_waba() -> None:
    theirs = {"field": "partner_solutions", "value": {"event": "X", "requested_by": private.WA_ID}}
    others = {"field": "partner_solutions", "value": {"event": "X", "requested_by": private.OTHER}}
    found = redact(body_of(theirs, others), list_of)
    assert (found.removed_count, private.traces_in(found.body or b"")) == (1, [])
    assert private.OTHER.encode() in (found.body or b"")
    assert redact(body_of(theirs, waba_id="1"), list_of).removed_count == 0
