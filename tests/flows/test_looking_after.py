"""`coexist quarantine`, `replay` and `journal`, as an operator types them: real processes, a real worker."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from coexist.base.database import Pool, connect_listen, transaction
from coexist.intake import worker
from coexist.intake.figures import has_worker
from tests.store.test_applying import BAD_DATA, PART, allow, message, refuse, rows, several, texts
from tests.support import intake, wire
from tests.support.business import open_business
from tests.support.command_line import Coexist
from tests.support.intake import KEYRING, SHOP, Number, body_of

STRANGE: Final = Number("555100020009999", "5511985500199", "709999999999999", "880011223344556")
FAR: Final = "2099-01-01T00:00:00Z"


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


@pytest.fixture
async def poisoned(shop: Pool) -> Pool:
    """A delivery of which the database refuses one message."""
    await refuse(shop, "NEW.text = 'guilty'", BAD_DATA)
    await intake.deliver(shop, [several("before", "guilty"), body_of(message("b", "behind"))])
    return shop


@asynccontextmanager
async def working(pool: Pool, database_url: str) -> AsyncIterator[None]:
    """A worker that applies what is in line, and is seen to listen as a real one is."""
    async with connect_listen(database_url, "coexist_backlog", application="coexist work listen"):
        loop = asyncio.create_task(worker.run(pool, KEYRING, worker.BULK_LANE, wake=asyncio.Event()))
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def test_an_empty_quarantine_says_so(coexist: Coexist) -> None:
    assert (await coexist("quarantine", "list")).out == "Nothing waits: all that came in is applied.\n"
    assert (await coexist("quarantine", "list", "--dismissed")).out == "Nothing was dismissed.\n"
    nothing = await coexist("quarantine", "retry", "--all")
    assert (nothing.code, "nothing to retry" in nothing.err) == (1, True)


@pytest.mark.requirement("C4")
async def test_what_waits_is_listed_shown_and_retried(coexist: Coexist, poisoned: Pool, database_url: str) -> None:
    listed = await coexist("quarantine", "list")
    assert listed.out.startswith("1  text message, ")
    assert "The database refused it." in listed.out
    assert PART.replace("[0].messages[0]", "[0].messages[1]") in listed.out
    assert "guilty" not in listed.out
    (line,) = (await coexist("quarantine", "list", "--json")).out.splitlines()
    assert {"id": 1, "journal_id": 1, "kind": "text message", "attempts": 1}.items() <= json.loads(line).items()
    shown = await coexist("quarantine", "show", "1")
    assert '"body": "guilty"' in shown.out
    raw = (await coexist("quarantine", "show", "1", "--raw")).out
    assert json.loads(raw)["text"] == {"body": "guilty"}
    assert raw in (await coexist("journal", "show", "1")).out

    unattended = await coexist("quarantine", "retry", "1")
    assert (unattended.code, unattended.out) == (0, "1 is in line. Start `coexist serve` or `coexist work`.\n")
    async with working(poisoned, database_url):
        failed = await coexist("quarantine", "retry", "1", "99")
        assert failed.code == 1
        assert "99: not in quarantine, or dismissed." in failed.out
        assert "1: failed again, for the same reason: DataException: refused by the test." in failed.out
        await allow(poisoned)
        applied = await coexist("quarantine", "retry", "--all")
        assert (applied.code, applied.out) == (0, "1: applied.\n")
    assert await texts(poisoned) == ["before", "behind", "guilty"]
    assert (await coexist("quarantine", "show", "1")).code == 1


async def test_dismissing_and_bringing_back(coexist: Coexist, poisoned: Pool) -> None:
    assert (await coexist("quarantine", "dismiss", "1")).code == 2, "a reason is asked for"
    assert "needs its reason" in (await coexist("quarantine", "dismiss", "1", "--why", " ")).err
    assert (await coexist("quarantine", "dismiss", "1", "--why", "an advert")).out.startswith("1 dismissed")
    assert "Nothing waits" in (await coexist("quarantine", "list")).out
    dismissed = (await coexist("quarantine", "list", "--dismissed")).out
    assert "on the command line: an advert" in dismissed
    assert (await coexist("quarantine", "restore", "1")).out == "1 listed again.\n"
    assert (await coexist("quarantine", "restore", "1")).code == 1


@pytest.mark.requirement("A6")
async def test_a_number_that_is_not_connected(coexist: Coexist, shop: Pool) -> None:
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await intake.deliver(shop, [body_of(strangers, waba_id=STRANGE.waba_id)])
    listed = (await coexist("quarantine", "list")).out
    assert listed.startswith(f"{STRANGE.phone_number_id}  1 delivery; it is not connected here\n")
    assert f"coexist connect --phone-number-id {STRANGE.phone_number_id}" in listed
    dismissed = await coexist("quarantine", "dismiss", "--number", STRANGE.phone_number_id, "--why", "a test number")
    assert dismissed.code == 0, dismissed.err
    assert "Nothing waits" in (await coexist("quarantine", "list")).out
    assert (await coexist("quarantine", "restore", "--number", STRANGE.phone_number_id)).code == 0


async def test_a_replay_by_range_says_how_many_and_how_far(coexist: Coexist, shop: Pool, database_url: str) -> None:
    await intake.deliver(shop, [body_of(message(name, name)) for name in "abcd"])
    dry = await coexist("replay", "--from", "2", "--to", "3", "--dry-run")
    assert dry.out == "2 deliveries would be applied again.\n"
    assert await rows(shop, "SELECT FROM backlog") == []
    assert (await coexist("replay", "--from", "2026-11-20T00:00:00Z", "--to", "3")).out.startswith(
        "3 deliveries are in"
    )
    abandoned = await coexist("replay", "--all", "--wait")
    assert abandoned.code == 1
    assert "4 deliveries wait, and no worker runs." in abandoned.err
    async with working(shop, database_url):
        waited = await coexist("replay", "--all", "--wait")
    assert (waited.code, waited.out.splitlines()[-1]) == (0, "All are applied.")
    assert await texts(shop) == list("abcd")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "--from", "3", "--to", "2"), "ends before it begins: 3 comes after 2"),
        (("replay", "--from", FAR), "begins in the future"),
        (("replay", "--from", "99"), "The journal ends before that, with delivery 1"),
        (("replay", "--to", "2001-01-01T00:00:00Z"), "The journal begins after that, with delivery 1"),
        (("replay", "--from", "yesterday"), "--from 'yesterday' is not a time"),
        (("replay", "--from", "2026-11-20T09:30:00"), "needs a time zone"),
        (("replay", "--from", "0"), "--from 0 is no id"),
        (("replay", "--all", "--from", "1"), "Say either --all"),
        (("quarantine", "retry"), "Say what to retry"),
        (("quarantine", "retry", "1", "--all"), "Say what to retry"),
        (("quarantine", "show", "7"), "Nothing in quarantine has the id 7"),
        (("quarantine", "dismiss", "--why", "x"), "Say what to dismiss"),
        (("quarantine", "list", "--account", "Nobody"), "There is no account 'Nobody'"),
        (("journal", "show", "7"), "The journal has no delivery 7"),
    ],
)
async def test_what_cannot_be_meant_is_said_in_a_sentence(
    coexist: Coexist, shop: Pool, arguments: tuple[str, ...], said: str
) -> None:
    await intake.deliver(shop, [body_of(message("a", "a"))])
    ended = await coexist(*arguments)
    assert ended.code in (1, 2)
    assert said in ended.err
    assert "Traceback" not in ended.err


async def test_an_empty_journal(coexist: Coexist) -> None:
    assert "The journal is empty" in (await coexist("replay", "--all")).err
    assert "nothing yet" in (await coexist("journal", "status")).out


async def test_the_journal_tells_what_it_holds_and_lets_go_of_what_is_old(coexist: Coexist, poisoned: Pool) -> None:
    async with transaction(poisoned) as conn:
        await conn.execute("UPDATE journal SET received_at = now() - interval '30 days'")
        assert not await has_worker(conn)
    told = (await coexist("journal", "status")).out
    assert "2, 0 of them of imports" in told
    assert "1 part, and 0 dismissed" in told
    assert "90 days; imports for ever" in told
    assert "none: start `coexist serve`" in told
    assert (await coexist("journal", "prune")).out.startswith("0 deliveries removed")
    short = {"COEXIST_JOURNAL_DAYS": "7"}
    assert (await coexist("journal", "prune", "--dry-run", **short)).out.startswith("1 delivery would be removed")
    assert (await coexist("journal", "prune", **short)).out.startswith("1 delivery removed")
    assert await rows(poisoned, "SELECT id FROM journal") == [(1,)], "the one with the poisonous part stays"
    assert (await coexist("journal", "status", COEXIST_JOURNAL_IMPORT_DAYS="3")).code == 2


async def test_help_is_there_at_once() -> None:
    """Nothing that a command needs is imported before it runs: neither the database nor anything of the network."""
    code = "import sys, coexist.__main__; print(*sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    heavy = {"psycopg", "aiohttp", "structlog", "starlette", "phonenumbers", "cryptography", "coexist.worker"}
    assert heavy & set(out.decode().split()) == set()


async def test_a_former_key_is_let_go(coexist: Coexist, pool: Pool) -> None:
    def keys(*letters: bytes) -> str:
        return ",".join(base64.b64encode(letter * 32).decode() for letter in letters)

    await open_business(pool)
    await intake.journal(pool, [body_of(message("wamid.A", "Olá"))])
    left = (await coexist("reseal", "--dry-run", COEXIST_SECRET_KEY=keys(b"n", b"k"))).out
    assert "Access tokens               1 are not encrypted with the first key" in left
    refused = await coexist("reseal", COEXIST_SECRET_KEY=keys(b"n"))
    assert (refused.code, "no former key may go" in refused.err) == (1, True)
    done = await coexist("reseal", COEXIST_SECRET_KEY=keys(b"n", b"k"))
    assert "Journaled deliveries        1 encrypted anew\n" in done.out
    assert done.out.endswith("Everything is encrypted with the first key now: COEXIST_SECRET_KEY needs no other.\n")
    assert "wamid.A" in (await coexist("journal", "show", "1", COEXIST_SECRET_KEY=keys(b"n"))).out
