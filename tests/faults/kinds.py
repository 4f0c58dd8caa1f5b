"""Every kind of fault: a coroutine that does it, lets it last, and undoes it. Healing is left to the product."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from tests.faults import clocks, disks
from tests.faults.load import STREAMS_COUNT, Load
from tests.faults.machine import Machine
from tests.support.waiting import PATIENCE_S

CONNECTIONS_MAX: Final = 200
"""More than the embedded server takes."""
FSYNC_EXTRA_US: Final = 100_000
"""How much longer each flush of the log takes on a slow disk: the most that PostgreSQL's setting allows."""
OURS: Final = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'coexist ')"
END_OURS: Final = f"SELECT pg_terminate_backend(pid) FROM ({OURS}) AS ours"
POISON: Final = "Isto a base de dados recusa"
ORDERLY: Final = 0


@dataclass(frozen=True)
class Scene:
    """What a fault happens to, and how long it may last."""

    machine: Machine
    load: Load
    rng: random.Random
    seconds: float
    say: Callable[[str], None]

    async def last(self) -> None:
        """Let it last."""
        await asyncio.sleep(self.seconds)


Act = Callable[[Scene], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    ``may_leave_unclear``: a message that was just being sent may have an unknown outcome. ``is_alone``: what it asserts
    holds only when nothing else is wrong.
    """

    name: str
    group: str
    act: Act
    may_leave_unclear: bool = False
    is_alone: bool = False
    why_not: Callable[[], str] = lambda: ""


KINDS: Final[dict[str, Kind]] = {}


def kind(group: str, **more: Any) -> Callable[[Act], Act]:
    """Put a coroutine among the kinds, under its own name."""

    def put(act: Act) -> Act:
        name = act.__name__
        KINDS[name] = Kind(name, group, act, **more)
        return act

    return put


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────


def _kill(*pids: int | None) -> None:
    for pid in pids:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@kind("processes")
async def kill_web(scene: Scene) -> None:
    """``kill -9`` of a process that answers HTTP beside serve; serve starts another."""
    _kill(*scene.machine.unit.children(b"coexist.app"))


@kind("processes", may_leave_unclear=True)
async def kill_worker(scene: Scene) -> None:
    """``kill -9`` of the worker; serve starts another."""
    _kill(*scene.machine.unit.children(b"work"))


@kind("processes", may_leave_unclear=True)
async def kill_serve(scene: Scene) -> None:
    """``kill -9`` of serve alone; its children end by themselves, and the unit starts serve again."""
    _kill(scene.machine.unit.pid)


@kind("processes", may_leave_unclear=True)
async def kill_everything(scene: Scene) -> None:
    """``kill -9`` of serve, its children, and the database server, in one moment."""
    unit = scene.machine.unit
    _kill(scene.machine.postmaster(), *unit.children(b"work"), *unit.children(b"coexist.app"), unit.pid)


@kind("processes", may_leave_unclear=True, is_alone=True)
async def stop_with_streams(scene: Scene) -> None:
    """SIGTERM while browsers watch: serve ends in its grace time with exit code 0, and tells every stream goodbye."""
    async with asyncio.timeout(PATIENCE_S):
        while len(scene.load.streams) < STREAMS_COUNT:
            await asyncio.sleep(0.05)
    broken_before = scene.load.broken_streams
    code, seconds = await scene.machine.unit.terminate()
    scene.say(f"  told to stop with {STREAMS_COUNT} open streams, serve ended after {seconds:.1f} s with {code}")
    assert code == ORDERLY, f"serve, told to stop with open streams, ended with {code}"
    assert scene.load.broken_streams == broken_before, "a stream was broken off instead of ended"


# ── the database ──────────────────────────────────────────────────────────────────────────────────────────


@kind("database")
async def kill_postmaster(scene: Scene) -> None:
    """``kill -9`` of PostgreSQL's first process; its supervisor starts the server again, which recovers."""
    _kill(scene.machine.postmaster())


@kind("database")
async def kill_backend(scene: Scene) -> None:
    """``kill -9`` of one session of ours: the server ends all sessions and recovers."""
    rows = await scene.machine.patiently(
        "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'coexist ')"
    )
    _kill(scene.rng.choice([row[0] for row in rows] or [None]))


@kind("database")
async def restart_postgres(scene: Scene) -> None:
    """An orderly restart, as an upgrade makes it: sessions are told to go, the server stops and starts."""
    if (postmaster := scene.machine.postmaster()) is not None:
        with suppress(ProcessLookupError):
            os.kill(postmaster, signal.SIGINT)


@kind("database")
async def refuse_postgres(scene: Scene) -> None:
    """Nobody listens at the database's port, and whoever was connected is cut off."""
    await scene.machine.database.refuse()
    try:
        await scene.last()
    finally:
        await scene.machine.database.listen()


@kind("database")
async def stall_postgres(scene: Scene) -> None:
    """The line to the database hangs: connections stay, nothing moves, then everything goes on."""
    with scene.machine.database.stalled():
        await scene.last()


@kind("database")
async def cut_connections(scene: Scene) -> None:
    """Every connection to the database is reset in the middle of whatever it does, several times."""
    for _ in range(4):
        scene.machine.database.cut()
        await asyncio.sleep(scene.seconds / 4)


@kind("database")
async def lose_answers(scene: Scene) -> None:
    """What we ask of the database is done, its answers are lost, the connections cut: did it commit?"""
    with scene.machine.database.losing_answers():
        await asyncio.sleep(min(scene.seconds, 1.0))


@kind("database")
async def exhaust_connections(scene: Scene) -> None:
    """Others use up the server's connections, also those that were ours."""
    machine, taken = scene.machine, list[psycopg.AsyncConnection[Any]]()

    async def take() -> None:
        with suppress(psycopg.OperationalError):
            taken.append(await machine.connect("coexist"))

    try:
        ends_at = time.monotonic() + scene.seconds
        while time.monotonic() < ends_at:
            with suppress(psycopg.OperationalError):
                await machine.ask(END_OURS)
            taken[:] = [one for one in taken if not one.broken]
            await asyncio.gather(*(take() for _ in range(CONNECTIONS_MAX - len(taken))))
            await asyncio.sleep(0.1)
    finally:
        await asyncio.gather(*(one.close() for one in taken), return_exceptions=True)


# ── disks ─────────────────────────────────────────────────────────────────────────────────────────────────


@kind("disks", why_not=disks.why_not)
async def fill_database_disk(scene: Scene) -> None:
    """No space left for tables, then none for the log either, which stops the server until there is."""
    machine = scene.machine
    disks.fill(machine.database_disk)
    try:
        await asyncio.sleep(scene.seconds / 2)
        with suppress(psycopg.Error, OSError):
            for _ in range(3):
                await machine.ask("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'faults', 'x')")
        await asyncio.sleep(scene.seconds / 2)
    finally:
        disks.make_room(machine.database_disk)


@kind("disks", why_not=disks.why_not)
async def fill_media_disk(scene: Scene) -> None:
    """No space left for files, while customers send some."""
    disks.fill(scene.machine.media_disk)
    try:
        for _ in range(3):
            await scene.load.customer_sends_file()
            await asyncio.sleep(scene.seconds / 3)
    finally:
        disks.make_room(scene.machine.media_disk)


@kind("disks")
async def slow_disk(scene: Scene) -> None:
    """Each flush of the log takes a tenth of a second more, and twice the whole server stands still for a while."""
    machine = scene.machine
    await machine.patiently(f"ALTER SYSTEM SET commit_delay = {FSYNC_EXTRA_US}")
    await machine.patiently("ALTER SYSTEM SET commit_siblings = 0")
    await machine.patiently("SELECT pg_reload_conf()")
    try:
        for _ in range(2):
            await asyncio.sleep(scene.seconds / 4)
            await _freeze(machine, scene.seconds / 4)
    finally:
        await machine.patiently("ALTER SYSTEM RESET commit_delay")
        await machine.patiently("ALTER SYSTEM RESET commit_siblings")
        await machine.patiently("SELECT pg_reload_conf()")


async def _freeze(machine: Machine, seconds: float) -> None:
    frozen = machine.servers()
    try:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
    finally:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _jump(scene: Scene, hours: int) -> None:
    """There, a while, and back: so each jump is one forwards and one backwards."""
    clock = scene.machine.clock
    assert clock is not None
    clock.jump(hours * 3600)
    try:
        await asyncio.sleep(max(scene.seconds, 2 * clocks.REREAD_S))
    finally:
        clock.jump(0)
        await asyncio.sleep(clocks.REREAD_S)


@kind("time", may_leave_unclear=True, why_not=clocks.why_not)
async def clock_ahead(scene: Scene) -> None:
    """The clock of the product and its database jumps some hours ahead, and later back."""
    await _jump(scene, scene.rng.randint(2, 9))


@kind("time", may_leave_unclear=True, why_not=clocks.why_not)
async def clock_behind(scene: Scene) -> None:
    """The clock of the product and its database jumps some hours back, and later ahead."""
    await _jump(scene, -scene.rng.randint(2, 9))


# ── Meta ──────────────────────────────────────────────────────────────────────────────────────────────────


@kind("meta", may_leave_unclear=True)
async def lose_graph_answers(scene: Scene) -> None:
    """Graph does what it is asked, and its answers are lost: nothing may be sent again by itself."""
    with scene.machine.graph.losing_answers():
        await scene.last()


@kind("meta")
async def refuse_graph(scene: Scene) -> None:
    """Graph cannot be reached."""
    await scene.machine.graph.refuse()
    try:
        await scene.last()
    finally:
        await scene.machine.graph.listen()


@kind("meta")
async def poison(scene: Scene) -> None:
    """A message that the database refuses whatever it is asked, among others: it alone goes to the quarantine."""
    await scene.machine.patiently(
        "ALTER TABLE messages DROP CONSTRAINT IF EXISTS poison,"
        f" ADD CONSTRAINT poison CHECK (text IS DISTINCT FROM '{POISON}') NOT VALID"
    )
    await scene.load.customer_says(POISON)
