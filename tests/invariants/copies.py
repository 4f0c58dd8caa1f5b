"""Many copies of one small world in one database, each told in another way: at the end they must not differ.

A copy is two accounts with numbers of their own. Copies share tables, batches and workers, so that many schedules go
through one round trip, and nothing of one account may show in another. Nothing has to be dropped between two worlds.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import psycopg

from coexist.base.crypto import KEY_BYTES, Keyring
from coexist.base.database import Connection, Pool, open_pool, transaction
from coexist.base.errors import AppError
from coexist.events import feed
from coexist.inbox import locks, sent, summary
from coexist.inbox.apply import STALE_ATTEMPTS
from coexist.inbox.resolution import Mention, People, resolve, version_of
from coexist.intake import store, worker
from coexist.intake.replay import Span, replay
from coexist.meta.model import Person
from coexist.outbound import attempts
from coexist.outbound import store as outbox
from coexist.outbound import worker as sender
from coexist.outbound.model import OutboxState
from tests.invariants.vocabulary import ELSEWHERE, POISON, TEMPLATE, Telling, Writing, reference
from tests.support import databases, intake, snapshot
from tests.support.intake import BRANCH, RECEIVED_AT, SHOP, Number
from tests.support.wire import EPOCH

Tables = dict[str, list[str]]
"""Each table's rows as sorted lines of JSON, the same for every copy that was told the same."""

REDELIVERED_AFTER: Final = timedelta(hours=1)
PASSING_ATTEMPTS: Final = 5
COPIES_BEFORE_CLEANING: Final = 120
FORMER: Final = Keyring([b"f" * KEY_BYTES])
"""The key before the present one: what it sealed is among what is to be applied."""
KEYRING: Final = Keyring([intake.KEY, b"f" * KEY_BYTES])
REFERENCES: Final = UUID("5a1e5a1e-0000-4000-8000-000000000000")

# The database refuses a text while its number is in the list: a part that cannot be applied, until it can.
POISON_SWITCH: Final = f"""
CREATE TABLE poisoned (inbox_id integer PRIMARY KEY);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM poisoned WHERE inbox_id = NEW.inbox_id) THEN
        RAISE EXCEPTION 'poisoned' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON messages
   FOR EACH ROW WHEN (NEW.text = '{POISON}') EXECUTE FUNCTION refuse();
"""

# Tiny tables, asked the same things a hundred thousand times: planning would cost most, and nothing here must survive.
QUICK: Final = """
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET plan_cache_mode = force_generic_plan', current_database());
    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
END $$
"""

CALLED: Final = "UPDATE outbox SET state = 'sending', attempts = 1, sending_at = now() WHERE our_ref = %s"


@dataclass
class Copy:
    """One copy: what it was told so far, and what it is called in this database."""

    serial: int
    accounts: list[int] = field(default_factory=list)
    waiting: list[Telling] = field(default_factory=list)  # told by Meta, not delivered to this copy yet
    delivered: list[Telling] = field(default_factory=list)
    schedule: list[str] = field(default_factory=list)  # in words, for whoever reads a failure

    def number(self, number: Number) -> Number:
        """The number under the ids it has in this copy."""
        own = (self._own(id_) for id_ in (number.phone_number_id, number.waba_id, number.portfolio_id))
        phone_number_id, waba_id, portfolio_id = own
        return Number(phone_number_id, number.display, waba_id, portfolio_id)

    def reference(self, ours: int) -> UUID:
        """Our own id of the message of ours in this copy."""
        return uuid5(REFERENCES, f"{self.serial}/{ours}")

    def post(self, tellings: Sequence[Telling]) -> bytes:
        """One POST with these, each entry's neighbours in one entry."""
        entries: list[dict[str, Any]] = []
        for telling in tellings:
            entry = {"id": telling.waba_id} | ({"time": telling.time} if telling.time else {})
            if not entries or {**entries[-1], "changes": []} != {**entry, "changes": []}:
                entries.append({**entry, "changes": []})
            entries[-1]["changes"].append(telling.change)
        body = json.dumps({"object": "whatsapp_business_account", "entry": entries})
        for plain, own in self._names().items():
            body = body.replace(plain, own)
        for ours in {telling.of_ours for telling in tellings} - {None}:
            assert ours is not None
            body = body.replace(f'"{reference(ours)}"', f'"cx:{self.reference(ours)}"')
        return body.encode()

    def line(self, row: tuple[Any, ...], writings: Collection[Writing]) -> str:
        """A row as text, under the names that all copies share."""
        line = json.dumps(row, default=_plain, ensure_ascii=False)
        for plain, own in self._names().items():
            line = line.replace(own, plain)
        for writing in writings:
            line = line.replace(str(self.reference(writing.ours)), reference(writing.ours))
        return line

    def _names(self) -> dict[str, str]:
        ids = (id_ for number in (SHOP, BRANCH, ELSEWHERE) for id_ in (number.phone_number_id, number.waba_id))
        return {id_: self._own(id_) for id_ in (*ids, SHOP.portfolio_id)}

    def _own(self, id_: str) -> str:
        return f"{id_}{self.serial:06d}"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


