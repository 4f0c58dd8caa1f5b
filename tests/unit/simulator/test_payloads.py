"""Payloads equal the samples of the protocol document, key by key."""

import json
from typing import Any

import pytest

from simulator import payloads
from simulator.config import Business
from simulator.world import MediaHandle, Message, Person, Reaction

BUSINESS = Business(digits="351210559000", phone_number_id="555100020003000")
METADATA = {"display_phone_number": "351210559000", "phone_number_id": "555100020003000"}
INES = Person("ines", "pt", "Inês Duarte", "PT.40010020030040050", "351910559111", "ines.duarte")
HEAD = {"id": "wamid.HBgMZWRpdDAwMQ==", "timestamp": "1795000300"}


def text(body: str, origin: str = "contact", **more: Any) -> Message:
    return Message("wamid.HBgMZmljdGlvbjAwMQ==", "ines", origin, "text", 1_795_000_001, {"body": body}, **more)


def test_inbound_text() -> None:
    item = payloads.inbound(INES, text("Bom dia"), None, None)
    assert payloads.messages_value(BUSINESS, INES, [item]) == {
        "messaging_product": "whatsapp",
        "metadata": METADATA,
        "contacts": [
            {
                "profile": {"name": "Inês Duarte", "username": "ines.duarte"},
                "wa_id": "351910559111",
                "user_id": "PT.40010020030040050",
            }
        ],
        "messages": [
            {
                "from": "351910559111",
                "from_user_id": "PT.40010020030040050",
                "id": "wamid.HBgMZmljdGlvbjAwMQ==",
                "timestamp": "1795000001",
                "type": "text",
                "text": {"body": "Bom dia"},
            }
        ],
    }


def test_a_hidden_phone_is_absent_everywhere() -> None:
    hidden = Person("i", "pt", "Inês", "PT.1", "351910559111", "ines", phone_hidden=True, book_phone="351910559111")
    message = text("Oi", "app", opaque="ob:1")
    everything = json.dumps(
        [
            payloads.profile(hidden),
            payloads.inbound(hidden, message, None, hidden.shown_phone),
            payloads.echo(BUSINESS, hidden, message, None, None),
            payloads.status_value(BUSINESS, hidden, payloads.status(hidden, message, "sent", 1)),
            payloads.book_entry(hidden, "add"),
        ]
    )
    assert "351910559111" not in everything
    assert "null" not in everything.replace('"full_name": null', "")


def test_echo() -> None:
    message = text("Pode passar amanhã", "app")
    value = payloads.echoes_value(BUSINESS, INES, [payloads.echo(BUSINESS, INES, message, None, None)])
    assert value["contacts"] == [{"wa_id": "351910559111", "user_id": "PT.40010020030040050"}]
    assert value["message_echoes"] == [
        {
            "from": "351210559000",
            "to": "351910559111",
            "to_user_id": "PT.40010020030040050",
            "id": message.wamid,
            "timestamp": "1795000001",
            "type": "text",
            "text": {"body": "Pode passar amanhã"},
        }
    ]


def test_echo_goes_to_the_number_as_the_phone_dials_it() -> None:
    mari = Person("m", "pt", "Mari", "BR.1", "551185500112", book_phone="5511985500112")
    assert payloads.echo(BUSINESS, mari, text("Oi", "app"), None, None)["to"] == "5511985500112"
    assert payloads.inbound(mari, text("Oi"), None, None)["from"] == "551185500112"


def test_edit_has_a_wamid_of_its_own_and_no_real_context() -> None:
    assert payloads.edit({"from": "351910559111", **HEAD}, text("Bom dia!"), None) == {
        "from": "351910559111",
        "id": "wamid.HBgMZWRpdDAwMQ==",
        "timestamp": "1795000300",
        "type": "edit",
        "edit": {
            "original_message_id": "wamid.HBgMZmljdGlvbjAwMQ==",
            "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": "Bom dia!"}},
        },
    }


def test_revoke() -> None:
    item = payloads.revoke(HEAD, text("Oi"))
    assert item == {**HEAD, "type": "revoke", "revoke": {"original_message_id": "wamid.HBgMZmljdGlvbjAwMQ=="}}


@pytest.mark.parametrize(("emoji", "expected"), [("🌿", {"emoji": "🌿"}), ("", {})])
def test_a_reaction_taken_back_has_no_emoji(emoji: str, expected: dict[str, str]) -> None:
    item = payloads.reaction(HEAD, text("Oi"), Reaction("wamid.R", emoji, 1))
    assert item["reaction"] == {"message_id": "wamid.HBgMZmljdGlvbjAwMQ==", **expected}


