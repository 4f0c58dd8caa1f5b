"""What a bubble says: who wrote it, what it holds, what became of it, in words that stand without colour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from coexist.inbox import refusals
from coexist.inbox.model import ListRow, Message
from coexist.meta.model import FROM_HISTORY, LIVE, PLACEHOLDER, SENT_BY_US, STATUS_RANK, UNAVAILABLE
from coexist.web.bubbles import Bubble, Problem, bubble_of, preview_of
from coexist.web.cards import cards_of
from coexist.web.render import create_templates, icon

ONBOARDED = datetime(2026, 11, 1, 12, tzinfo=UTC)
SENT = datetime(2026, 11, 20, 13, 42, 7, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def message(**given: Any) -> Message:
    """A live text message of the customer, but for what is given."""
    values: dict[str, Any] = dict.fromkeys(Message.__slots__)
    values |= {
        "id": 7, "conversation_id": 3, "contact_name": "Marina", "inbox_id": 1, "onboarded_at": ONBOARDED,
        "wamid": "wamid.A", "peer": "351910559111", "direction": "inbound", "origin": "contact", "imported": False,
        "is_time_doubtful": False,
        "content_rank": LIVE, "forwarded": 0, "type": "text", "sent_at": SENT, "text": "Bom dia", "earlier_texts": [],
        "media_is_voice": False, "media_is_animated": False, "quote_is_revoked": False,
    }  # fmt: skip
    return Message(**(values | given))


def ours(**given: Any) -> Message:
    """A message that an agent sent."""
    values = {"direction": "outbound", "origin": "api", "author": "Ana Nunes", "content_rank": SENT_BY_US}
    return message(**(values | given))


def shown(one: Message) -> Bubble:
    return bubble_of(one, UTC, NOW)


def html_of(one: Message) -> str:
    return create_templates().get_template("parts/bubble.html").render(bubble=shown(one), opens_day=True)


@pytest.mark.requirement("E1")
def test_the_origin_is_told_by_side_name_and_mark() -> None:
    told = {
        "contact": shown(message()),
        "app": shown(message(direction="outbound", origin="app")),
        "api": shown(ours()),
        "program": shown(ours(author=None)),
    }
    assert {name: (b.side, b.author.name, b.author.mark) for name, b in told.items()} == {
        "contact": ("in", "", ""),
        "app": ("out", "Phone app", "smartphone"),
        "api": ("out", "Ana Nunes", ""),
        "program": ("out", "Sent by a program", ""),
    }
    html = html_of(message(direction="outbound", origin="app", imported=True))
    assert "Phone app" in html
    assert "imported" in html


@pytest.mark.parametrize(
    ("status", "outbox", "word"),
    [
        ("queued", "queued", "queued"), ("queued", "sending", "queued"), ("pending", "accepted", "queued"),
        ("sent", "accepted", "sent"), ("delivered", "accepted", "delivered"), ("read", "accepted", "read"),
        ("played", "accepted", "read"), ("failed", "accepted", "failed"), ("queued", "failed", "failed"),
        ("queued", "unclear", "unclear"), ("delivered", "unclear", "delivered"), ("read", "failed", "read"),
    ],
)  # fmt: skip
def test_ticks_follow_what_meta_said_above_all(status: str, outbox: str, word: str) -> None:
    tick = shown(ours(status=STATUS_RANK[status], outbox_state=outbox)).tick
    assert tick is not None
    assert tick.word == word
    assert tick.title


def test_only_our_side_has_ticks() -> None:
    assert shown(message(status=STATUS_RANK["read"])).tick is None
    assert shown(message(direction="outbound", origin="app", status=None)).tick is None


def test_failures_say_what_happened_and_what_can_be_done() -> None:
    unclear = shown(ours(status=0, outbox_state="unclear")).problem
    assert unclear is not None
    assert "may or may not" in unclear.said
    assert (unclear.can_retry, unclear.can_discard) == (True, True)
    refused = shown(ours(status=0, outbox_state="failed", outbox_error="The window is closed.")).problem
    assert refused is not None
    assert refused.said == "The window is closed."
    errors = [{"code": 131026, "title": "Undeliverable", "error_data": {"details": "Not on WhatsApp"}}]
    failed = shown(ours(status=STATUS_RANK["failed"], outbox_state="accepted", errors=errors)).problem
    assert failed is not None
    assert "Not on WhatsApp (131026)" in failed.said
    assert not failed.can_discard, "WhatsApp has it: there is nothing to take back"
    assert shown(ours(status=STATUS_RANK["delivered"], outbox_state="unclear")).problem is None
    assert "Retry" in html_of(ours(status=0, outbox_state="unclear"))


@pytest.mark.requirement("D10")
@pytest.mark.parametrize(
    ("age", "said"),
    [(timedelta(days=13), "Still on the phone. WhatsApp may send it yet."), (timedelta(days=15), "Only on the phone")],
)
def test_a_placeholder_says_whether_its_file_can_still_come(age: timedelta, said: str) -> None:
    one = message(type="media_placeholder", text=None, content_rank=PLACEHOLDER, sent_at=ONBOARDED - age, imported=True)
    bubble = shown(one)
    assert bubble.file is not None
    assert (bubble.kind.word, bubble.file.state) == ("Media on the phone", "phone")
    assert said in bubble.file.said
    assert "Media on the phone" in html_of(one)


def test_a_file_is_shown_by_what_it_is() -> None:
    def kind(type_: str, mime: str, **given: Any) -> str:
        given |= {"media_mime_type": mime, "media_width": 8, "media_height": 6}
        file = shown(message(type=type_, text=None, media_state="stored", **given)).file
        assert file is not None
        return file.kind

    assert kind("image", "image/jpeg") == "image"
    assert kind("image", "image/svg+xml") == "document", "an SVG can hold scripts"
    assert kind("image", "application/octet-stream") == "document", "its bytes were something else"
    assert kind("document", "image/png") == "document"
    assert kind("audio", "audio/ogg; codecs=opus", media_is_voice=True) == "audio"
    assert kind("sticker", "image/webp") == "sticker"
    assert kind("video", "video/mp4") == "video"
    waiting = html_of(message(type="image", text=None, media_state="waiting"))
    assert "Being fetched" in waiting
    assert "<img" not in waiting
    gone = html_of(message(type="image", text=None, media_state="gone", media_error="No longer there."))
    assert "No longer there." in gone
    sized = html_of(
        message(type="image", media_state="stored", media_mime_type="image/png", media_width=8, media_height=6)
    )
    assert 'width="8" height="6"' in sized, "nothing jumps when it loads"


@pytest.mark.requirement("D11", "D15", "D16")
@pytest.mark.parametrize(
    "type_", ["poll", "unsupported", "location", "order", "contacts", "request_welcome", "image", ""]
)
@pytest.mark.parametrize("rank", [PLACEHOLDER, UNAVAILABLE, FROM_HISTORY, LIVE])
def test_every_type_says_something_even_without_content(type_: str, rank: int) -> None:
    bubble = shown(message(type=type_, text=None, content_rank=rank))
    assert bubble.note or bubble.file or bubble.cards or bubble.body


def test_what_only_explains_is_a_note_not_a_text() -> None:
    bubble = shown(
        message(type="unsupported", content_rank=UNAVAILABLE, text="A poll. Open the WhatsApp app to see it.")
    )
    assert bubble.body is None
    assert bubble.note == "A poll. Open the WhatsApp app to see it."


@pytest.mark.requirement("D14")
def test_edits_and_deletes_keep_what_was_there_behind_a_click() -> None:
    edited = message(edited_at=SENT, edited_text="Três", earlier_texts=["Duas", None])
    assert str(shown(edited).body) == "Três"
    assert [str(text) for text in shown(edited).earlier] == ["Duas"]
    deleted = html_of(message(revoked_at=SENT, text="Esquece"))
    assert "Deleted" in deleted
    assert deleted.index("<details") < deleted.index("Esquece")


@pytest.mark.requirement("D12")
def test_quotes_name_who_is_quoted_or_say_that_it_is_not_here() -> None:
    known = shown(message(reply_to="wamid.B", quote_id=9, quote_origin="app", quote_type="text", quote_text="Oi")).quote
    assert known is not None
    assert (known.message_id, known.name, known.said) == (9, "Phone app", "Oi")
    photo = shown(message(reply_to="wamid.B", quote_id=9, quote_origin="contact", quote_type="image")).quote
    assert photo is not None
    assert (photo.name, photo.said) == ("Marina", "Photo")
    gone = shown(message(reply_to="wamid.B", quote_id=9, quote_origin="api", quote_author="Ana", quote_type="text",
                         quote_text="Segredo", quote_is_revoked=True)).quote  # fmt: skip
    assert gone is not None
    assert gone.said == "Deleted message"
    missing = shown(message(reply_to="wamid.B")).quote
    assert missing is not None
    assert (missing.message_id, missing.said) == (None, "Answers a message that is not here")


def test_a_doubtful_time_says_so() -> None:
    assert "when we received it" in shown(message(is_time_doubtful=True)).full_time


def test_reactions_name_the_side() -> None:
    reactions = [{"by": "inbound", "emoji": "❤️"}, {"by": "outbound", "emoji": "👍"}, {"emoji": None}, 5]
    assert list(shown(message(reactions=reactions)).reactions) == [("❤️", "Marina"), ("👍", "Us")]
    assert shown(message(reactions={"x": 1})).reactions == []


def test_everything_a_customer_can_write_is_escaped() -> None:
    bad = "<script>x</script>"
    one = message(
        text=bad, contact_name=bad, type="document", media_state="stored", media_mime_type="application/pdf",
        media_file_name=bad, reply_to="w", quote_id=1, quote_origin="contact", quote_type="text", quote_text=bad,
        reactions=[{"by": "inbound", "emoji": bad}], edited_at=SENT, edited_text=bad, earlier_texts=[bad],
        content={"location": {"latitude": bad, "longitude": "1", "name": bad, "address": bad},
                 "contacts": [{"name": {"formatted_name": bad}, "phones": [{"phone": bad, "type": bad}]}],
                 "order": {"product_items": [{"product_retailer_id": bad, "currency": bad}], "text": bad},
                 "interactive": {"nfm_reply": {"response_json": '{"<script>x</script>": "<script>x</script>"}'}},
                 "referral": {"headline": bad, "body": bad, "source_url": "javascript:alert(1)"}},
    )  # fmt: skip
    html = html_of(one)
    assert "<script" not in html
    assert "javascript:" not in html


@pytest.mark.requirement("F10")
def test_cards_show_places_people_orders_and_forms() -> None:
    content = {
        "location": {"latitude": -23.5505, "longitude": "-46.6333", "name": "Loja", "address": "Rua Augusta, 100"},
        "contacts": [{"name": {"formatted_name": "Carlos"}, "phones": [{"phone": "+5511985500199", "type": "CELL"}]}],
        "order": {
            "text": "para sexta",
            "product_items": [
                {"product_retailer_id": "VASO", "quantity": 2, "item_price": 45.5, "currency": "BRL"},
                {"product_retailer_id": "TERRA", "quantity": "1", "item_price": "10", "currency": "BRL"},
            ],
        },
        "interactive": {"nfm_reply": {"response_json": '{"flow_token": "t", "size": "M", "days": [1, 2]}'}},
    }
    place, person, order, form = cards_of(content)
    assert place.title == "Loja"
    assert ("", "-23.55050, -46.63330") in place.lines
    assert place.link.startswith("https://www.openstreetmap.org/")
    assert list(person.lines) == [("Cell", "+55 11 98550-0199")]
    assert list(order.lines) == [
        ("2 × VASO at 45.50", "BRL 91.00"), ("1 × TERRA", "BRL 10.00"), ("Total", "BRL 101.00"), ("", "para sexta"),
    ]  # fmt: skip
    assert list(form.lines) == [("Size", "M"), ("Days", "[1, 2]")]


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"location": 5, "contacts": {}, "order": [], "interactive": "x"},
        {"contacts": [1]},
        {"location": {"latitude": "nan", "longitude": "inf"}},
        {"order": {"product_items": [None]}},
        {"interactive": {"nfm_reply": {"response_json": "{"}}},
    ],
)
def test_cards_of_nonsense_break_nothing(content: dict[str, Any] | None) -> None:
    for card in cards_of(content):
        assert card.title


def row(**given: Any) -> ListRow:
    values: dict[str, Any] = dict.fromkeys(ListRow.__slots__)
    values |= {"name": "Marina", "origin": "contact", "direction": "inbound", "type": "text", "text": "Oi",
               "content_rank": LIVE, "is_revoked": False, "is_voice": False, "imported": False}  # fmt: skip
    return ListRow(**(values | given))


def test_previews_carry_the_marks_of_the_bubbles() -> None:
    assert preview_of(row()).mark == ""
    phone = preview_of(row(origin="app", direction="outbound"))
    assert (phone.mark, phone.mark_word) == ("smartphone", "Phone app")
    agent = preview_of(row(origin="api", direction="outbound", author="Ana Nunes", status=STATUS_RANK["read"]))
    assert (agent.mark, agent.mark_class, agent.lead) == ("check-check", "read", "Ana:")
    voice = preview_of(row(type="audio", text=None, is_voice=True))
    assert (voice.icon, voice.said) == ("mic", "Voice note")
    assert preview_of(row(is_revoked=True, text="Segredo")).said == "Deleted message"
    assert preview_of(row(content_rank=PLACEHOLDER, type="media_placeholder", text=None)).said == "Media on the phone"


def test_an_icon_with_a_title_is_read_aloud_and_escaped() -> None:
    assert 'aria-label="&lt;x&gt;"' in icon("check", "<x>")
    assert 'aria-hidden="true"' in icon("check")


def failed(code: int, **given: Any) -> Problem | None:
    errors = [{"code": code, "title": "as scripted"}]
    return bubble_of(
        message(direction="outbound", origin="api", status=STATUS_RANK["failed"], errors=errors, **given), UTC, SENT
    ).problem


@pytest.mark.parametrize(("code", "can_retry"), [(131026, True), (131049, True), (131050, True), (131021, False)])
def test_what_nobody_may_send_again_has_no_button_for_it(code: int, can_retry: bool) -> None:
    for outbox_state in ("accepted", "failed"):
        problem = failed(code, outbox_state=outbox_state)
        assert problem is not None
        assert problem.can_retry is can_retry


def test_a_country_that_is_closed_is_named() -> None:
    for peer, named in (("351910559111", "PT (+351)"), ("PT.4001", "")):
        problem = failed(130497, outbox_state="accepted", peer=peer)
        assert problem is not None
        assert (f"Their number is of {named}." in problem.said) is bool(named)


def test_what_waits_for_a_reason_says_it_and_can_be_discarded() -> None:
    waits = message(
        direction="outbound",
        origin="api",
        status=STATUS_RANK["queued"],
        outbox_state="queued",
        outbox_error="Too fast.",
    )
    problem = bubble_of(waits, UTC, SENT).problem
    assert problem is not None
    assert (problem.said, problem.can_retry, problem.can_discard) == ("Not sent yet. Too fast.", False, True)


@pytest.mark.parametrize(
    ("size", "thumbnail_bytes", "is_shown"),
    [
        ((None, None), None, False),
        ((60_000, 60_000), None, False),
        ((10_000, 4_500), None, False),
        ((8_000, 5_000), None, True),
        ((4_000, 3_000), 9_000, True),
    ],
)
def test_a_picture_that_could_not_be_measured_or_is_giant_is_not_unfolded_in_anybodys_browser(
    size: tuple[int | None, int | None], thumbnail_bytes: int | None, is_shown: bool
) -> None:
    told: dict[str, Any] = {"media_state": "stored", "media_mime_type": "image/png", "media_file_name": "a.png"}
    told |= {"media_width": size[0], "media_height": size[1], "media_thumbnail_bytes": thumbnail_bytes}
    for kind in ("image", "sticker"):
        shown = html_of(message(type=kind, **told))
        assert ("<img" in shown) is is_shown
        assert ('class="document"' in shown) is not is_shown


def test_details_that_stand_beside_a_code_without_their_object_are_told() -> None:
    """As in older captures (meta-protocol 1.3)."""
    error = {"code": 131026, "title": "Message undeliverable", "details": "as an old capture has it"}
    one = message(direction="outbound", origin="api", status=STATUS_RANK["failed"], errors=[error])
    problem = bubble_of(one, UTC, SENT).problem
    assert problem is not None
    assert "WhatsApp says: as an old capture has it (131026)" in problem.said
    (told,) = refusals.told(1, msgspec.json.encode([error]), SENT)
    assert told.said.endswith("as an old capture has it)")
