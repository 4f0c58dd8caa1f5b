"""The reports: who answered and how soon, what was free and what Meta charges for, and nobody else's figures."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.outbound.actions import send_text
from coexist.outbound.payload import callback_data
from coexist.people.model import Member
from coexist.reports import replies
from coexist.reports.replies import AnsweredBy, Waits
from coexist.web.reports import waited
from tests.support.business import KEYRING, Business, conversation_of, echo, inbound, status
from tests.web.conftest import Site
from tests.web.test_imports import chunk, past, text


async def waits_of(site: Site, since: datetime) -> dict[AnsweredBy, Waits]:
    async with transaction(site.pool) as conn:
        found = await replies.waits(conn, business_of(site).member.account_id, [business_of(site).inbox.id], since)
    assert [each.answered_by for each in found] == list(AnsweredBy)
    return {each.answered_by: each for each in found if each.count}


def ago(**span: int) -> datetime:
    """So long before now, in whole seconds, as Meta's times are."""
    return clock.now().replace(microsecond=0) - timedelta(**span)


def business_of(site: Site) -> Business:
    assert site.business is not None
    return site.business


async def send(site: Site, words: str) -> str:
    """Send from the inbox to the only customer; our reference, as statuses give it back."""
    our_ref = uuid4()
    conversation_id = await conversation_of(site.pool)
    async with transaction(site.pool) as conn:
        await send_text(conn, KEYRING, business_of(site).member, conversation_id, words, our_ref=our_ref)
    return callback_data(our_ref)


def priced(change: dict[str, Any], **pricing: Any) -> dict[str, Any]:
    """The status as Meta tells it with a price."""
    change["value"]["statuses"][0]["pricing"] = {"pricing_model": "PMP", **pricing}
    return change


@pytest.mark.requirement("E5")
async def test_answers_from_the_phone_and_from_the_team_are_counted_apart(site: Site) -> None:
    began = ago(minutes=50)
    await site.deliver(
        inbound("wamid.A1", "Tem jiboia?", at=began),
        inbound("wamid.A2", "E vaso?", at=began + timedelta(minutes=2)),
        echo("wamid.B", "Tem sim", at=began + timedelta(minutes=10)),
        echo("wamid.B2", "Os dois", at=began + timedelta(minutes=11)),
        inbound("wamid.C", "Quanto?", at=began + timedelta(minutes=20)),
    )
    assert await waits_of(site, began) == {
        AnsweredBy.PHONE: Waits(AnsweredBy.PHONE, 1, 600, 600),
        AnsweredBy.NOBODY: Waits(AnsweredBy.NOBODY, 1, None, None),
    }
    our_ref = await send(site, "30 euros")
    assert AnsweredBy.TEAM not in await waits_of(site, began), "it is not under way yet"
    await site.deliver(status("wamid.D", "sent", our_ref=our_ref))
    found = await waits_of(site, began)
    assert set(found) == {AnsweredBy.PHONE, AnsweredBy.TEAM}
    assert found[AnsweredBy.TEAM].median_s == pytest.approx(30 * 60, abs=10)
    assert set(await waits_of(site, began + timedelta(minutes=15))) == {AnsweredBy.TEAM}, "the first began earlier"


@pytest.mark.requirement("E5")
async def test_the_apps_own_greeting_ends_no_wait(site: Site) -> None:
    began = ago(minutes=30)
    await site.deliver(
        inbound("wamid.A", "Olá", at=began),
        echo("wamid.B", "Olá! Respondemos em breve.", at=began + timedelta(seconds=1)),
        echo("wamid.C", "Bom dia, diga", at=began + timedelta(minutes=4)),
    )
    assert await waits_of(site, began) == {AnsweredBy.PHONE: Waits(AnsweredBy.PHONE, 1, 240, 240)}


@pytest.mark.requirement("D7", "E5")
async def test_an_import_and_a_failed_message_are_in_no_report(site: Site) -> None:
    await site.deliver(chunk(past(1, 0, text("Tem jiboia?"))))
    _, page = await site.get("/reports?days=90")
    assert "Nobody wrote in these days." in page
    assert "Nothing was sent in these days." in page
    began = ago(minutes=5)
    await site.deliver(inbound("wamid.A", "Olá", at=began))
    async with site.pool.connection() as conn:
        cursor = await conn.execute("SELECT conversation_id FROM messages WHERE wamid = 'wamid.A'")
        ((conversation_id,),) = await cursor.fetchall()
        our_ref = uuid4()
        await send_text(conn, KEYRING, business_of(site).member, conversation_id, "Bom dia", our_ref=our_ref)
    failed = status("wamid.F", "failed", our_ref=callback_data(our_ref), errors=[{"code": 131026}])
    await site.deliver(failed)
    assert set(await waits_of(site, began)) == {AnsweredBy.NOBODY}


@pytest.mark.requirement("G10")
async def test_what_is_free_and_what_is_charged_shows_in_the_report_and_at_the_message(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "Olá", at=clock.now() - timedelta(minutes=5)), echo("wamid.B", "Bom dia"))
    free, charged = await send(site, "Temos sim"), await send(site, "Promoção")
    unpriced = await send(site, "Ainda sem preço")
    await send(site, "Ainda na fila")
    await site.deliver(
        status("wamid.3", "sent", our_ref=unpriced),
        priced(status("wamid.1", "sent", our_ref=free), billable=False, type="free_customer_service",
               category="service"),
        priced(status("wamid.2", "sent", our_ref=charged), billable=True, type="regular", category="marketing"),
    )  # fmt: skip
    _, page = await site.get("/reports")
    rows = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page)
    ]
    assert ["Sent from the phone app: always free", "–", "1"] in rows
    assert ["Sent from here: free", "service", "1"] in rows
    assert ["Sent from here: charged by Meta", "marketing", "1"] in rows
    assert ["Sent from here: Meta has not told the price", "–", "1"] in rows
    _, page = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert page.count("Charged by Meta: marketing") == 2, "in words, and at the time"
    assert "Free of charge: service" in page
    assert "Free: sent from the phone app" in page


async def test_reports_are_of_ones_own_numbers(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.A", "Olá"), echo("wamid.B", "Bom dia"))
    await site.sign_in(stranger)
    _, page = await site.get("/reports")
    assert "Nothing was sent in these days." in page
    answer, _ = await site.get("/reports?inbox=1")
    assert answer == 404


@pytest.mark.parametrize("query", ["days=8", "days=x", "inbox=-1", "inbox=99999999999999999999", "inbox=" + "9" * 5000])
async def test_a_wrong_choice_says_so(site: Site, query: str) -> None:
    answer, _ = await site.get(f"/reports?{query}")
    assert answer == 422


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0, "0 s"), (59.4, "59 s"), (90, "2 min"), (3600, "1 h"), (7500, "2 h 5 min"), (99_000, "1 d 3 h")],
)
def test_times_of_waiting_in_words(seconds: float | None, said: str) -> None:
    assert waited(seconds) == said


async def test_a_number_beyond_all_ids_does_not_exist(site: Site) -> None:
    answer, _ = await site.get(f"/reports?inbox={'9' * 18}")
    assert answer == 404
