"""The one-shot sync, as Meta sends it on good and on bad days: what is here at its end is what the phone shows."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from simulator.config import Pace
from tests.flows.agent import signed_in
from tests.flows.expected import Json
from tests.flows.shop import LIVELY, of_kind, open_shop
from tests.flows.truth import Known
from tests.support.product import connect

KEEP_OPEN: Final = timedelta(days=14)
"""How recent an unanswered customer must be not to be filed: the default of a new inbox."""

EVERYTHING_WRONG: Final = {
    "duplicate": 0.3,
    "reorder": 0.5,
    "split": 0.4,
    "merge": 4,
    "drop_then_retry": 0.3,
    "status_disorder": 1.0,
    "webhook_media_url": True,
}


@pytest.mark.requirement("B7", "C5", "D1", "D4", "D6", "D8", "D12", "F2")
async def test_all_that_the_phone_shares_is_here_and_disturbed_nobody(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=2_000) as shop:
        await connect(shop.product, shop.phone)
        lines = await shop.check()
        (inbox,) = of_kind(lines, "inbox")
        assert (inbox["sync"]["history"]["state"], inbox["sync"]["history"]["progress"]) == ("completed", 100)
        assert inbox["counts"]["imported_messages"] == inbox["counts"]["messages"] > 1_500
        assert inbox["counts"]["media_stored"] > 10

        newest = {line["conversation"]: line for line in of_kind(lines, "message")}  # sorted by time
        recent = datetime.fromisoformat(inbox["onboarded_at"]) - KEEP_OPEN
        for line in of_kind(lines, "conversation"):
            assert (line["unread_count"], line["window"]["why"]) == (0, "never")
            last = newest[line["id"]]
            waits = last["direction"] == "inbound" and datetime.fromisoformat(last["sent_at"]) >= recent
            assert line["status"] == ("open" if waits else "resolved"), last
        assert {line["status"] for line in of_kind(lines, "conversation")} == {"open", "resolved"}
        assert await shop.ask("SELECT count(*) FROM outbox") == 0
        assert await shop.ask("SELECT count(*) FROM events WHERE kind = 'message_added'") == 0


@pytest.mark.requirement("B8", "C2", "C3", "C9", "D1", "D12", "D14", "F9")
async def test_everything_goes_wrong_on_the_way_while_people_go_on_writing(database_url: str, tmp_path: Path) -> None:
    pace = Pace(chunk_delay_ms=40, delivered_ms=30, read_ms=(30, 90), parallel_count=6)
    async with open_shop(database_url, tmp_path, message_count=600, pace=pace) as shop:
        await shop.tell("faults", **EVERYTHING_WRONG)
        connecting = asyncio.create_task(connect(shop.product, shop.phone))
        new = (await shop.tell("new-customer", text="Oi"))["chat"]  # before anybody is subscribed: told to nobody
        await connecting
        for chat in ("marina-souza", "sofia-navarro", "pablo-morales", "emma-clarke", new):
            await shop.trade(chat)
        await shop.tell("contact/save", chat=new, name="Cliente da terra")
        await shop.tell("contact/save", chat="marina-souza", name="Marina S.")
        lines = await shop.check()
    history = of_kind(lines, "inbox")[0]["sync"]["history"]
    assert (history["state"], history["progress"]) == ("completed", 100)


def told(line: Json) -> Json | None:
    """A message but for its ticks, which the history knows of messages that came as echoes, too."""
    return {**line, "status": None} if line["kind"] == "message" else None


@pytest.mark.requirement("B8", "D1", "D2", "D4", "D10")
async def test_a_history_with_oddities_and_then_the_same_once_more(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=300) as shop:
        await shop.tell("faults", placeholder_after_detail=True, own_number_variant=True, missing_end=True)
        await connect(shop.product, shop.phone)
        first = await shop.check()
        assert of_kind(first, "inbox")[0]["sync"]["history"]["state"] == "receiving", "100 % was never told"

        async with signed_in(shop) as agent:
            await shop.tell("new-customer", text="Tem mudas?", name="Quitéria Lobo")
            await shop.trade("emma-clarke")
            await shop.quiet()
            await agent.write(await agent.conversation("Quitéria Lobo"), "Tem, de manjericão")
            before = await shop.check()

        await shop.tell("faults", placeholder_after_detail=False, own_number_variant=False, missing_end=False)
        await connect(shop.product, shop.phone)
        again = await shop.check()
    assert of_kind(again, "inbox")[0]["sync"]["history"]["state"] == "completed"
    assert of_kind(again, "contact") == of_kind(before, "contact")
    assert [told(line) for line in again] == [told(line) for line in before]


@pytest.mark.requirement("B6")
async def test_a_declined_history_is_a_decision_and_no_failure(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=60) as shop:
        for is_bare in (True, False):
            await shop.tell("faults", declined_bare=is_bare)
            await connect(shop.product, shop.phone, share=False)
            await shop.tell("customer/send", chat="marina-souza", text="Oi de novo")
            (inbox, *_) = await shop.check()
            history = inbox["sync"]["history"]
            assert (history["state"], history["error"], history["progress"]) == ("declined", None, 0)
        async with signed_in(shop) as agent:
            assert "The business chose not to share its chat history" in await agent.page("/inboxes/1/sync")


@pytest.mark.requirement("B11")
async def test_switched_off_nothing_is_imported_and_the_page_says_why(database_url: str, tmp_path: Path) -> None:
    settings = {"COEXIST_SYNC_HISTORY": "false", "COEXIST_SYNC_CONTACTS": "false"}
    async with open_shop(database_url, tmp_path, message_count=60, settings=settings) as shop:
        said = await connect(shop.product, shop.phone)
        assert "switched off" in said
        assert (await shop.look("truth"))["connection"]["requested"] == {}
        for kind in ("smb_app_state_sync", "history"):  # somebody asks past us, and it all comes
            await shop.graph("555100020003000/smb_app_data", messaging_product="whatsapp", sync_type=kind)
        await shop.tell("contact/save", chat="marina-souza", name="Marina S.")
        await shop.tell("customer/send", chat="marina-souza", text="Oi")
        await shop.tell("owner/send", chat="emma-clarke", text="Hello Emma")
        shop.known = Known(takes_history=False, takes_book=False)
        lines = await shop.check()
        assert {line["text"] for line in of_kind(lines, "message")} == {"Oi", "Hello Emma"}
        sync = of_kind(lines, "inbox")[0]["sync"]
        assert (sync["contacts"]["state"], sync["history"]["state"]) == ("switched_off", "switched_off")
        async with signed_in(shop) as agent:
            page = await agent.page("/inboxes/1/sync")
        assert "Taking in history from the phone is switched off here, so none was asked for." in page
        assert "Taking in contacts from the phone is switched off here, so none were asked for." in page


@pytest.mark.requirement("A6")
async def test_what_came_before_the_number_was_connected_here_is_applied_then(
    database_url: str, tmp_path: Path
) -> None:
    async with open_shop(database_url, tmp_path, message_count=60, pace=LIVELY) as shop:
        told = await shop.tell("onboard")
        await shop.graph(f"{told['waba_id']}/subscribed_apps", token=told["token"])
        await shop.trade("marina-souza")
        await shop.trade((await shop.tell("new-customer", text="Oi"))["chat"])
        await shop.quiet()
        deliveries = (await shop.look("deliveries"))["deliveries"]
        assert [one["attempts"][-1]["status"] for one in deliveries] == [200] * len(deliveries) != []
        await connect(shop.product, shop.phone, "--no-sync")
        shop.known = Known(takes_book=False)
        lines = await shop.check()
        assert len(of_kind(lines, "conversation")) == 2