@dataclass
class Copies:
    """The database of the copies, and the hands that work in it."""

    pool: Pool
    serial: int = 0
    made_count: int = 0

    async def make(self, count: int) -> list[Copy]:
        """New copies, their numbers connected but for `ELSEWHERE`, which `connect` connects."""
        if self.serial >= COPIES_BEFORE_CLEANING:
            await self._clean()
        made = [Copy(self.serial + n) for n in range(count)]
        self.serial += count
        self.made_count += count
        numbers = {f"Jardim {copy.serial}": (copy.number(SHOP), copy.number(BRANCH)) for copy in made}
        async with transaction(self.pool) as conn:
            accounts = await intake.connect_each(conn, numbers)
        for copy in made:
            copy.accounts.append(accounts[f"Jardim {copy.serial}"])
        return made

    async def _clean(self) -> None:
        async with transaction(self.pool) as conn:
            await conn.execute("TRUNCATE accounts, journal, backlog, poisoned RESTART IDENTITY CASCADE")
        self.serial = 0

    async def connect(self, copies: Iterable[Copy]) -> None:
        """Connect the number of the other account; what came for it before is put in line."""
        late = [copy for copy in copies if len(copy.accounts) == 1]
        numbers = {f"Noutro lado {copy.serial}": [copy.number(ELSEWHERE)] for copy in late}
        async with transaction(self.pool) as conn:
            accounts = await intake.connect_each(conn, numbers)
            await store.requeue_routed(conn)
        for copy in late:
            copy.accounts.append(accounts[f"Noutro lado {copy.serial}"])
            copy.schedule.append("connect the number elsewhere")

    async def deliver(self, posts: Sequence[tuple[Copy, Sequence[Telling]]]) -> None:
        """Journal these POSTs, under either key. What a copy was told before is a redelivery, an hour later."""
        bodies: dict[datetime, list[bytes]] = defaultdict(list)
        for copy, tellings in posts:
            is_again = all(telling in copy.delivered for telling in tellings)
            bodies[RECEIVED_AT + (REDELIVERED_AFTER if is_again else timedelta())].append(copy.post(tellings))
            for telling in tellings:
                if telling in copy.waiting:
                    copy.waiting.remove(telling)
                copy.delivered.append(telling)
            copy.schedule.append("\n      ".join([f"POST{' again' if is_again else ''}", *map(repr, tellings)]))
        for received_at, received in bodies.items():
            for part, keyring in ((received[::2], KEYRING), (received[1::2], FORMER)):
                if part:
                    await intake.journal(self.pool, part, received_at=received_at, at_once=True, keyring=keyring)

    async def work(self, *, batch: int, workers: int) -> None:
        """Apply everything that waits; every second worker looks at the bulk lane first."""
        lanes = (worker.LIVE_LANE, worker.BULK_LANE)
        await asyncio.gather(*(self._work(lanes[:: 1 if n % 2 == 0 else -1], batch) for n in range(workers)))

    async def _work(self, lanes: Sequence[int], batch: int) -> None:
        for lane in lanes:
            failures = 0
            while True:
                try:
                    if not await intake.apply_next(self.pool, lane, batch=batch, keyring=KEYRING):
                        break
                except (AppError, psycopg.OperationalError):  # what the worker's loop tries again, after a pause
                    failures += 1
                    if failures == PASSING_ATTEMPTS:
                        raise

    async def write(self, copy: Copy, writing: Writing) -> None:
        """Put a message of ours in line, to exactly this id, and begin the call to Meta that its answer will end."""
        number = copy.number(writing.number)
        inbox_id, scope_id = await self._inbox(number)
        at = datetime.fromtimestamp(EPOCH + writing.at, UTC)
        person = Person(bsuid=writing.who.get("bsuid"), phone=writing.who.get("phone"))
        for _ in range(STALE_ATTEMPTS):
            people = await resolve(self.pool, scope_id, [Mention(person, at, inbox_id)])
            if await self._write(copy, writing, people, person, inbox_id):
                break
        else:
            raise AssertionError("people changed all the time")
        copy.schedule.append(repr(writing))

    async def _write(self, copy: Copy, writing: Writing, people: People, person: Person, inbox_id: int) -> bool:
        at = datetime.fromtimestamp(EPOCH + writing.at, UTC)
        async with transaction(self.pool) as conn:
            await locks.share_apply(conn, people.scope_id)
            if await version_of(conn, people.scope_id) != people.version:
                return False
            conversation_id = people.conversation_id(inbox_id, person, at)
            await summary.lock(conn, [conversation_id])
            values = {"inbox_id": inbox_id, "conversation_id": conversation_id, "peer": writing.peer, "type": "text"}
            values |= {"sent_at": at, "text": writing.text, "reply_to": None, "author_id": None}
            our_ref = copy.reference(writing.ours)
            message_id = await outbox.insert_message(conn, {**values, "our_ref": our_ref})
            assert message_id is not None
            await outbox.enqueue(conn, inbox_id, message_id, our_ref, {"template": TEMPLATE})
            await conn.execute(CALLED, (our_ref,))
            await summary.refresh(conn, [conversation_id])
        return True

    async def answer(self, copy: Copy, writing: Writing) -> None:
        """Meta's answer to the call of a message of ours: its wamid."""
        our_ref = copy.reference(writing.ours)
        async with transaction(self.pool) as conn:
            row = await (await conn.execute("SELECT message_id FROM outbox WHERE our_ref = %s", (our_ref,))).fetchone()
            assert row is not None
            await feed.append(conn, await sent.learn_wamid(conn, row[0], writing.wamid))
            await attempts.settle(conn, our_ref, OutboxState.ACCEPTED)
        copy.schedule.append(f"Meta answers {writing.wamid}")

    async def poison(self, copy: Copy, number: Number) -> None:
        """From now on the database refuses a text under this number."""
        async with transaction(self.pool) as conn:
            await conn.execute(
                "INSERT INTO poisoned SELECT id FROM inboxes WHERE phone_number_id = %s ON CONFLICT DO NOTHING",
                (copy.number(number).phone_number_id,),
            )
        copy.schedule.append(f"poison {number.phone_number_id}")

    async def heal(self) -> None:
        """The database refuses nothing any more, and what was refused is put in line again."""
        async with transaction(self.pool) as conn:
            await conn.execute("DELETE FROM poisoned")
            await replay(conn, Span(is_quarantined=True))

    async def tables(self, copies: Sequence[Copy], writings: Collection[Writing]) -> list[Tables]:
        """The tables of each copy, once everything is applied."""
        await self.work(batch=100, workers=1)
        await sender.sweep(self.pool)
        async with self.pool.connection() as conn:
            rows = await (await conn.execute("SELECT count(*) FROM backlog")).fetchone()
            assert rows == (0,), "something waits for ever"
            await _assert_summed_up(conn)
            taken = await snapshot.take_each(conn, [account for copy in copies for account in copy.accounts])
        return [_tables(copy, [taken[account] for account in copy.accounts], writings) for copy in copies]

    async def _inbox(self, number: Number) -> tuple[int, int]:
        async with self.pool.connection() as conn:
            row = await (
                await conn.execute(
                    "SELECT id, scope_id FROM inboxes WHERE phone_number_id = %s", (number.phone_number_id,)
                )
            ).fetchone()
        assert row is not None
        return row[0], row[1]


