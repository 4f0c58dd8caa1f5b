"""The coverage map: each day as what it is, for a number and for a conversation, in marks and in words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from coexist.base.database import transaction
from coexist.coexistence.coverage import COMING_IN_S, CoverageMap, Day
from coexist.people.model import Member
from coexist.web.coverage import MONTHS_SHOWN, months_of, older_of
from tests.support.business import conversation_of, inbound
from tests.web.conftest import Site
from tests.web.test_imports import LONG_AGO, chunk, past, text

TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def found(*days: Day) -> CoverageMap:
    return CoverageMap(TODAY - timedelta(days=40), NOON, days)


def test_each_day_is_marked_as_what_it_is() -> None:
    november, october = months_of(
        found(
            Day(date(2026, 10, 1), 2, 0, 2), Day(date(2026, 11, 2), 3, 0, 0), Day(date(2026, 11, 3), 3, 1, 0)
        ),
        TODAY,
    )  # fmt: skip
    marks = dict(november.marks)
    assert (marks[2], marks[3], marks[4], marks[21]) == ("held", "partial", "silent", "future")
    assert november.words == "6 messages on 2 days, 1 with content on the phone only, 18 days without a sign."
    marks = dict(october.marks)
    assert (marks[1], marks[2], marks[10], marks[11]) == ("exported", "beyond", "beyond", "silent")
    assert "2 from exported chats" in october.words
    assert "9 days beyond WhatsApp's reach" in october.words


def test_what_is_older_than_the_months_shown_is_one_sum() -> None:
    monthly = [Day(date(2019 + n // 12, n % 12 + 1, 5), 7, 0, 7) for n in range(MONTHS_SHOWN)]
    told = found(*monthly, Day(TODAY, 1, 0, 0))
    months = months_of(told, TODAY)
    assert sum(bool(month.marks) for month in months) == MONTHS_SHOWN
    assert months[-1].title == "March 2019"
    assert older_of(told, months) == 14


def test_months_that_whatsapp_never_shares_are_one_line() -> None:
    told = found(Day(date(2019, 1, 5), 7, 0, 7), Day(date(2019, 3, 5), 1, 0, 1), Day(TODAY, 1, 0, 0))
    months = months_of(told, TODAY)
    titles = ["November 2026", "October 2026", "April 2019 to September 2026", "March 2019", "February 2019"]
    assert [month.title for month in months] == [*titles, "January 2019"]
    assert [bool(month.marks) for month in months] == [True, True, False, True, False, True]
    assert months[-1].words == "7 messages on 1 day, 7 from exported chats, 30 days beyond WhatsApp's reach."
    assert older_of(told, months) == 0


async def test_a_number_and_a_conversation_have_a_map(site: Site) -> None:
    await site.deliver(chunk(past(1, 0, text("Tem jiboia?")), past(2, 0, {"type": "media_placeholder"})))
    status, page = await site.get("/inboxes/1/coverage")
    assert status == 200
    assert f"{LONG_AGO:%B %Y}" in page
    assert "2 messages on 1 day, 1 with content on the phone only" in page
    talk = await conversation_of(site.pool)
    assert f"/inboxes/1/coverage?conversation={talk}" in page
    await site.deliver(inbound("wamid.NEW", "Olá"))
    _, page = await site.get(f"/inboxes/1/coverage?conversation={talk}")
    assert "1 message on 1 day," in page, "a conversation is counted now"


async def counted_ago(site: Site, seconds: int) -> None:
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE coverages SET counted_at = counted_at - %s", (timedelta(seconds=seconds),))


async def test_a_number_whose_history_comes_in_is_counted_anew(site: Site) -> None:
    await site.deliver(chunk(past(1, 0, text("Tem jiboia?"))))
    _, page = await site.get("/inboxes/1/coverage")
    assert "1 message on 1 day" in page
    assert f'title="{LONG_AGO.day} {LONG_AGO:%B} {LONG_AGO.year}: messages"' in page
    await site.deliver(chunk(past(2, 0, text("Tem sim")), order=2))
    assert "1 message on 1 day" in (await site.get("/inboxes/1/coverage"))[1], "not at every look"
    await counted_ago(site, COMING_IN_S + 1)
    assert "2 messages on 1 day" in (await site.get("/inboxes/1/coverage"))[1]
    await site.deliver(inbound("wamid.NEW", "Olá"))
    await counted_ago(site, COMING_IN_S + 1)
    assert "1 message on 1 day," not in (await site.get("/inboxes/1/coverage"))[1], "nothing more of it came"


async def test_a_number_without_messages_has_an_empty_map(site: Site) -> None:
    status, page = await site.get("/inboxes/1/coverage")
    assert status == 200
    assert 'class="held"></i> Messages' in page
    assert 'class="held" title' not in page


@pytest.mark.parametrize(("path", "answer"), [("?conversation=x", 422), ("?conversation=999", 404)])
async def test_a_wrong_link_says_so(site: Site, path: str, answer: int) -> None:
    status, _ = await site.get(f"/inboxes/1/coverage{path}")
    assert status == answer


async def test_a_stranger_sees_no_map(site: Site, stranger: Member) -> None:
    await site.sign_in(stranger)
    status, _ = await site.get("/inboxes/1/coverage")
    assert status == 404
