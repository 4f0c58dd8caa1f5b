"""What becomes of a connected number: away for a while and back, taken away, connected anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.agent import Agent, signed_in
from tests.flows.shop import open_shop
from tests.support.product import connect
from tests.support.waiting import until


async def until_shown(agent: Agent, path: str, words: str) -> None:
    """Wait until a page says so."""

    async def is_shown() -> bool:
        return words in await agent.page(path)

    await until(is_shown, f"{path} says {words!r}")


@pytest.mark.requirement("G1", "G3")
async def test_a_number_that_is_away_for_a_while(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=60) as shop:
        await connect(shop.product, shop.phone)
        await shop.tell("new-customer", text="Oi", name="Quitéria Lobo")
        async with signed_in(shop) as agent:
            await shop.quiet()
            talk = await agent.conversation("Quitéria Lobo")
            await shop.tell("change-phone", reconnect_after_s=None)
            await shop.tell("owner/send", chat="marina-souza", text="escrito no telefone novo")  # told to nobody
            await until_shown(agent, "/inboxes", "Disconnected for now")
            (inbox, *_) = await shop.check()
            assert inbox["state"] == "offboarded"
            await agent.write(talk, "Volto já")
            await shop.tell("reconnect")
            (inbox, *_) = await shop.check()
            assert inbox["state"] == "connected"
            assert "Disconnected for now" not in await agent.page("/inboxes")


@pytest.mark.requirement("G1")
async def test_a_number_that_is_taken_away_and_connected_anew(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=60) as shop:
        await connect(shop.product, shop.phone)
        await shop.tell("new-customer", text="Oi", name="Quitéria Lobo")
        async with signed_in(shop) as agent:
            await shop.quiet()  # the customer's name is here
            talk = await agent.conversation("Quitéria Lobo")
            for is_by_portfolio in (False, True):  # both documented shapes of the news
                await shop.quiet()  # a file that is not fetched before the end waits until the number is back
                await shop.tell("disconnect", by_portfolio=is_by_portfolio, initiated_by="USER")
                await until_shown(agent, "/inboxes", "The number was disconnected from here")
                await until_shown(agent, talk, "WhatsApp&#39;s reason: the account was disconnected or closed.")
                if is_by_portfolio:
                    (inbox, *_) = await shop.check()
                    assert (inbox["state"], inbox["state_initiated_by"]) == ("removed", "USER")
                await shop.tell("customer/send", chat="marina-souza", text="Ainda estão aí?")  # the history will tell
                await connect(shop.product, shop.phone)
                assert "The number was disconnected from here" not in await agent.page("/inboxes")
            await shop.tell("customer/send", chat="marina-souza", text="Voltaram?")
            (inbox, *_) = await shop.check()
            assert (inbox["state"], inbox["state_reason"]) == ("connected", None)