async def _assert_summed_up(conn: Connection) -> None:
    """Whatever way a summary took to be what it is: computing it anew from the rows must change nothing."""
    async with conn.transaction():
        conversations = await (await conn.execute("SELECT id FROM conversations")).fetchall()
        contacts = await (await conn.execute("SELECT id FROM contacts")).fetchall()
        changed = await summary.refresh(conn, [id_ for (id_,) in conversations], [id_ for (id_,) in contacts])
    assert changed == summary.Refreshed(frozenset(), frozenset()), changed


def _tables(copy: Copy, taken: Sequence[snapshot.Snapshot], writings: Collection[Writing]) -> Tables:
    lines: Tables = {}
    for name in snapshot.QUERIES:
        found = [(n, *row) for n, one in enumerate(taken) for row in one[name]]
        if name == "conversations":
            answered = {
                (n, row[0], row[2]) for n, one in enumerate(taken) for row in one["messages"] if row[5] == "api"
            }
            found = [row[:7] if (row[0], row[1], row[2]) in answered else row for row in found]
        if name == "quarantine":
            found = list({(n, number, error) for n, _, number, error in found})
        lines[name] = sorted(copy.line(row, writings) for row in found)
    return lines


def difference(first: Tables, second: Tables) -> str:
    """What is in one copy's tables alone, in words; empty if they are the same."""
    found = []
    for name in first:
        ours, theirs = set(first[name]), set(second[name])
        found += [f"  {name}: only in the first:  {line}" for line in sorted(ours - theirs)]
        found += [f"  {name}: only in the second: {line}" for line in sorted(theirs - ours)]
        if ours == theirs and len(first[name]) != len(second[name]):
            found.append(f"  {name}: a row twice")
    return "\n".join(found)


def assert_same(copies: Sequence[Copy], tables: Sequence[Tables]) -> None:
    """Fail with what differs between the first copy and any other, and how each was told."""
    for copy, other in zip(copies[1:], tables[1:], strict=True):
        if differs := difference(tables[0], other):
            told = ("\n    ".join(each.schedule) for each in (copies[0], copy))
            raise AssertionError(
                "two schedules of the same deliveries, two outcomes\n{}\n  first:\n    {}\n  second:\n    {}".format(
                    differs, *told
                )
            )


@asynccontextmanager
async def open_copies(server_url: str, template_name: str) -> AsyncIterator[Copies]:
    """A database for copies, dropped at the end."""
    async with databases.clone(server_url, template_name) as url:
        async with open_pool(url) as pool, transaction(pool) as conn:
            await conn.execute(POISON_SWITCH)
            await conn.execute(QUICK)
        async with open_pool(url, min_size=0, max_size=6) as pool:
            assert isinstance(pool.kwargs, dict)
            pool.kwargs["prepare_threshold"] = 1  # plan each statement once in a connection, not five times
            yield Copies(pool)
