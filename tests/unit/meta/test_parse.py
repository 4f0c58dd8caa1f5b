"""What a fixture cannot show: size, speed of reading rare parts, the ids and times that every fact carries."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coexist.meta.model import AddressBookChanged, HistoryProgressed, MessageTold, NoticeGiven, Parsed
from coexist.meta.parse import facts_of

RECEIVED_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
METADATA = {"display_phone_number": "351210559000", "phone_number_id": "555100020003000"}
LONG_TEXT_CHARS = 70_000


def delivery(field: str, **value: Any) -> bytes:
    change = {"field": field, "value": {"metadata": METADATA, **value}}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "701", "changes": [change]}]}).encode()


def inbound(**more: Any) -> dict[str, Any]:
    message = {"from": "351910559111", "id": "wamid.1", "timestamp": "1795000001", "type": "text"}
    return message | {"text": {"body": "Bom dia"}} | more


def only_message(parsed: Parsed) -> MessageTold:
    (message,) = [fact for fact in parsed.facts if isinstance(fact, MessageTold)]
    return message


def test_a_very_long_text_comes_through_whole() -> None:
    text = "\u0634😀" * (LONG_TEXT_CHARS // 2)

    parsed = facts_of(delivery("messages", messages=[inbound(text={"body": text})]), RECEIVED_AT)

    assert only_message(parsed).text == text


def test_every_fact_carries_its_delivery() -> None:
    parsed = facts_of(delivery("messages", messages=[inbound()]), RECEIVED_AT, journal_id=42)

    assert [fact.journal_id for fact in parsed.facts] == [42]


@pytest.mark.requirement("C8")
def test_a_replay_gives_the_same_facts() -> None:
    body = delivery("messages", messages=[inbound(timestamp="soon"), inbound(id="wamid.2")])

    assert facts_of(body, RECEIVED_AT) == facts_of(body, RECEIVED_AT)
    assert [fact.sent_at for fact in facts_of(body, RECEIVED_AT).facts if isinstance(fact, MessageTold)] == [
        RECEIVED_AT,
        datetime.fromtimestamp(1795000001, UTC),
    ]


@pytest.mark.requirement("C8")
def test_a_time_within_a_day_ahead_is_believed_and_a_later_one_is_not() -> None:
    seconds = int(RECEIVED_AT.timestamp())
    ahead, beyond = str(seconds + 86_399), str(seconds + 86_401)

    parsed = facts_of(
        delivery("messages", messages=[inbound(timestamp=ahead), inbound(id="wamid.2", timestamp=beyond)]), RECEIVED_AT
    )

    first, second = (fact for fact in parsed.facts if isinstance(fact, MessageTold))
    assert (first.sent_at, first.is_time_doubtful) == (RECEIVED_AT + timedelta(seconds=86_399), False)
    assert (second.sent_at, second.is_time_doubtful) == (RECEIVED_AT, True)


@pytest.mark.requirement("D7", "C5")
def test_nothing_under_history_opens_a_window_or_is_live() -> None:
    thread = {"id": "351910559111", "messages": [inbound(id="wamid.3")]}
    parsed = facts_of(
        delivery(
            "history",
            history=[{"threads": [thread]}],
            messages=[inbound()],
            message_echoes=[inbound(id="wamid.2", to="1")],
        ),
        RECEIVED_AT,
    )

    told = [fact for fact in parsed.facts if isinstance(fact, MessageTold)]
    assert [fact.imported for fact in told] == [True, True, True]
    assert not any(fact.opens_window for fact in told)


def test_prices_keep_their_digits() -> None:
    order = b'{"catalog_id":"9","product_items":[{"quantity":3,"item_price":0.10,"currency":"EUR"}]}'
    body = delivery("messages", messages=[inbound(type="order", order="HERE")]).replace(b'"HERE"', order)

    message = only_message(facts_of(body, RECEIVED_AT))

    assert message.text == "Order: 3 items, 0.30 EUR"
    assert message.content is not None
    assert b'"item_price":0.10' in message.content


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"quantity": 1, "item_price": 500, "currency": "JPY"}], "Order: 1 item, 500 JPY"),
        ([{"quantity": 2}], "Order: 2 items"),
        (
            [{"quantity": 1, "item_price": 5, "currency": "EUR"}, {"item_price": 1.5, "currency": "USD"}],
            "Order: 2 items, 5 EUR + 1.50 USD",
        ),
        ([{"quantity": 1e300, "item_price": -1, "currency": "EUR"}], "Order: 1 item"),
        ([], "Order: 0 items"),
    ],
)
def test_orders_in_words(items: list[dict[str, Any]], expected: str) -> None:
    body = delivery("messages", messages=[inbound(type="order", order={"product_items": items})])

    assert only_message(facts_of(body, RECEIVED_AT)).text == expected


def test_thousands_of_unknown_items_are_read_in_one_go() -> None:
    """Each needs its raw JSON; taking the chunk apart for each of them would take minutes."""
    count = 4_000
    messages = [inbound(id=f"wamid.{n}", type="hologram", hologram={"n": n}) for n in range(count)]

    parsed = facts_of(
        delivery("history", history=[{"threads": [{"id": "351910559111", "messages": messages}]}]), RECEIVED_AT
    )

    told = [fact for fact in parsed.facts if isinstance(fact, MessageTold)]
    assert [json.loads(fact.content or b"")["hologram"]["n"] for fact in told] == list(range(count))
    assert isinstance(parsed.facts[-1], HistoryProgressed)
    assert parsed.facts[-1].message_count == count


def test_a_raw_item_is_the_one_at_its_place_also_inside_an_array_of_bodies() -> None:
    body = delivery("messages", messages=[inbound(), inbound(id="wamid.2", group_id="1203")])

    parsed = facts_of(b"[%s,%s]" % (body, body), RECEIVED_AT)

    notices = [fact for fact in parsed.facts if isinstance(fact, NoticeGiven)]
    assert [json.loads(notice.value)["id"] for notice in notices] == ["wamid.2", "wamid.2"]
    assert [notice.part[:3] for notice in notices] == ["[0]", "[1]"]


def test_an_address_book_of_thousands() -> None:
    entries = [
        {"type": "contact", "action": "add", "contact": {"full_name": str(n), "phone_number": str(351910000000 + n)}}
        for n in range(3_000)
    ]

    parsed = facts_of(delivery("smb_app_state_sync", state_sync=entries), RECEIVED_AT)

    assert [fact.full_name for fact in parsed.facts if isinstance(fact, AddressBookChanged)] == [
        str(n) for n in range(3_000)
    ]


def test_facts_are_never_walked_by_the_garbage_collector() -> None:
    assert not MessageTold.__struct_config__.gc
