"""A second opinion: pywa, another reading of Meta's wire. It knows the first message of the first change alone."""

import json
from datetime import UTC
from typing import Any

import pytest
from pywa.client import WhatsApp
from pywa.types.message import Message
from pywa.types.message_status import MessageStatus

from coexist.meta.model import MessageTold, StatusTold
from coexist.meta.parse import facts_of
from tests.wire.fixtures import RECEIVED_AT, body_of, fixtures

MESSAGES = (
    *("text", "text_reply", "text_forwarded", "text_from_an_ad", "text_without_phone", "text_linked_portfolios"),
    *("image", "video", "audio_voice", "document", "sticker", "location_named", "location_bare", "contacts_own_phone"),
)
STATUSES = ("status_delivered_read_played",)
FIXTURES = dict(fixtures())


@pytest.fixture(scope="module")
def client() -> WhatsApp:
    return WhatsApp(phone_id="555100020003000", token="invented")


def delivery(variant: str) -> bytes:
    name = f"messages/{variant}"
    return body_of(name, FIXTURES[name])


@pytest.mark.parametrize("variant", MESSAGES)
def test_both_read_the_same_message(client: WhatsApp, variant: str) -> None:
    body = delivery(variant)
    theirs: Any = Message.from_update(client, json.loads(body))
    (ours, *_) = [fact for fact in facts_of(body, RECEIVED_AT).facts if isinstance(fact, MessageTold)]

    assert (ours.wamid, ours.type) == (theirs.id, theirs.type.value)
    assert ours.sent_at == theirs.timestamp.astimezone(UTC)
    assert (ours.person.phone, ours.person.bsuid) == (theirs.from_user.wa_id, theirs.from_user.bsuid)
    assert (ours.forwarded > 0, ours.forwarded > 1) == (theirs.forwarded, theirs.forwarded_many_times)
    assert ours.reply_to == (theirs.reply_to_message.id if theirs.reply_to_message else None)
    if ours.type == "text":
        assert ours.text == theirs.text
    if ours.media is not None:
        media = getattr(theirs, ours.type)
        assert (ours.media.media_id, ours.media.mime_type) == (media.id, media.mime_type)
        assert ours.text == theirs.caption
    if ours.type == "location":
        told = json.loads(ours.content or b"")["location"]
        assert (told["latitude"], told["longitude"]) == (theirs.location.latitude, theirs.location.longitude)
    if ours.type == "contacts":
        assert ours.text == ", ".join(card.name.formatted_name for card in theirs.contacts)


@pytest.mark.parametrize("variant", STATUSES)
def test_both_read_the_same_status(client: WhatsApp, variant: str) -> None:
    body = delivery(variant)
    theirs: Any = MessageStatus.from_update(client, json.loads(body))
    (ours, *_) = [fact for fact in facts_of(body, RECEIVED_AT).facts if isinstance(fact, StatusTold)]

    assert (ours.wamid, ours.status, ours.our_ref) == (theirs.id, theirs.status.value, theirs.tracker)
    assert ours.at == theirs.timestamp.astimezone(UTC)
