"""A second opinion: pywa, another reading of Meta's wire, for every item that it can read at all.

It knows the first item of the first change alone, so each item is shown to both by itself. It also insists on parts
that Meta may leave out (contacts, an error's message, a reply's context): those are put in, for both.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from pywa import types as pywa_types
from pywa.client import WhatsApp

from coexist.meta.model import (
    Fact,
    IdentityChanged,
    MessageEdited,
    MessageReacted,
    MessageRevoked,
    MessageTold,
    NoticeGiven,
    StatusTold,
)
from coexist.meta.parse import facts_of
from tests.wire.fixtures import RECEIVED_AT, body_of, fixtures

Json = dict[str, Any]
pywa: Any = pywa_types  # it marks nothing as exported
ARRAYS = {"messages": ("messages", "statuses"), "smb_message_echoes": ("message_echoes",)}
REPLIES: dict[Any, Any] = {
    "button_reply": pywa.CallbackButton,
    "list_reply": pywa.CallbackSelection,
    "nfm_reply": pywa.FlowCompletion,
    "call_permission_reply": pywa.CallPermissionUpdate,
}
UNREADABLE = {
    "broken items": ("messages/broken_items", "messages/status_broken", "smb_message_echoes/broken_items"),
    "cards without a formatted name": ("messages/contacts",),
    "a file that Meta could not fetch": ("messages/image_not_fetched",),
    "forms whose answers are no JSON": ("messages/interactive_form_broken",),
    "times that are no text of seconds": ("messages/times",),
    "empty ids, or none": ("messages/empty_ids", "messages/from_our_own_number_with_our_profile"),
    "nobody's number": ("messages/without_metadata",),
    "texts without a body": ("messages/unavailable_text",),
    "failures without an error": ("messages/status_failed_unexplained",),
}
"""What pywa gives up on, in these fixtures: some of their items, at least."""
DISAGREES = {
    "messages/several_senders": "it pairs contacts by their index",
    "messages/text_brazil_contact_without_the_9": "it takes the contact's form of a number for the sender's",
    "messages/unfit_signs": "it keeps what PostgreSQL cannot store",
    "messages/broken_items": "it passes on whatever type comes",
    "messages/contacts_every_detail": "it has no name for a card without one",
    "messages/status_failed_unexplained": "it knows no error where none was told",
}
"""Where it reads otherwise, and why we do not."""
MAY_FAIL = {name for names in UNREADABLE.values() for name in names}


def alone() -> Iterator[tuple[str, str, Json]]:
    """Every message, echo and status of the fixtures by itself: fixture, array, and a body with nothing else in it."""
    for name, fixture in fixtures():
        for array in ARRAYS.get(name.split("/")[0], ()):
            for item in fixture.get("value", {}).get(array, []):
                if isinstance(item, dict):
                    surroundings = {key: part for key, part in fixture["value"].items() if not isinstance(part, list)}
                    contacts = fixture["value"].get("contacts") or [_contact_of(item)]
                    value = {**surroundings, "contacts": contacts, array: [_completed(item)]}
                    yield name, array, json.loads(body_of(name, {**fixture, "value": value}))


def _contact_of(item: Json) -> Json:
    """The contact that pywa looks for beside an item."""
    ids = {
        "wa_id": item.get("to") or item.get("recipient_id") or item.get("from"),
        "user_id": item.get("to_user_id") or item.get("recipient_user_id") or item.get("from_user_id") or "PT.9",
    }
    return {"profile": {"name": "Inês"}, **{key: id_ for key, id_ in ids.items() if id_}}


def _completed(item: Json) -> Json:
    item = deepcopy(item)
    for error in item["errors"] if isinstance(item.get("errors"), list) else []:
        error.setdefault("message", "")
        error.setdefault("title", "")
    if item.get("type") == "interactive":
        item.setdefault("context", {"from": "351210559000", "id": "wamid.HBgMb3V0MDAx"})
    return item


def theirs_of(client: WhatsApp, array: str, body: Json) -> Any:
    """pywa's reading."""
    (item,) = body["entry"][0]["changes"][0]["value"][array]
    kinds: dict[str, Any] = {"button": pywa.CallbackButton, "system": pywa.PhoneNumberChange}
    kinds |= {"edit": pywa.EditedMessage, "revoke": pywa.DeletedMessage}
    if isinstance(item.get("interactive"), dict):
        kinds["interactive"] = REPLIES.get(item["interactive"].get("type"), pywa.Message)
    if array == "message_echoes":
        kinds = {"edit": pywa.OutgoingEditedMessage, "revoke": pywa.OutgoingDeletedMessage}
    usual = {"messages": pywa.Message, "statuses": pywa.MessageStatus, "message_echoes": pywa.OutgoingMessage}
    kind = kinds.get(item.get("type"), usual[array])
    return kind.from_update(client, body)


