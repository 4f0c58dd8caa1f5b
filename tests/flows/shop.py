"""The whole product beside the phone of one shop, and the questions that every flow asks of the two."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from simulator.config import Pace
from tests.flows.expected import Json
from tests.flows.truth import Known, differences
from tests.support.product import ACCOUNT, APP_SECRET, Phone, Product, beside_the_phone
from tests.support.waiting import PATIENCE_S, until

LIVELY: Final = Pace(delivered_ms=30, read_ms=(30, 90), parallel_count=4)
"""Ticks within a blink, and webhooks in parallel, as Meta sends them."""
SHOWN_COUNT: Final = 25
FINAL: Final = ("read", "failed")

# What a flow waits for, never what it asserts: everything acknowledged is applied, every file fetched, all sent.
ON_ITS_WAY: Final = """
SELECT concat_ws(', ', (SELECT count(*) || ' deliveries' FROM backlog HAVING count(*) > 0),
                       (SELECT concat_ws(' ', count(*), 'files, the next at', min(next_attempt_at), min(error))
                          FROM media WHERE state = 'waiting' HAVING count(*) > 0),
                       (SELECT count(*) || ' messages' FROM outbox
                         WHERE state IN ('queued', 'sending', 'unclear') HAVING count(*) > 0),
                       (SELECT string_agg(concat_ws(' ', 'a sync waits for', c ->> 'name', c ->> 'seen'), ', ')
                          FROM preflights p, jsonb_array_elements(p.checks) c
                         WHERE p.is_waiting AND c ->> 'level' <> 'green'))
"""


@dataclass
class Shop:
    """One account with one number: our side and the phone's."""

    product: Product
    phone: Phone
    folder: Path
    known: Known = field(default_factory=Known)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.product.port}"

    @property
    def database_url(self) -> str:
        """The database that was given, or the embedded one's."""
        given = self.product.environment["COEXIST_DATABASE_URL"]
        return given or (self.folder / "postgres" / "address").read_text("utf-8")

    async def tell(self, what: str, **asked: Any) -> Json:
        """``POST /control/{what}``: the message it made, if it made one."""
        answer = await self.phone.do(what, **asked)
        return dict(answer.get("message", answer))

    async def look(self, what: str) -> Json:
        """``GET /control/{what}``."""
        async with self.phone.session.get(f"{self.phone.address}/control/{what}") as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def graph(self, path: str, *, token: str = "", **fields: str) -> Json:
        """``POST`` to Graph past the product, as any program could that has a token of the business."""
        token = token or (await self.tell("token"))["token"]
        url, headers = f"{self.phone.address}/v25.0/{path}", {"Authorization": f"Bearer {token}"}
        async with self.phone.session.post(url, json=fields, headers=headers) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def deliver(self, body: bytes, signed: str | None = None) -> int:
        """Post a webhook, rightly signed unless told otherwise (``""``: not at all). Returns the status."""
        signed = signature(body) if signed is None else signed
        headers = {"X-Hub-Signature-256": signed} if signed else {}
        async with self.phone.session.post(f"{self.url}/webhook", data=io.BytesIO(body), headers=headers) as response:
            return response.status

    async def trade(self, chat: str) -> None:
        """A conversation with second thoughts on both sides."""
        asked = await self.tell("customer/send", chat=chat, text="Oi, tem terra vegetal?")
        answer = await self.tell("owner/send", chat=chat, text="Tem sim", reply_to=asked["wamid"])
        await self.tell("customer/edit", message=asked["wamid"], text="Oi, tem terra vegetal de 20 kg?")
        await self.tell("customer/react", message=answer["wamid"], emoji="👍")
        await self.tell("customer/send", chat=chat, media="voice")
        await self.tell("owner/send", chat=chat, media="photo", caption="esta aqui")
        wrong = await self.tell("owner/send", chat=chat, text="R$ 2")
        await self.tell("owner/delete", message=wrong["wamid"])
        await self.tell("owner/edit", message=answer["wamid"], text="Tem sim, R$ 22")

    async def export(self) -> list[Json]:
        """Every line of ``coexist export``."""
        out = await self.product.run("export", "--account", ACCOUNT)
        return [json.loads(line) for line in out.splitlines()]

    async def ask(self, query: str) -> Any:
        """The first value of a query's first row."""
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as conn:
            row = await (await conn.execute(query)).fetchone()
        assert row is not None
        return row[0]

    async def quiet(self) -> None:
        """Wait until nothing is on its way, in either direction."""
        on_its_way = "nothing is known"

        async def is_quiet() -> bool:
            nonlocal on_its_way
            with suppress(psycopg.OperationalError, OSError):
                on_its_way = await self.on_its_way() or await self.on_its_way()  # the phone's, then what it brought
            return not on_its_way

        try:
            await until(is_quiet, "")
        except AssertionError:
            raise AssertionError(f"still on its way after {PATIENCE_S:.0f} s: {on_its_way}") from None

    async def on_its_way(self) -> str:
        """What is not there yet where it goes, in words."""
        if pending := (await self.look("state"))["pending"]:
            return f"{pending} webhooks"
        sent = [one for one in await self.phone.messages() if one["origin"] == "api" and one["status"] not in FINAL]
        return f"ticks of {len(sent)} messages" if sent else str(await self.ask(ON_ITS_WAY))

    async def check(self) -> list[Json]:
        """The closing assertion of every flow: once all is quiet, the export equals the phone. Returns its lines."""
        await self.quiet()
        lines = await self.export()
        found = differences(lines, await self.look("truth"), self.known)
        more = f"\n… and {len(found) - SHOWN_COUNT} more" if len(found) > SHOWN_COUNT else ""
        assert not found, f"{len(found)} differences:\n" + "\n".join(found[:SHOWN_COUNT]) + more
        return lines


def signature(body: bytes, secret: str = APP_SECRET) -> str:
    """The ``X-Hub-Signature-256`` of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def of_kind(lines: Sequence[Json], kind: str) -> list[Json]:
    """The lines of an export that are of a kind."""
    return [line for line in lines if line["kind"] == kind]


@asynccontextmanager
async def open_shop(
    database_url: str, folder: Path, *, settings: Mapping[str, str] | None = None, pace: Pace = LIVELY, **config: Any
) -> AsyncIterator[Shop]:
    """The product, connected to nothing yet, beside the phone. Without a ``database_url`` it runs its own."""
    async with beside_the_phone(database_url, folder, settings=settings, pace=pace, **config) as (product, phone):
        yield Shop(product, phone, folder)


async def next_second() -> None:
    """The wire knows whole seconds: what must be later there has to happen a second later here."""
    now = int(time.time())

    async def is_later() -> bool:
        return int(time.time()) > now

    await until(is_later, "the next second")
