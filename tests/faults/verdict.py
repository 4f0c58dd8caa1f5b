"""What must be true once the faults have stopped and the service has healed by itself."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

from coexist.base.config import Settings
from coexist.base.crypto import open_keyring
from coexist.intake.sealing import unseal
from coexist.outbound.payload import callback_data
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.flows.shop import FINAL
from tests.flows.truth import differences
from tests.support import snapshot

LATE_WORDS: Final = re.compile(r"message (\S+) .*: sent_at is ")
POLL_S: Final = 0.25
TELL_S: Final = 10.0

# An attempt whose process was killed stands as under way until the sender calls it unclear; both wait for no loop.
WAITING: Final = """
SELECT concat_ws(', ',
       (SELECT count(*) || ' deliveries' FROM backlog HAVING count(*) > 0),
       (SELECT concat_ws(' ', count(*), 'files, the next at', min(next_attempt_at), min(error))
          FROM media WHERE state = 'waiting' HAVING count(*) > 0),
       (SELECT concat_ws(' ', count(*), 'messages, the next at', min(next_attempt_at), min(error))
          FROM outbox WHERE state = 'queued' HAVING count(*) > 0))
"""

# As `coexist replay --all` does it, but in the lane whose batches are large.
ALL_AGAIN: Final = "INSERT INTO backlog (lane, journal_id) SELECT 0, id FROM journal ON CONFLICT DO NOTHING"

# A call whose process died counts as under way for two minutes, and what the team wrote next in that conversation waits
# behind it. Here those minutes pass in a moment.
LET_TIME_PASS: Final = """
UPDATE outbox SET sending_at = sending_at - interval '5 minutes'
 WHERE state = 'sending' AND sending_at < now() - interval '15 seconds'
"""

HALF_DONE: Final = {
    "changes that wait for a message that is there": """
SELECT count(*) FROM message_changes c JOIN messages m ON m.inbox_id = c.inbox_id AND m.wamid = c.target
 WHERE c.is_waiting""",
    "statuses that wait for a message that is there": """
SELECT count(*) FROM message_statuses s JOIN messages m USING (inbox_id, wamid) WHERE s.is_waiting""",
    "messages that one outbox row calls accepted and that have no id of Meta's": """
SELECT count(*) FROM outbox o JOIN messages m ON m.id = o.message_id WHERE o.state = 'accepted' AND m.wamid IS NULL""",
    "messages of the team without an outbox row": """
SELECT count(*) FROM messages m WHERE m.our_ref IS NOT NULL AND m.author_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id)""",
}
"""Sentences, and queries that count what makes them true."""


@dataclass
class Verdict:
    """What was found. Nothing in ``lost``, ``doubled`` and ``wrong`` is what we want."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unclear_count: int = 0
    """Messages of the team of which nobody knows whether Meta took them: a person decides, nothing is sent again."""

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        found = [f"{name}: {one}" for name in ("lost", "doubled", "wrong") for one in getattr(self, name)]
        return "\n".join(found[:40]) + (f"\n… and {len(found) - 40} more" if len(found) > 40 else "")