def test_status() -> None:
    message = text("Olá", "api", opaque="ob:7f1c", category="utility")
    value = payloads.status_value(BUSINESS, INES, payloads.status(INES, message, "delivered", 1_795_000_400))
    assert value["statuses"] == [
        {
            "id": message.wamid,
            "status": "delivered",
            "timestamp": "1795000400",
            "recipient_id": "351910559111",
            "recipient_user_id": "PT.40010020030040050",
            "biz_opaque_callback_data": "ob:7f1c",
            "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"},
        }
    ]
    assert value["contacts"][0]["profile"]["name"] == "Inês Duarte"


def test_a_failed_status_has_errors_and_no_contacts() -> None:
    message = text("Olá", "api", errors=[payloads.error(131026, "Message undeliverable", "gone")])
    value = payloads.status_value(BUSINESS, INES, payloads.status(INES, message, "failed", 1))
    assert "contacts" not in value
    assert value["statuses"][0]["errors"][0]["code"] == 131026
    assert "pricing" not in value["statuses"][0]


def test_quoted_and_forwarded() -> None:
    reply = payloads.inbound(INES, text("Sim", reply_to="wamid.A"), None, "351210559000")
    assert reply["context"] == {"from": "351210559000", "id": "wamid.A"}
    forwarded = payloads.inbound(INES, text("Sim", reply_to="wamid.A", forwarded=True), None, None)
    assert forwarded["context"] == {"forwarded": True}


def test_unavailable_shows_no_content() -> None:
    item = payloads.inbound(INES, text("secret", unavailable=True), None, None)
    assert item["type"] == "unsupported"
    assert item["errors"][0]["code"] == 131060
    assert "secret" not in json.dumps(item)


def test_a_voice_note_and_its_fields() -> None:
    message = Message("wamid.V", "ines", "contact", "audio", 1, {"voice": True}, file="asset:voice-pt-1.ogg")
    handle = MediaHandle("8801", "asset:voice-pt-1.ogg", "audio/ogg; codecs=opus", 9)
    item = payloads.inbound(INES, message, payloads.media_fields(handle, "aGFzaA=="), None)
    voice = {"voice": True, "id": "8801", "mime_type": "audio/ogg; codecs=opus", "sha256": "aGFzaA=="}
    assert (item["type"], item["audio"]) == ("audio", voice)


def test_shared_contacts_are_an_array() -> None:
    cards = [{"name": {"formatted_name": "Paulo"}}]
    message = Message("wamid.C", "ines", "contact", "contacts", 1, {"list": cards})
    assert payloads.typed(message) == {"type": "contacts", "contacts": cards}


def test_address_book_changes() -> None:
    ines = Person("i", "pt", "Inês", "PT.1", "351910559111", book_name="Inês Duarte (lentes)", book_at=1_795_001_000)
    ines.book_phone = "351910559111"
    assert payloads.book_entry(ines, "add") == {
        "type": "contact",
        "action": "add",
        "metadata": {"timestamp": "1795001000"},
        "contact": {
            "full_name": "Inês Duarte (lentes)",
            "first_name": "Inês",
            "phone_number": "351910559111",
            "user_id": "PT.1",
        },
    }
    removed = payloads.book_entry(ines, "remove")
    assert (removed["action"], removed["contact"]) == ("remove", {"phone_number": "351910559111", "user_id": "PT.1"})


def test_a_contact_in_another_national_form_is_told_by_phone_alone() -> None:
    mari = Person("m", "pt", "Mari", "BR.1", "551185500112", book_name="Marina", book_phone="5511985500112")
    assert payloads.book_entry(mari, "add")["contact"]["phone_number"] == "5511985500112"
    assert "user_id" not in payloads.book_entry(mari, "add")["contact"]


def test_bytes_are_escaped_as_meta_does() -> None:
    body = payloads.encode(payloads.envelope("1", [("messages", {"a": "Inês 🌿 image/png"})], 7))
    assert body.isascii()
    assert b"In\\u00eas \\ud83c\\udf3f image\\/png" in body
    assert json.loads(body) == {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "time": 7, "changes": [{"field": "messages", "value": {"a": "Inês 🌿 image/png"}}]}],
    }


def test_signature_is_of_the_raw_bytes() -> None:
    assert payloads.signature("key", b"The quick brown fox jumps over the lazy dog") == (
        "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )
