"""Somebody becomes private at any moment of any schedule: at the end nothing of them is anywhere.

Meta tells everything that it can tell of a person, in any order, packing and repetition, while the team works with it,
an import is taken back and brought back, old deliveries are let go of, and programs are told. At some moment somebody
puts the number on the list, at another they have what is here removed. Then every table is searched, with the journal
in the clear, and the files. What a program is told and a support bundle says is searched from the listing on.

By hand, for hours: ``SCHEDULES=10000 .venv/bin/pytest -s tests/invariants/test_private.py``.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import structlog

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import checks_bundle, undoing
from coexist.events import feed
from coexist.inbox import actions, inboxes, purge
from coexist.inbox import private as listing
from coexist.intake import purging, retention
from coexist.intake.replay import Span, replay, replay_import
from coexist.intake.retention import Kept
from coexist.media.keeping import Keep, open_keep
from coexist.media.storage import open_storage
from coexist.media.sweep import sweep
from coexist.outbound import actions as outbound
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.webhooks import actions as webhooks
from coexist.webhooks import store as webhook_rows
from coexist.webhooks import telling
from coexist.webhooks import worker as teller
from tests.store.test_private import bytes_below, dump, rows, store_file
from tests.support import intake, private, wire
from tests.support.intake import KEYRING, SHOP, body_of

SCHEDULES_COUNT: Final = int(os.environ.get("SCHEDULES", "20"))
STEPS_COUNT: Final = 30
BY: Final = "Inês Duarte"
FORMS: Final = (f"+{private.PHONE}", private.WA_ID, "+55 (11) 98550-0188", "55 11 8550-0188")

WAMID: Final = base64.b64encode(private.WA_ID.encode()).decode()
"""What Meta's ids of their messages hold: the number, in its own way."""


def told_of_them() -> list[dict[str, Any]]:
    """Every change that names them, under ids as Meta makes them; one more is a status that nothing else follows."""
    changes = [*private.theirs(), wire.status("wamid.S3", 12, "sent", phone=private.WA_ID)]
    return [_with_ids(change) for change in changes]


def _with_ids(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _with_ids(part) for name, part in tree.items()}
    if isinstance(tree, list):
        return [_with_ids(part) for part in tree]
    return re.sub(r"^wamid\.([A-BD-Z]\d)$", rf"wamid.{WAMID}\1", tree) if isinstance(tree, str) else tree


class World:
    """One shop, and somebody who becomes private."""

    def __init__(self, pool: Pool, settings: Settings, keep: Keep, seed: int) -> None:
        self.pool, self.settings, self.keep, self.chance = pool, settings, keep, random.Random(seed)
        self.waiting = [*told_of_them(), *private.beside()]
        self.delivered: list[dict[str, Any]] = []
        self.number_id: int | None = None
        self.told: list[bytes] = []
        """What programs were told from the listing on."""
        self.bundles: list[bytes] = []
        self.steps: list[str] = []
        self.member: Member
        self.account_id = 0

    async def begin(self) -> None:
        tables = await rows(self.pool, "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables"
                            " WHERE schemaname = 'public' AND tablename NOT LIKE '%yoyo%'")  # fmt: skip
        async with transaction(self.pool) as conn:
            await conn.execute(f"TRUNCATE {tables[0][0]} RESTART IDENTITY CASCADE".encode())
            self.account_id = await intake.connect(conn, SHOP)
            self.member = await people.add_user(
                conn, self.account_id, name=BY, email="ines@example.com", role=Role.OWNER
            )
            url = "https://crm.example.com"
            await webhooks.add(conn, KEYRING, self.member, url, tells_syncs=True, may_be_private=False)

    async def step(self) -> None:
        acts: Sequence[tuple[int, Callable[[], Awaitable[object]]]] = (
            (8, self.deliver), (6, self.work), (3, self.team), (2, self.fetch), (2, self.tell), (1, self.undo),
            (1, self.bring_back), (1, self.replay), (1, self.let_go), (1, self.list_them), (1, self.want_purge),
            (2, self.purge),
        )  # fmt: skip
        act = self.chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        self.steps.append(act.__name__)
        await act()

    async def deliver(self) -> None:
        """One POST, with what is still to be told or was told before."""
        known = [*self.waiting, *self.delivered[-10:]]
        chosen = self.chance.choices(known, k=self.chance.randint(1, 8))
        self.waiting = [one for one in self.waiting if one not in chosen]
        self.delivered += chosen
        await intake.journal(self.pool, [body_of(*chosen)])

    async def work(self) -> None:
        for lane in self.chance.sample((0, 1), 2):
            await intake.apply_next(self.pool, lane, batch=self.chance.choice((1, 3, 50)))

    async def team(self) -> None:
        """Somebody writes, drafts, notes, renames, or takes a conversation; of others also with the number alone."""
        talks = await rows(self.pool, "SELECT id, contact_id FROM conversations ORDER BY id")
        if not talks:
            return
        talk, contact = self.chance.choice(talks)
        is_theirs = await rows(self.pool, "SELECT FROM contacts WHERE id = %s AND phone LIKE '55%%'", contact)
        words = f"{private.WORDS} team" if is_theirs else self.chance.choice(("equipa", f"+{private.PHONE}"))
        act = self.chance.randrange(5)
        with suppress(AppError):
            async with transaction(self.pool) as conn:
                if act == 0:
                    ref = UUID(int=self.chance.getrandbits(128))
                    await outbound.send_text(conn, KEYRING, self.member, talk, words, our_ref=ref)
                elif act == 1:
                    await actions.save_draft(conn, KEYRING, self.member, talk, words)
                elif act == 2:
                    await actions.write_note(conn, KEYRING, self.member, contact, words)
                elif act == 3:
                    name = private.NAME if is_theirs else "Rui D."
                    await actions.rename_contact(conn, self.member, contact, name)
                else:
                    await actions.assign(conn, self.member, talk, self.member.user_id)

    async def fetch(self) -> None:
        """A file comes, as far as it may."""
        found = await rows(self.pool, "SELECT wamid FROM media WHERE state = 'waiting' ORDER BY id LIMIT 1")
        for (wamid,) in found:
            draft = self.settings.data_dir / "draft"
            await store_file(self.keep, f"{private.WORDS} {wamid}".encode(), draft, wamid)

    async def tell(self) -> None:
        """Tell a program what happened, and somebody who helps what is wrong."""
        for turn in await teller.claim(self.pool, 1):
            async with transaction(self.pool) as conn:
                told = await telling.next_telling(conn, KEYRING, turn)
            async with transaction(self.pool) as conn:
                await webhook_rows.taken(conn, turn, told)
            if self.number_id is not None:
                self.told += told.events
        async with transaction(self.pool) as conn:
            bundle = await checks_bundle.bundle(conn, KEYRING, self.settings, [(self.account_id, 1)])
        self.bundles.append(bundle)

    async def undo(self) -> None:
        after: int | None = 0
        while after is not None:
            async with transaction(self.pool) as conn:
                inbox = await inboxes.get(conn, self.account_id, 1)
                step = await undoing.undo_some(conn, inbox, after=after)
                await feed.append(conn, step.events)
            after = step.last_id

    async def bring_back(self) -> None:
        async with transaction(self.pool) as conn:
            await replay_import(conn, SHOP.phone_number_id, None, BY)

    async def replay(self) -> None:
        async with transaction(self.pool) as conn:
            await replay(conn, Span())

    async def let_go(self) -> None:
        await retention.run_once(self.pool, Kept(live_days=1, import_days=self.chance.choice((0, 1))))

    async def list_them(self) -> None:
        if self.number_id is None:
            async with transaction(self.pool) as conn:
                raw = self.chance.choice(FORMS)
                self.number_id = await listing.add(conn, KEYRING, BY, self.account_id, raw)

    async def want_purge(self) -> None:
        if self.number_id is not None:
            async with transaction(self.pool) as conn:
                await listing.want_purge(conn, KEYRING, self.account_id, self.number_id, typed=private.PHONE)

    async def purge(self) -> None:
        for _ in range(self.chance.randint(1, 6)):
            await purging.step(self.pool, KEYRING)

    async def end(self) -> None:
        """All is told, they are on the list, and what is here of them is removed."""
        while self.waiting:
            await self.deliver()
        await self.list_them()
        if self.chance.random() < 0.5:
            await intake.apply_all(self.pool)
        await self.want_purge()
        await self.settle()

    async def settle(self) -> None:
        while await purging.step(self.pool, KEYRING):
            pass
        await intake.apply_all(self.pool)
        while await purging.step(self.pool, KEYRING):
            pass
        await intake.apply_all(self.pool)
        await self.tell()
        await sweep(self.keep, is_thorough=False)

    async def check(self) -> None:
        self._search("the tables", await dump(self.pool))
        self._search("the files", bytes_below(self.settings.data_dir))
        self._search("support bundles", b"\n".join(self.bundles))
        # Under a BSUID that nobody has seen beside the number yet they are told of, until that is learned.
        named = [line for line in self.told if private.PHONE.encode() in line or private.WA_ID.encode() in line]
        assert named == [], f"told to a program; schedule: {self.steps}"
        kept = await rows(self.pool, "SELECT FROM messages WHERE wamid = 'wamid.O1' AND text = 'Olá'")
        assert len(kept) == 1, f"somebody else's message is gone; schedule: {self.steps}"

    def _search(self, place: str, data: bytes) -> None:
        found = [line for line in data.splitlines() if private.traces_in(line) or WAMID.encode() in line]
        assert found == [], f"in {place}; schedule: {self.steps}"


def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a removal take many steps, between which anything can happen."""
    monkeypatch.setattr(purge, "SLICE_MESSAGES", 3)
    monkeypatch.setattr(purge, "SHOWN_ROWS", 7)
    monkeypatch.setattr(purge, "ROWS_COUNT", 2)
    monkeypatch.setattr(purging, "WINDOW_ROWS", 5)
    monkeypatch.setattr(purging, "vacuum", _nothing)  # the files of the database are another test's


@pytest.mark.requirement("G11")
async def test_nothing_is_left_of_somebody_who_becomes_private_at_any_moment(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch)
    settings = replace(Settings(), data_dir=tmp_path)
    first = random.Random().randrange(2**32) if "SCHEDULES" in os.environ else 1
    async with aclosing(open_storage(settings)) as storage:
        keep = open_keep(pool, settings, storage)
        with structlog.testing.capture_logs() as logged:
            for seed in range(first, first + SCHEDULES_COUNT):
                world = World(pool, settings, keep, seed)
                await world.begin()
                for _ in range(STEPS_COUNT):
                    await world.step()
                await world.end()
                await world.check()
                await world.replay()
                await world.settle()
                await world.check()
        assert private.traces_in(repr(logged).encode()) == []


async def _nothing(*_: object, **__: object) -> None:
    await asyncio.sleep(0)
