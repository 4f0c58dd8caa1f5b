"""Meta's webhook as Meta uses it, and what may be delivered again in any way without changing anything."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from tests.flows.expected import Json
from tests.flows.shop import Shop, of_kind, open_shop, signature
from tests.support import databases
from tests.support.product import ACCOUNT, VERIFY_TOKEN

LARGEST_BYTES = 4 * 1024 * 1024


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose size nobody was told before."""
    while size > 0:
        yield b"x" * min(size, 65_536)
        size -= 65_536


def customer_writes(wamid: str, text: str) -> bytes:
    """A webhook with a message that the phone does not show."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "5511985500101", "phone_number_id": "555100020003000"},
        "messages": [{"from": "447700900188", "id": wamid, "timestamp": "1790000000", "type": "text",
                      "text": {"body": text}}],
    }  # fmt: skip
    entry = {"id": "701122334455667", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


async def test_the_dashboard_verifies_the_address(shop: Shop) -> None:
    async def ask(**query: str) -> tuple[int, str]:
        named = {f"hub.{name}": value for name, value in query.items()}
        async with shop.phone.session.get(f"{shop.url}/webhook", params=named) as response:
            return response.status, await response.text()

    challenge = {"mode": "subscribe", "challenge": "1158201444"}
    assert await ask(**challenge, verify_token=VERIFY_TOKEN) == (200, "1158201444")
    assert (await ask(**challenge, verify_token="another-token"))[0] == 403
    assert (await ask(mode="unsubscribe", challenge="1", verify_token=VERIFY_TOKEN))[0] == 403
    assert (await ask())[0] == 403


@pytest.mark.requirement("C1")
async def test_what_is_not_from_meta_or_too_large_leaves_no_trace(shop: Shop) -> None:
    journaled = "SELECT count(*) FROM journal"
    before = await shop.ask(journaled)
    body = customer_writes("wamid.FORGED", "Transfira para esta conta")
    noted = "SELECT count(*) FROM webhook_sightings WHERE field = 'signature refused'"
    assert await shop.deliver(body, "") == 401
    assert await shop.ask(noted) == 0, "whoever signs nothing is not Meta"
    for signed in ("", signature(body, "another-secret"), signature(body + b" "), "sha256=", signature(body)[7:]):
        assert await shop.deliver(body, signed) in (401, 403)
    for size in (LARGEST_BYTES + 1, 2 * LARGEST_BYTES):
        assert await shop.deliver(b"x" * size) == 413
    async with shop.phone.session.post(f"{shop.url}/webhook", data=in_pieces(LARGEST_BYTES + 1)) as response:
        assert response.status == 413
    assert await shop.ask(journaled) == before
    assert await shop.ask(noted) == 1, "for the doctor: the secret may be wrong"
    entry = {"id": "701122334455667", "changes": [{"field": "of_next_year", "value": {"is": "new"}}]}
    assert await shop.deliver(json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()) == 200
    assert await shop.ask(journaled) == before + 1
    await shop.check()


@pytest.mark.requirement("C1")
async def test_a_stale_secret_is_refused_until_it_is_right_again(shop: Shop) -> None:
    await shop.tell("faults", stale_secret="the-secret-of-last-year")
    await shop.tell("customer/send", chat="marina-souza", text="Oi?")
    await shop.tell("faults", stale_secret=None)
    await shop.check()


@pytest.mark.requirement("C1")
async def test_while_the_secret_changes_both_count_and_then_the_new_one_alone(shop: Shop) -> None:
    entry = {"id": "701122334455667", "changes": [{"field": "of_next_year", "value": {"is": "new"}}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    former, new = shop.product.environment["COEXIST_APP_SECRET"], "the-secret-of-next-year"

    async def taken(secrets: str) -> list[int]:
        await shop.product.stop()
        shop.product.environment["COEXIST_APP_SECRET"] = secrets
        await shop.product.start()
        return [await shop.deliver(body, signature(body, secret)) for secret in (former, new, "another")]

    assert await taken(f"{new}, {former}") == [200, 200, 401]
    assert await taken(new) == [401, 200, 401]
    assert await taken(former) == [200, 401, 401]
    await shop.check()


async def deliveries(shop: Shop) -> list[Json]:
    """The bodies of every webhook that the phone sent."""
    told = (await shop.look("deliveries?n=1000&bodies=1"))["deliveries"]
    return [json.loads(one["body"]) for one in reversed(told)]


def shuffled(bodies: list[Json], chance: random.Random) -> Iterator[bytes]:
    """Every entry and every change twice, in other company than before, in any order."""
    changes = [(entry["id"], entry.get("time"), change) for body in bodies for entry in body["entry"]
               for change in entry["changes"]] * 2  # fmt: skip
    chance.shuffle(changes)
    while changes:
        together = [changes.pop() for _ in range(min(len(changes), chance.randint(1, 6)))]
        entries = [{"id": name, "changes": [change]} | ({"time": at} if at else {}) for name, at, change in together]
        yield json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()


@pytest.mark.requirement("C2", "C3", "D1")
async def test_all_of_it_again_in_any_order_company_and_number_at_once_changes_nothing(shop: Shop) -> None:
    await shop.trade("emma-clarke")
    before = await shop.check()
    bodies = list(shuffled(await deliveries(shop), random.Random(7)))
    for start in range(0, len(bodies), 12):
        assert set(await asyncio.gather(*(shop.deliver(body) for body in bodies[start : start + 12]))) == {200}
    assert await shop.check() == before


@pytest.mark.requirement("C3")
async def test_the_whole_journal_applied_again_changes_nothing(shop: Shop) -> None:
    await shop.trade("priya-shah")
    before = await shop.check()
    said = await shop.product.run("replay", "--all")
    assert int(said.split(" ", 1)[0]) > 10
    assert await shop.check() == before


@pytest.mark.requirement("C3")
async def test_the_journal_of_one_installation_fills_an_empty_one(
    shop: Shop, server_url: str, template_name: str, tmp_path: Path
) -> None:
    await shop.trade("camila-rojas")
    before = await shop.check()
    shutil.copy(shop.folder / "secret.key", tmp_path)  # a journal goes nowhere without its key
    async with databases.clone(server_url, template_name) as url, beside_the_same_phone(shop, url, tmp_path) as empty:
        await copy_journal(shop.database_url, url)
        told = await shop.tell("token")
        await empty.product.run(
            "connect", "--account", ACCOUNT, "--waba-id", told["waba_id"], "--phone-number-id",
            told["phone_number_id"], "--display-number", told["display_phone_number"],
            "--portfolio-id", told["business_id"], "--no-sync", typed=told["token"],
        )  # fmt: skip
        await empty.product.run("replay", "--all")
        again = await empty.check()
    for kind in ("contact", "conversation", "message"):
        assert of_kind(again, kind) == of_kind(before, kind)


@asynccontextmanager
async def beside_the_same_phone(shop: Shop, database_url: str, folder: Path) -> AsyncIterator[Shop]:
    """Another installation, to which the phone sends nothing: only Graph answers it."""
    graph = {"COEXIST_GRAPH_URL": shop.phone.address}
    async with open_shop(database_url, folder, settings=graph, message_count=0) as other:
        yield Shop(other.product, shop.phone, folder)


async def copy_journal(source: str, target: str) -> None:
    """What an operator does with ``pg_dump --table journal``."""
    async with (
        await psycopg.AsyncConnection.connect(source) as old,
        await psycopg.AsyncConnection.connect(target) as new,
        old.cursor().copy("COPY journal (received_at, body) TO STDOUT") as out,
        new.cursor().copy("COPY journal (received_at, body) FROM STDIN") as into,
    ):
        async for block in out:
            await into.write(block)
