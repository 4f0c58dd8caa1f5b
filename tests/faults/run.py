"""One run: the machine under load, faults by chance from one seed, the healing after each, and the verdict."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import psycopg

from simulator.config import Pace
from tests.faults.kinds import KINDS, Kind, Scene
from tests.faults.load import Load, watched
from tests.faults.machine import Machine, machine
from tests.faults.verdict import Verdict, judge, quiet
from tests.flows.agent import signed_in
from tests.support.product import connect
from tests.support.waiting import PATIENCE_S

MESSAGE_COUNT: Final = 800
CHUNKS_COUNT: Final = 20
HISTORY_SHARE: Final = 0.8
"""How much of the run the history streams in."""
PROBE_AGAIN_S: Final = 1.0
POLL_S: Final = 0.05
LOG_LINES_COUNT: Final = 15


@dataclass(frozen=True)
class Plan:
    """What is to happen. Times are seconds."""

    seed: int
    kinds: Sequence[Kind]
    seconds: float = 0.0
    """Go on with faults by chance for so long; in any case each kind comes once, in an order by chance."""
    lasts: tuple[float, float] = (1.0, 1.5)
    calm: tuple[float, float] = (0.0, 0.3)
    """Between the healing of one and the next."""
    pairs_share: float = 1.0
    """How often a second fault comes together with the first."""
    retry_max_s: float = 2.0
    """The longest pause of Meta's before it sends again. Its own grow to hours; ours have to end with the run."""
    heal_s: float = 180.0
    """Healing for longer than this is a failure: seconds on a machine of its own, more on a busy one."""
    quiet_s: float = 300.0
    """How long everything that waits for its next attempt may take in the end."""


class Failed(AssertionError):
    """Something did not hold; the message has the seed, the timeline and the last lines of the product's log."""


@dataclass
class Run:
    """What happened so far."""

    plan: Plan
    say: Callable[[str], None]
    timeline: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    healing_s: dict[str, list[float]] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    def note(self, words: str) -> None:
        self.timeline.append(f"{time.monotonic() - self.begun:7.1f} s  {words}")
        self.say(self.timeline[-1])

    def summary(self, load: Load, verdict: Verdict) -> dict[str, Any]:
        """One line for a machine to read."""
        sender, healing = load.sender, [one for several in self.healing_s.values() for one in several]
        return {
            "seed": self.plan.seed,
            "seconds": round(time.monotonic() - self.begun, 1),
            "deliveries": {
                "acknowledged": sum(sender.acknowledged.values()),
                "refused": {str(status): count for status, count in sorted(sender.answers.items()) if status != 200},
                "redelivered": sender.again_count,
            },
            "written": len(load.written),
            "page_answers": {str(status): count for status, count in sorted(load.page_answers.items())},
            "strange_pages": dict(load.strange_pages),
            "faults": dict(sorted(self.counts.items())),
            "healing_s": {
                "p50": round(statistics.median(healing), 1),
                "max": round(max(healing), 1),
                "max_by_kind": {name: round(max(several), 1) for name, several in sorted(self.healing_s.items())},
            },
            "unclear": verdict.unclear_count,
            "lost": len(verdict.lost),
            "doubled": len(verdict.doubled),
            "wrong": len(verdict.wrong),
        }


