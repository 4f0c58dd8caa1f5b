"""Posting webhooks: a queue that keeps the whole body until it is answered 200 (meta-protocol.md 4.2)."""

import asyncio
import heapq
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from simulator import chance, payloads
from simulator.config import Config, Pace
from simulator.faults import Faults
from simulator.world import Json, World

RETRY_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
ANSWER_LIMIT_S = 20.0
KEPT_COUNT = 1_000
REORDER_SPREAD_S = 0.4
DUPLICATE_SPREAD_S = 0.3
ITEM_ARRAYS = ("messages", "statuses", "message_echoes", "state_sync")


@dataclass
class Attempt:
    """One POST. `status` is the HTTP status, or 0 when there was no answer; `note` says why."""

    at: float
    status: int
    ms: int
    note: str = ""


@dataclass
class Delivery:
    """One webhook body and its fate. `due` and the times are Unix seconds."""

    number: int
    url: str
    fields: list[str]
    summary: str
    body: bytes
    due: float
    attempts: list[Attempt] = field(default_factory=list)
    delivered_at: float | None = None
    merged_into: int | None = None

    @property
    def finished(self) -> bool:
        return self.delivered_at is not None or self.merged_into is not None


class Deliveries:
    """The queue. `put` never waits; `run` posts until cancelled."""

    def __init__(self, world: World, config: Config, pace: Callable[[], Pace], faults: Callable[[], Faults]) -> None:
        self.recent: deque[Delivery] = deque(maxlen=KEPT_COUNT)
        self.pending: dict[int, Delivery] = {}
        self.before_posting: Callable[[], None] = lambda: None
        self.changed: Callable[[Delivery], None] = lambda delivery: None
        self._world, self._config, self._pace, self._faults = world, config, pace, faults
        self._heap: list[tuple[float, int]] = []
        self._woken = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._chance = chance.stream(world.seed, "faults")
        self._posting = 0

    def put(self, url: str | None, body: Json, *, after_s: float = 0.0) -> None:
        """Queue a body for `url`. Without a URL it is only kept among the recent ones."""
        faults, rng = self._faults(), self._chance
        parts = _split(body) if faults.split and rng.random() < faults.split else [body]
        for part in parts:
            due = self._config.clock() + after_s + faults.delay_ms / 1_000
            if faults.reorder and rng.random() < faults.reorder:
                due += rng.uniform(0, REORDER_SPREAD_S)
            self._add(url, payloads.encode(part), due)
            if faults.duplicate and rng.random() < faults.duplicate:
                self._add(url, payloads.encode(part), due + rng.uniform(0, DUPLICATE_SPREAD_S))

    def restore(self, delivery: Delivery, url: str | None) -> None:
        """Take up a delivery that an earlier run did not finish, at today's address."""
        delivery.url = url or delivery.url
        self._schedule(delivery)

    def _add(self, url: str | None, raw: bytes, due: float) -> None:
        fields, summary = _summary(json.loads(raw))
        delivery = Delivery(self._world.number("delivery"), url or "", fields, summary, raw, due)
        self.recent.append(delivery)
        if url:
            self._schedule(delivery)
        self.changed(delivery)

    def _schedule(self, delivery: Delivery) -> None:
        if delivery not in self.recent:
            self.recent.append(delivery)
        self.pending[delivery.number] = delivery
        heapq.heappush(self._heap, (delivery.due, delivery.number))
        self._woken.set()
        self._quiet.clear()

    async def run(self) -> None:
        """Post what is due, at most `pace.parallel_count` at once; retries wait without holding the others up."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            while True:
                self._woken.clear()
                wait_s: float | None = None
                while self._heap and self._posting < max(1, self._pace().parallel_count):
                    wait_s = self._heap[0][0] - self._config.clock()
                    if wait_s > 0:
                        break
                    delivery = self.pending[heapq.heappop(self._heap)[1]]
                    self._posting += 1
                    tasks.create_task(self._post(session, self._merged(delivery)))
                    wait_s = None
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    async def settled(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; False when it took longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    def _merged(self, first: Delivery) -> Delivery:
        """Join the next due deliveries to the first, when the dial says so: one body with many entries.

        What was posted before is posted again as it was.
        """
        most, now = self._faults().merge, self._config.clock()
        joined = [first]
        while not first.attempts and len(joined) < most and self._heap and self._heap[0][0] <= now:
            other = self.pending[self._heap[0][1]]
            if other.attempts or other.url != first.url:
                break
            heapq.heappop(self._heap)
            joined.append(other)
        if len(joined) == 1:
            return first
        entries = [entry for delivery in joined for entry in json.loads(delivery.body)["entry"]]
        first.body = payloads.encode({"object": "whatsapp_business_account", "entry": entries})
        first.fields, first.summary = _summary(json.loads(first.body))
        for other in joined[1:]:
            other.merged_into = first.number
            del self.pending[other.number]
            if other in self.recent:  # what was put long before it is due has made room for newer ones
                self.recent.remove(other)
            self.changed(other)
        return first

    async def _post(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        self.before_posting()
        attempt = await self._attempt(session, delivery)
        delivery.attempts.append(attempt)
        if attempt.status == 200:
            delivery.delivered_at = attempt.at
            del self.pending[delivery.number]
        else:
            wait_s = RETRY_S[min(len(delivery.attempts), len(RETRY_S)) - 1]
            delivery.due = self._config.clock() + min(wait_s, self._pace().retry_max_ms / 1_000)
            heapq.heappush(self._heap, (delivery.due, delivery.number))
        self._posting -= 1
        self._woken.set()
        if not self.pending:
            self._quiet.set()
        self.changed(delivery)

    async def _attempt(self, session: aiohttp.ClientSession, delivery: Delivery) -> Attempt:
        faults, started = self._faults(), self._config.clock()
        if not delivery.attempts and faults.drop_then_retry and self._chance.random() < faults.drop_then_retry:
            return Attempt(started, 0, 0, "dropped by the dial")
        secret = faults.stale_secret or self._config.app_secret
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": payloads.signature(secret, delivery.body),
        }
        status, note = 0, ""
        try:
            async with session.post(delivery.url, data=delivery.body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            note = str(error) or type(error).__name__
        return Attempt(started, status, round((self._config.clock() - started) * 1_000), note)


def _split(body: Json) -> list[Json]:
    """One body per item: threads of a chunk, messages, statuses, contacts each on their own."""
    if "entry" not in body:
        return [body]
    entry = body["entry"][0]
    parts: list[Json] = []
    for change in entry["changes"]:
        for value in _split_value(change["value"]):
            parts.append({**body, "entry": [{**entry, "changes": [{**change, "value": value}]}]})
    return parts


def _split_value(value: Json) -> list[Json]:
    for name in ITEM_ARRAYS:
        if len(value.get(name, ())) > 1:
            return [{**value, name: [item]} for item in value[name]]
    if len(value.get("history", [{}])[0].get("threads", ())) > 1:
        chunk = value["history"][0]
        return [{**value, "history": [{**chunk, "threads": [thread]}]} for thread in chunk["threads"]]
    return [value]


def _summary(body: Json) -> tuple[list[str], str]:
    """The fields of a body, and what is in it in a few words."""
    changes = [change for entry in body.get("entry", ()) for change in entry.get("changes", ())]
    fields = sorted({change["field"] for change in changes})
    words = [_words_of_any(change["value"]) for change in changes]
    more = f" and {len(words) - 2} more" if len(words) > 2 else ""
    return fields, "; ".join(words[:2]) + more


def _words_of_any(value: Json) -> str:
    """Whatever is posted by hand, to see what becomes of it, need not have the shape of anything."""
    try:
        return _words(value)
    except (AttributeError, IndexError, KeyError, TypeError):
        return "something strange"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _words(value: Json) -> str:
    if "message_template_name" in value:
        return f"{value['message_template_name']}: {_template_words(value)}"
    if "event" in value:
        return str(value["event"]).lower().replace("_", " ")
    if "history" in value:
        chunk = value["history"][0]
        if "errors" in chunk:
            return "history declined"
        count = sum(len(thread["messages"]) for thread in chunk.get("threads", ()))
        metadata = chunk.get("metadata", {})
        return f"{_several(count, 'message')}, phase {metadata.get('phase')}, {metadata.get('progress')} %"
    if "statuses" in value:
        return "status " + ", ".join(item["status"] for item in value["statuses"])
    for name, word in (("messages", "message"), ("message_echoes", "echo")):
        if name in value:
            return f"{word}: " + ", ".join(item["type"] for item in value[name])
    if "state_sync" in value:
        return _several(len(value["state_sync"]), "contact")
    return "other"


def _template_words(value: Json) -> str:
    for name, words in (("event", ""), ("new_quality_score", "quality "), ("correct_category", "soon ")):
        if name in value:
            return words + str(value[name]).lower().replace("_", " ")
    return str(value["new_category"]).lower() if "new_category" in value else "text changed"
