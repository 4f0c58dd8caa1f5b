"""A connection's life: what Meta has to be asked, tokens that end, phones that fall silent, sends that wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coexist.base import clock, config
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.coexistence import actions, life_store, life_watch
from coexist.inbox import connection, inboxes
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.meta.graph import Graph
from tests.support.business import NUMBER, WABA, Business, deliver, echo, inbound, open_business
from tests.support.intake import KEYRING
from tests.support.outbox import send_due, states, write
from tests.support.scripted_graph import ScriptedGraph, error

OFF, ON = "ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED"
LATER = timedelta(minutes=2)


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    given = {"COEXIST_APP_ID": "1900100200300", "COEXIST_APP_SECRET": "new,old", "COEXIST_DATA_DIR": str(tmp_path)}
    return config.load(given)


async def tell(business: Business, *events: str) -> None:
    for event in events:
        await deliver(business.pool, {"field": "account_update", "value": {"event": event}})


async def state(business: Business, inbox: Inbox | None = None) -> str:
    async with transaction(business.pool) as conn:
        return (await inboxes.get(conn, business.inbox.account_id, (inbox or business.inbox).id)).state


async def ask(business: Business, graph: Graph, after: timedelta = LATER) -> int:
    """Let the worker ask what is due by then."""
    at = clock.now() + after
    with clock.reading(lambda: at):
        return await life_watch.ask_due(business.pool, graph, KEYRING)


def number(status: str, number_id: str = NUMBER) -> web.Response:
    return web.json_response({"id": number_id, "is_on_biz_app": True, "platform_type": "CLOUD_API", "status": status})


async def timeline(business: Business, event: str) -> list[Any]:
    async with transaction(business.pool) as conn:
        found = await life_store.entries(conn, business.inbox.id, 100)
    return [entry.value for entry in found if entry.event == event]


@pytest.mark.requirement("G1")
async def test_an_app_that_lost_its_access_was_ours_if_meta_refuses_us(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    info = {"waba_id": WABA, "owner_business_id": "601", "partner_app_id": "4004"}
    told = {"field": "account_update", "value": {"event": "PARTNER_APP_UNINSTALLED", "waba_info": info}}
    await deliver(business.pool, told)
    assert await state(business) == "connected", "it may have been another's"
    scripted.answers.extend([error(190, status=401)])
    assert await ask(business, graph) == 1
    assert await state(business) == "token_invalid"


@pytest.mark.requirement("G1", "G2")
@pytest.mark.parametrize(("events", "says", "wanted"), [((ON, OFF), "CONNECTED", "connected"),
                                                        ((OFF, ON), "OFFLINE", "offboarded")])  # fmt: skip
async def test_meta_decides_when_nobody_knows_the_order(
    business: Business, graphs: tuple[ScriptedGraph, Graph], events: tuple[str, str], says: str, wanted: str
) -> None:
    scripted, graph = graphs
    await tell(business, *events)
    scripted.answers.extend([number(says), number(says)])
    assert await ask(business, graph, timedelta(0)) == 0, "both events shall be here first"
    assert await ask(business, graph) == 1
    assert await state(business) == wanted
    (value,) = await timeline(business, connection.META_TOLD)
    assert value == {"is_on_biz_app": True, "platform_type": "CLOUD_API", "status": says, "state": wanted}
    await ask(business, graph, 2 * LATER)  # an answer that contradicts is asked for again: Meta's lag
    assert await ask(business, graph, timedelta(days=1)) == 0
    assert await state(business) == wanted


@pytest.mark.requirement("G1")
async def test_what_happens_while_meta_answers_happened_after_the_answer(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await tell(business, ON, OFF)
    now = clock.now() + LATER

    async def answer(asked: Any) -> web.Response:
        nonlocal now
        removal = Line(business.inbox.id, now + timedelta(seconds=2), "account_update", "PARTNER_REMOVED", {})
        async with transaction(business.pool) as conn:
            await connection.record(conn, [removal])
        now += timedelta(seconds=5)  # so long was the answer on its way
        return number("CONNECTED")

    scripted.answers.extend([answer, answer])
    with clock.reading(lambda: now):
        assert await life_watch.ask_due(business.pool, graph, KEYRING) == 1
    assert await state(business) == "removed"


async def connect_another(business: Business) -> Inbox:
    """A second number of the same WhatsApp account."""
    async with transaction(business.pool) as conn:
        return await actions.connect(
            conn, KEYRING, account_id=business.inbox.account_id, waba_id=WABA, phone_number_id="2",
            display_phone_number="351210559001", token="EAAother", is_coexistence=True,
            onboarded_at=clock.now() - timedelta(hours=1),
        )  # fmt: skip


@pytest.mark.requirement("G2")
async def test_each_number_of_the_account_is_asked_about(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    other = await connect_another(business)
    await tell(business, OFF)

    def answer(asked: Any) -> web.Response:
        return number("CONNECTED", "2") if asked.what.endswith("/2") else number("OFFLINE")

    scripted.answers.extend([answer, answer])
    assert await ask(business, graph) == 2
    assert (await state(business), await state(business, other)) == ("offboarded", "connected")


@pytest.mark.requirement("G2")
async def test_a_removal_that_names_no_number_may_be_another_ones(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    value = {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA, "owner_business_id": "7"}}
    await deliver(business.pool, {"field": "account_update", "value": value})
    assert await state(business) == "removed"
    scripted.answers.extend([number("CONNECTED"), number("CONNECTED")])
    assert await ask(business, graph) == 1
    assert await state(business) == "connected", "another number of the account, which is not connected here, left"


async def test_a_question_without_an_answer_is_asked_again_and_ends(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    await tell(business, OFF)
    for n in range(life_watch.ASKED_COUNT):
        assert await ask(business, graph, (n + 1) * LATER) == 1
    assert await ask(business, graph, timedelta(days=1)) == 0
    assert await state(business) == "offboarded"
    (value,) = await timeline(business, connection.META_TOLD)
    assert value["code"] == 100


async def test_a_removal_that_names_the_number_needs_no_question(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    value = {"event": "PARTNER_REMOVED", "phone_number": business.inbox.display_phone_number}
    await deliver(business.pool, {"field": "account_update", "value": value})
    assert await ask(business, graphs[1]) == 0
    assert await state(business) == "removed"


@pytest.mark.requirement("G3")
async def test_what_waited_goes_in_order_and_once_when_meta_says_that_the_number_is_back(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await deliver(business.pool, inbound("wamid.IN", "Olá"))
    await tell(business, OFF)
    scripted.answers.append(number("OFFLINE"))
    await ask(business, graph)
    for text in ("um", "dois", "três"):
        await write(business, text)
    assert await send_due(business, graph) == 0
    assert await states(business) == ["queued"] * 3
    async with transaction(business.pool) as conn:
        assert await life_store.waiting_count(conn, business.inbox.id) == 3
    await tell(business, ON)
    scripted.answers.append(number("CONNECTED"))
    await ask(business, graph, 2 * LATER)
    while await send_due(business, graph):
        pass
    assert [asked.body["text"]["body"] for asked in scripted.of("/messages")] == ["um", "dois", "três"]
    assert await states(business) == ["accepted"] * 3


# ── the phone ─────────────────────────────────────────────────────────────────────────────────────────────


async def sign(business: Business) -> tuple[str, datetime]:
    async with transaction(business.pool) as conn:
        found = await life_store.sign(conn, business.inbox.id)
    assert found is not None
    return found.source, found.at


@pytest.mark.requirement("G5")
async def test_the_newest_sign_of_the_phone_counts(business: Business) -> None:
    assert await sign(business) == ("connected", business.inbox.onboarded_at)
    await deliver(business.pool, inbound("wamid.IN", "Olá"))
    assert (await sign(business))[0] == "connected", "a customer is no sign of the phone"
    await deliver(business.pool, echo("wamid.ECHO", "Olá do telefone"))
    source, at = await sign(business)
    assert source == "message"
    assert clock.now() - at < timedelta(minutes=1)


@pytest.mark.requirement("G2", "G5")
async def test_a_return_that_may_be_another_numbers_is_no_sign_of_this_phone(business: Business) -> None:
    await tell(business, ON)
    assert (await sign(business))[0] == "reconnected"
    await connect_another(business)
    assert (await sign(business))[0] == "connected", "the account came back: with which of its phones, nobody said"


@pytest.mark.requirement("G5")
async def test_a_sign_up_of_long_ago_is_no_sign_of_the_phone(business: Business) -> None:
    """A number that is connected by hand has lived on its phone all the time, and WhatsApp has kept it."""
    old = clock.now() - timedelta(days=90)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET onboarded_at = %s", (old,))
        assert await life_store.sign(conn, business.inbox.id) is None
    with clock.reading(lambda: datetime.now(UTC) + timedelta(days=30)):
        await life_watch.remind_all(business.pool)
    assert await timeline(business, "PHONE_QUIET") == [], "nothing is known, and nobody is alarmed"
    await deliver(business.pool, echo("wamid.ECHO", "Olá do telefone"))
    assert (await sign(business))[0] == "message"


@pytest.mark.requirement("G5")
async def test_people_are_reminded_once_per_stage(business: Business) -> None:
    begun = business.inbox.onboarded_at

    async def remind(days: float) -> list[str]:
        with clock.reading(lambda: begun + timedelta(days=days)):
            await life_watch.remind_all(business.pool)
        return sorted(value["stage"] for value in await timeline(business, life_watch.PHONE_QUIET))

    assert await remind(6.9) == []
    assert await remind(7) == ["amber"]
    assert await remind(10.9) == ["amber"]
    assert await remind(11) == ["amber", "red"]
    assert await remind(20) == ["amber", "red"]
    await deliver(business.pool, echo("wamid.ECHO", "Olá"))  # it lives: a new silence is a new story
    begun = (await sign(business))[1]
    assert await remind(6) == ["amber", "red"]
    assert await remind(8) == ["amber", "amber", "red"]