async def execute(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out a plan and return its summary. Raises Failed when anything did not hold."""
    rng = random.Random(plan.seed)
    run = Run(plan, say)
    needed_s = max(plan.seconds, len(plan.kinds) * sum(plan.lasts))
    pace = Pace(
        chunk_delay_ms=round(needed_s * HISTORY_SHARE / CHUNKS_COUNT * 1000),
        delivered_ms=100,
        read_ms=(100, 400),
        parallel_count=4,
        retry_max_ms=round(plan.retry_max_s * 1000),
    )
    has = {kind.group for kind in plan.kinds}
    log = ""
    try:
        async with machine(
            moves_clock="time" in has, fills_disks="disks" in has, message_count=MESSAGE_COUNT, pace=pace
        ) as made:
            try:
                return await _on(made, run, rng)
            finally:
                log = _last_lines(made)
    except Exception as error:
        raise Failed("\n".join([f"seed {plan.seed}: {_words(error)}", *run.timeline, log])) from error


async def _on(made: Machine, run: Run, rng: random.Random) -> dict[str, Any]:
    plan, shop = run.plan, made.shop
    await _until_serving(made)
    await connect(shop.product, shop.phone)
    async with signed_in(shop) as agent:
        load = Load(made, agent, random.Random(rng.random()))
        await load.begin()
        run.note(f"connected; {len(load.conversations)} customers, a history of {MESSAGE_COUNT}")
        async with watched(load):
            going = asyncio.create_task(load.run())
            try:
                await _faults(made, load, run, rng)
            finally:
                going.cancel()
                with suppress(asyncio.CancelledError):
                    await going
            try:
                async with asyncio.timeout(plan.quiet_s):
                    await load.finish()
            except TimeoutError:
                answers = f"{dict(load.page_answers)}, among them {dict(load.strange_pages)}"
                waiting = "; ".join(load.not_taken)
                raise AssertionError(f"The pages do not take {waiting}. All answers: {answers}") from None
            run.note("faults and load have stopped")
            await quiet(made, seconds=plan.quiet_s, say=run.note)
            run.note("all is quiet")
            tried = [KINDS[name] for name in run.counts]
            verdict = await judge(
                made,
                load,
                may_be_unclear=any(one.may_leave_unclear for one in tried),
                poisoned="poison" in run.counts,
                quiet_s=plan.quiet_s,
                say=run.note,
            )
        code, seconds = await made.unit.terminate()
        run.note(f"stopped in {seconds:.1f} s with {code}; {verdict.unclear_count} unclear")
        for crash in _crashes(made):
            run.note(f"a page broke: {crash}")
    assert code == 0, f"serve ended with {code}"
    summary = run.summary(load, verdict)
    assert verdict.is_good, f"{json.dumps(summary)}\n{verdict}"
    return summary


def _words(error: BaseException) -> str:
    """The error, and the one before it that it came on top of."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_words(one) for one in error.exceptions)
    before = f" after {_words(error.__context__)}" if error.__context__ else ""
    return f"{type(error).__name__}: {error}{before}"


async def _until_serving(made: Machine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            assert not made.unit.ends, f"serve ended with {made.unit.ends} before anything was done to it"
            with suppress(OSError, aiohttp.ClientError):
                async with made.shop.phone.session.get(f"{made.shop.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(POLL_S)


async def _faults(made: Machine, load: Load, run: Run, rng: random.Random) -> None:
    """Every kind once, then by chance until the time is over."""
    plan = run.plan
    coming = rng.sample(plan.kinds, len(plan.kinds))
    ends_at = time.monotonic() + plan.seconds
    while coming or time.monotonic() < ends_at:
        kinds = _next(plan, coming, rng)
        run.note(" and ".join(one.name for one in kinds))
        begun = time.monotonic()
        async with asyncio.TaskGroup() as together:
            for one in kinds:
                run.counts[one.name] += 1
                scene = Scene(made, load, random.Random(rng.random()), rng.uniform(*plan.lasts), run.note)
                together.create_task(one.act(scene))
        lifted = time.monotonic()
        healed_s = await _healed(made, load, plan.heal_s)
        for one in kinds:
            run.healing_s.setdefault(one.name, []).append(healed_s)
        run.note(f"  lasted {lifted - begun:.1f} s, healed {healed_s:.1f} s later")
        await asyncio.sleep(rng.uniform(*plan.calm))


def _next(plan: Plan, coming: list[Kind], rng: random.Random) -> list[Kind]:
    """One kind or two: what has not come yet comes first."""
    first = coming.pop() if coming else rng.choice(plan.kinds)
    others = [one for one in coming or plan.kinds if one is not first and not one.is_alone]
    if first.is_alone or not others or rng.random() >= plan.pairs_share:
        return [first]
    second = rng.choice(others)
    if coming:
        coming.remove(second)
    return [first, second]


async def _healed(made: Machine, load: Load, limit_s: float) -> float:
    """The seconds until all processes are up and a customer's message, written from now on, is here to be read."""
    begun, asked_at = time.monotonic(), 0.0
    probe = f"Sonda {begun}"
    while time.monotonic() - begun < limit_s:
        if time.monotonic() - asked_at > PROBE_AGAIN_S:
            await load.customer_says(probe)
            asked_at = time.monotonic()
        with suppress(psycopg.Error):
            if made.unit.is_whole and await made.ask("SELECT 1 FROM messages WHERE text = %s LIMIT 1", probe):
                return time.monotonic() - begun
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"not whole, or nothing that was told is here, {limit_s:.0f} s after the fault was over")


def _crashes(made: Machine) -> list[str]:
    """Why pages answered 500, each as the product, or the server it runs on, logged it."""
    lines = made.unit.log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if '"page_crashed"' in line or "Exception in ASGI" in line]


def _last_lines(made: Machine) -> str:
    """What the product said last, for whoever looks for the reason."""
    with suppress(OSError):
        lines = made.unit.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(["The product's last lines:", *lines[-LOG_LINES_COUNT:]])
    return ""
