"""One running stand-in: its world, its dials, and the ways it tells the platform something."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from simulator import catalogue, chance, payloads
from simulator.config import MESSAGE_FIELDS, SUBSCRIBED_FIELDS, Config
from simulator.delivery import Deliveries, Delivery
from simulator.faults import Faults
from simulator.past import write_past
from simulator.state import State
from simulator.watchers import Watchers
from simulator.world import App, Connection, Json, Person, Thing, World

SAVE_EVERY_S = 0.2
HOUR_S = 3_600


class Simulation:
    """Everything that lives from start to stop. `open` before use, `close` at the end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.business = config.business
        self.pace = replace(config.pace)
        self.faults = Faults()
        self.watchers = Watchers()
        self.base_url = ""
        self._calls: deque[float] = deque()
        self._state = State(config.state) if config.state else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin_world()

    def _begin_world(self) -> None:
        config = self.config
        kept = self._state.start() if self._state else None
        seed, started_at = kept or (config.seed, config.started_at or int(config.clock()))
        app = App(config.webhook_url, config.verify_token, list(SUBSCRIBED_FIELDS))
        self.world = World(seed, started_at, Connection(), app)
        self.deliveries = Deliveries(self.world, config, lambda: self.pace, lambda: self.faults)
        unfinished: list[Delivery] = []
        if self._state and kept:
            unfinished = self._state.load(self.world)
            self.world.app.callback_url = config.webhook_url
            self.world.app.verify_token = config.verify_token
        if self._state:
            self.world.listeners.append(self._state.note)
            self.deliveries.before_posting = self._state.save
        self.world.listeners.append(self._watch)
        self.deliveries.changed = self._delivery_changed
        if not self.world.templates:
            catalogue.write(self.world)
        if not kept:
            write_past(self.world, config.message_count)
            if self._state:
                self._state.remember_start(seed, started_at)
                self._state.save()
        self.live = chance.stream(seed, "live", self.world.number("start"))
        for delivery in unfinished:
            self.deliveries.restore(delivery, self.callback_url(delivery.fields))

    def open(self) -> None:
        """Start posting and saving. Needs a running event loop."""
        self.start(self.deliveries.run())
        if self._state:
            self.start(self._keep_saving(self._state))

    async def stop(self) -> None:
        """End every task that runs beside the requests."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        self.watchers.close()
        await self.stop()
        if self._state:
            self._state.close()

    async def reset(self) -> None:
        """Begin the world again from its seed; dials return to rest."""
        await self.stop()
        if self._state:
            self._state.clear()
        self.pace, self.faults = replace(self.config.pace), Faults()
        self._begin_world()
        self.open()
        self.watchers.tell("reset", {})

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something after a while; forgotten when the stand-in stops."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            act()

        self.start(wait())

    def now(self) -> int:
        return int(self.config.clock())

    def count_call(self) -> int:
        """Count one Graph call; returns how many there were in the last hour."""
        now = self.config.clock()
        self._calls.append(now)
        while self._calls[0] < now - HOUR_S:
            self._calls.popleft()
        return len(self._calls)

    @property
    def connected(self) -> bool:
        return self.world.connection.state == "connected"

    def listens(self, field: str) -> bool:
        """Whether Meta would send that field: ticked in the app, and the app subscribed to the WABA."""
        is_subscribed = self.world.connection.waba_subscribed and not self.faults.unsubscribed
        return is_subscribed and field in self.world.app.fields and field not in self.faults.missing_fields

    def callback_url(self, fields: list[str]) -> str | None:
        """Where those fields go: message-like ones follow the number's, then the WABA's override (2.6)."""
        connection = self.world.connection
        override = connection.number_override or connection.waba_override
        if override and set(fields) <= MESSAGE_FIELDS:
            return override
        return self.world.app.callback_url

    def tell(
        self, field: str, value: Json, *, after_s: float = 0.0, entry_id: str | None = None, beside: Json | None = None
    ) -> bool:
        """Queue a webhook; False when nobody is subscribed, and then it is lost for good, as at Meta.

        `beside` stands in the change next to its value.
        """
        if not self.listens(field):
            return False
        timed = None if field in MESSAGE_FIELDS else self.now()
        body = payloads.envelope(entry_id or self.business.waba_id, [(field, value)], timed)
        body["entry"][0]["changes"][0] |= beside or {}
        self.deliveries.put(self.callback_url([field]), body, after_s=after_s)
        return True

    def _watch(self, thing: Thing) -> None:
        self.watchers.changed(thing)

    def _delivery_changed(self, delivery: Delivery) -> None:
        if self._state and delivery.url:
            self._state.note(delivery)
        self.watchers.changed(delivery)

    async def _keep_saving(self, state: State) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(SAVE_EVERY_S)
                state.save()

    def person(self, key: str) -> Person:
        """The person of a chat by key, BSUID, username or phone. LookupError with a sentence when unknown."""
        person = self.world.find_person(key)
        if person is None:
            raise LookupError(f"There is no chat named {key}.")
        return person
