"""Keeps the world in one file, so that a second start goes on where the first ended."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from simulator.delivery import Delivery
from simulator.world import (
    App,
    Connection,
    Counters,
    Grant,
    MediaHandle,
    Message,
    Person,
    Template,
    Thing,
    Upload,
    World,
)

_KINDS: dict[str, type[Any]] = {
    "person": Person,
    "message": Message,
    "template": Template,
    "handle": MediaHandle,
    "upload": Upload,
    "grant": Grant,
    "connection": Connection,
    "app": App,
    "counters": Counters,
    "delivery": Delivery,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def _key(thing: Thing | Delivery) -> str:
    match thing:
        case Message():
            return thing.wamid
        case MediaHandle() | Template():
            return thing.id
        case Upload():
            return thing.sha256
        case Grant():
            return thing.value
        case Delivery():
            return str(thing.number)
        case _:
            return thing.key


def encoded(thing: Thing | Delivery) -> bytes:
    """A thing as it is kept."""
    return msgspec.json.encode(thing)


class State:
    """One SQLite file with a row per thing. `note` remembers a change, `save` writes all remembered ones at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS thing (place integer PRIMARY KEY, kind text NOT NULL, key text NOT NULL,"
            " body blob NOT NULL, UNIQUE (kind, key))"
        )
        self._changed: dict[tuple[str, str], Thing | Delivery] = {}
        self._gone: set[tuple[str, str]] = set()

    def note(self, thing: Thing | Delivery) -> None:
        place = (_NAMES[type(thing)], _key(thing))
        if isinstance(thing, Delivery) and thing.finished:
            self._changed.pop(place, None)
            self._gone.add(place)
            return
        self._changed[place] = thing

    def save(self) -> None:
        if not self._changed and not self._gone:
            return
        rows = [(kind, key, encoded(thing)) for (kind, key), thing in self._changed.items()]
        with self._file:
            self._file.executemany(
                "INSERT INTO thing (kind, key, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                rows,
            )
            self._file.executemany("DELETE FROM thing WHERE kind = ? AND key = ?", list(self._gone))
        self._changed.clear()
        self._gone.clear()

    def remember_start(self, seed: int, started_at: int) -> None:
        with self._file:
            self._file.execute(
                "INSERT OR REPLACE INTO thing (kind, key, body) VALUES ('start', 'start', ?)",
                (msgspec.json.encode([seed, started_at]),),
            )

    def start(self) -> tuple[int, int] | None:
        """Seed and first moment of the kept world; None when there is no world yet."""
        row = self._file.execute("SELECT body FROM thing WHERE kind = 'start'").fetchone()
        return msgspec.json.decode(row[0], type=tuple[int, int]) if row else None

    def load(self, world: World) -> list[Delivery]:
        """Fill the world with what was kept; returns the deliveries not yet answered."""
        deliveries: list[Delivery] = []
        for thing in self._things():
            match thing:
                case Person():
                    world.add_person(thing)
                case Message():
                    world.add_message(thing)
                case Template():
                    world.add_template(thing)
                case MediaHandle():
                    world.handles[thing.id] = thing
                case Upload():
                    world.uploads[thing.sha256] = thing
                case Grant():
                    world.grants[thing.value] = thing
                case Connection():
                    world.connection = thing
                case App():
                    world.app = thing
                case Counters():
                    world.counters = thing
                case Delivery():
                    deliveries.append(thing)
        return deliveries

    def clear(self) -> None:
        """Forget the world."""
        self._changed.clear()
        self._gone.clear()
        with self._file:
            self._file.execute("DELETE FROM thing")

    def close(self) -> None:
        self.save()
        self._file.close()

    def _things(self) -> Iterator[Thing | Delivery]:
        for kind, body in self._file.execute("SELECT kind, body FROM thing WHERE kind <> 'start' ORDER BY place"):
            yield msgspec.json.decode(body, type=_KINDS[kind])