ALONE = list(alone())


@pytest.fixture(scope="module")
def client() -> WhatsApp:
    return WhatsApp(phone_id="555100020003000", token="invented")


@pytest.mark.filterwarnings("ignore::pywa.errors.PywaUnknownEnumMemberWarning")
@pytest.mark.parametrize(("name", "array", "body"), ALONE, ids=[name for name, _, _ in ALONE])
def test_both_read_the_same(client: WhatsApp, name: str, array: str, body: Json) -> None:
    facts = facts_of(json.dumps(body).encode(), RECEIVED_AT).facts
    try:
        theirs = theirs_of(client, array, body)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        assert name in MAY_FAIL, "pywa cannot read this: say why in UNREADABLE"
        return
    ours = [fact for fact in facts if "contacts" not in fact.part]
    if not ours:
        assert name in NOT_TOLD, "pywa reads something where we tell nothing"
        return
    for fact in ours if name not in DISAGREES else ():
        _compare(fact, theirs)


NOT_TOLD = {
    "messages/broken_items",
    "messages/nobody",
    "messages/status_unknown",
    "messages/status_of_a_group",
    "messages/status_of_a_participant",
    "smb_message_echoes/nobody",
    "smb_message_echoes/to_a_group",
}
"""Items that are no facts of ours, on purpose: broken, of nobody, of groups, of states nobody knows."""


def _compare(fact: Fact, theirs: Any) -> None:
    match fact:
        case MessageTold():
            _compare_message(fact, theirs)
        case MessageEdited():
            text = theirs.message.text if theirs.message.type.value == "text" else theirs.message.caption
            assert (fact.wamid, fact.target, fact.text) == (theirs.id, theirs.original_message_id, text)
            assert fact.at == _time(theirs)
        case MessageRevoked():
            assert (fact.wamid, fact.target, fact.at) == (theirs.id, theirs.original_message_id, _time(theirs))
        case MessageReacted():
            assert (fact.wamid, fact.target) == (theirs.id, theirs.reaction.message_id)
            assert (fact.emoji, fact.at) == (theirs.reaction.emoji or None, _time(theirs))
        case StatusTold():
            assert (fact.wamid, fact.status, fact.at) == (theirs.id, theirs.status.value, _time(theirs))
            assert (fact.our_ref, bool(fact.errors)) == (theirs.tracker, theirs.error is not None)
        case IdentityChanged(kind="phone"):
            assert (fact.previous, fact.current) == (theirs.old_wa_id, theirs.new_wa_id)
        case IdentityChanged():
            assert fact.current in (theirs.new_user_id, theirs.new_parent_id)
        case NoticeGiven():
            assert fact.event == "group_message"


def _compare_message(ours: MessageTold, theirs: Any) -> None:
    assert ours.wamid == theirs.id
    assert ours.is_time_doubtful or ours.sent_at == _time(theirs)
    if ours.direction == "inbound" and ours.type != "system":
        assert (ours.person.phone, ours.person.bsuid) == (theirs.from_user.wa_id, theirs.from_user.bsuid)
    is_pressed = not isinstance(theirs, (pywa.Message, pywa.OutgoingMessage))
    if is_pressed:
        assert ours.text == getattr(theirs, "title", ours.text)
        return
    assert theirs.type.value in (ours.type, "unknown")
    assert (ours.forwarded > 0, ours.forwarded > 1) == (theirs.forwarded, theirs.forwarded_many_times)
    assert ours.reply_to == (theirs.reply_to_message.id if theirs.reply_to_message else None)
    if ours.type == "text":
        assert ours.text == theirs.text
    if ours.media is not None and ours.media.media_id is not None and ours.type != "voice":
        media = getattr(theirs, ours.type)
        assert (ours.media.media_id, ours.media.mime_type) == (str(media.id), media.mime_type)
        assert ours.text == theirs.caption
    if ours.type == "location":
        told = json.loads(ours.content or b"")["location"]
        assert (told["latitude"], told["longitude"]) == (theirs.location.latitude, theirs.location.longitude)
    if ours.type == "contacts":
        assert ours.text == ", ".join(card.name.formatted_name for card in theirs.contacts)
    if ours.type == "order":
        products = json.loads(ours.content or b"")["order"]["product_items"]
        assert [product["quantity"] for product in products] == [product.quantity for product in theirs.order.products]


def _time(theirs: Any) -> datetime:
    found: datetime = theirs.timestamp
    return found.astimezone(UTC)