async def quiet(machine: Machine, *, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
    """Wait until nothing is on its way any more. Raises AssertionError with what still is; ``say`` hears of it."""
    last, told = "nothing is known", 0.0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while last := await _on_its_way(machine):
                if "messages, the next at" in last:
                    await machine.patiently(LET_TIME_PASS)
                if time.monotonic() - told > TELL_S:
                    say(f"  still on its way: {last}")
                    told = time.monotonic()
                await asyncio.sleep(POLL_S)
            return
    raise AssertionError(f"still on its way after {seconds:.0f} s: {last}")


async def _on_its_way(machine: Machine) -> str:
    if pending := len(machine.meta.deliveries.pending):
        return f"{pending} webhooks"
    if count := sum(m.origin == "api" and m.status not in FINAL for m in machine.meta.world.messages.values()):
        return f"ticks of {count} messages"
    try:
        return str((await machine.ask(WAITING))[0][0])
    except psycopg.OperationalError as error:
        return f"no database: {error}"


async def judge(
    machine: Machine,
    load: Load,
    *,
    may_be_unclear: bool,
    poisoned: bool,
    quiet_s: float,
    say: Callable[[str], None],
) -> Verdict:
    """Compare everything that Meta, the phone and the team know with everything that is here."""
    found = Verdict()
    await _cure(machine, found, quiet_s, poisoned=poisoned)
    say("  the quarantine is empty")
    await _sends(machine, load, found, may_be_unclear=may_be_unclear)
    await _journal(machine, load, found)
    await _tables(machine, load, found)
    await _files(machine, found)
    for sentence, query in HALF_DONE.items():
        if count := (await machine.ask(query))[0][0]:
            found.wrong.append(f"{count} {sentence}")
    say("  the journal, the tables and the files are compared")
    await _again(machine, found, quiet_s)
    say("  the journal is applied once more")
    return found


async def _cure(machine: Machine, found: Verdict, quiet_s: float, *, poisoned: bool) -> None:
    """Poison is in quarantine, and nothing else. Without what made it poison, a replay empties it."""
    held = await machine.ask("SELECT part, error FROM quarantine")
    found.wrong += [f"in quarantine: {part}: {error}" for part, error in held if "poison" not in error]
    if poisoned and not held:
        found.wrong.append("poison was applied, or is nowhere")
    if held:
        await machine.ask("ALTER TABLE messages DROP CONSTRAINT IF EXISTS poison")
        await machine.shop.product.run("replay", "--quarantined")
        await quiet(machine, seconds=quiet_s)
        left = await machine.ask("SELECT part, error FROM quarantine")
        found.wrong += [f"still in quarantine after a replay: {part}: {error}" for part, error in left]


async def _sends(machine: Machine, load: Load, found: Verdict, *, may_be_unclear: bool) -> None:
    """Each message of the team is on the phone once; or nobody knows, nothing was sent again, and we say so."""
    shown = Counter(message.opaque for message in machine.meta.world.messages.values() if message.origin == "api")
    states = dict(await machine.ask("SELECT our_ref, state::text FROM outbox"))
    for one in load.written:
        count, state = shown.pop(callback_data(one.our_ref), 0), states.get(one.our_ref, "not here")
        if count > 1:
            found.doubled.append(f"{one.text!r} was sent {count} times")
        elif count == 1 and state != "accepted":
            found.wrong.append(f"{one.text!r} is on the phone and {state} here")
        elif count == 0 and state in ("sending", "unclear") and may_be_unclear:
            found.unclear_count += 1
        elif count == 0:
            found.lost.append(f"{one.text!r} never reached the phone and is {state} here")
    found.wrong += [f"nobody wrote what was sent as {ref}" for ref in shown]


async def _journal(machine: Machine, load: Load, found: Verdict) -> None:
    """Every body that was answered 200 is in the journal, byte for byte."""
    keyring = open_keyring(Settings(data_dir=machine.folder / "data"))
    rows = await machine.ask("SELECT body FROM journal")
    kept = {hashlib.sha256(unseal(keyring, bytes(stored))).hexdigest() for (stored,) in rows}
    missing = load.sender.acknowledged.keys() - kept
    found.lost += [f"the delivery with SHA-256 {body} was acknowledged and is not in the journal" for body in missing]


async def _tables(machine: Machine, load: Load, found: Verdict) -> None:
    """The export tells what the phone shows, but for what nobody can know: what is unclear, and when it was."""
    lines = await machine.shop.export()
    refs = {callback_data(one.our_ref) for one in load.written if one.is_mistimed}
    mistimed = {m.wamid for m in machine.meta.world.messages.values() if m.opaque in refs}
    (history,) = (line["sync"]["history"]["state"] for line in lines if line["kind"] == "inbox")
    if history != "completed":
        found.wrong.append(f"the history came whole and counts as {history}")
    idless = sum(line["kind"] == "message" and line["wamid"] is None for line in lines)
    if idless > found.unclear_count:
        found.wrong.append(f"{idless} messages have no id of Meta's, and {found.unclear_count} are unclear")
    for sentence in differences(lines, await machine.shop.look("truth")):
        late = LATE_WORDS.match(sentence)
        if (late and late[1] in mistimed) or sentence.startswith("message None "):
            continue
        is_double = re.search(r" is here \d+ times", sentence)
        place = found.doubled if is_double else found.lost if sentence.endswith("is missing") else found.wrong
        place.append(sentence)


async def _files(machine: Machine, found: Verdict) -> None:
    """Every file that counts as stored is on disk, whole."""
    rows = await machine.ask("SELECT DISTINCT stored_sha256 FROM media WHERE state = 'stored'")
    here = {path.name: path for path in machine.media_disk.rglob("*") if path.is_file()}
    for (name,) in rows:
        if name not in here or await asyncio.to_thread(_digest, here[name]) != name:
            found.lost.append(f"the file {name} counts as stored and is not whole on disk")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _again(machine: Machine, found: Verdict, quiet_s: float) -> None:
    """Applying the whole journal once more changes nothing: all of it was applied, and none of it half."""
    before = await _snapshot(machine)
    await machine.ask(ALL_AGAIN)
    await quiet(machine, seconds=quiet_s)
    after = await _snapshot(machine)
    for name, rows in before.items():
        gone, came = list((rows - after[name]).elements()), list((after[name] - rows).elements())
        if gone or came:
            found.wrong.append(f"a replay changed {len(gone) + len(came)} rows of {name}: {gone[:1]} became {came[:1]}")


async def _snapshot(machine: Machine) -> dict[str, Counter[str]]:
    """The tables, but for the outbox: time moves it on, whatever the deliveries say."""
    async with await machine.connect() as conn:
        taken = await snapshot.take(conn)
    return {name: Counter(map(repr, rows)) for name, rows in taken.items() if name != "outbox"}
