"""Every code of Meta's error tables, walked through the wire: answered at once to a send, and told by a status later.

What is expected of each code is written in `tests.support.error_codes` from Meta's documentation; what each action
looks like in the tables, for the message, its number, another number of the same WhatsApp account and its person,
is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import actions as connecting
from coexist.inbox.inboxes import Inbox
from coexist.meta.graph import Graph
from coexist.outbound import actions, worker
from coexist.templates.store import STATUS
from tests.support import templates
from tests.support.business import KEYRING, TOKEN, Business, conversation_of, deliver, open_business
from tests.support.error_codes import ACTIONS
from tests.support.outbox import frozen, send_due
from tests.support.scripted_graph import ScriptedGraph, error


@dataclass(frozen=True, slots=True)
class Seen:
    """What a code left behind. ``waits_s``: the least and most until the message's next attempt."""

    outbox: str = "failed"
    attempts: int = 1
    waits_s: tuple[float, float] = (0, 0)
    state: str = "connected"
    standing: bool = False
    other_state: str = "connected"
    other_standing: bool = False
    is_asked_about: bool = False
    paused: str = ""
    rate: int = 20
    has_window: bool = True
    marketing: str = ""
    template: str = ""


AT_ONCE: Final = {
    "fail": Seen(),
    "again": Seen("queued", waits_s=(0.5, 1)),
    "again_in_a_minute": Seen("queued", waits_s=(60, 60)),
    "again_once": Seen("queued", waits_s=(0.5, 1)),
    "leave_unclear": Seen("unclear"),
    "slow_person": Seen("queued", waits_s=(1, 1)),
    "slow_number": Seen("queued", attempts=0, waits_s=(1, 60), rate=10),
    "pause_account": Seen("queued", waits_s=(0.5, 1), paused="its account"),
    "pause_all": Seen("queued", attempts=0, paused="everything"),
    "renew_access": Seen("queued", attempts=0, state="token_invalid"),
    "ask_meta": Seen("queued", attempts=0, waits_s=(30, 30), is_asked_about=True),
    "stop_account": Seen("queued", attempts=0, state="restricted", standing=True, other_state="restricted",
                         other_standing=True, is_asked_about=True),
    "hold_business_initiated": Seen(standing=True, is_asked_about=True),
    "hold_paid": Seen(standing=True, other_standing=True, is_asked_about=True),
    "tell_admins": Seen(standing=True, is_asked_about=True),
    "close_window": Seen(has_window=False),
    "rest_marketing": Seen(marketing="rests"),
    "stop_marketing": Seen(marketing="stopped"),
    "read_templates": Seen(template="read again"),
    "hold_template": Seen(template="PAUSED"),
    "block_template": Seen(template="blocked"),
}  # fmt: skip
"""What an action looks like when Meta answered a reply in an open window with such a code."""
LATER: Final = {
    action: replace(seen, outbox="accepted", attempts=1, waits_s=(0, 0)) for action, seen in AT_ONCE.items()
}
"""What it looks like when a status told the code later: the message failed, and never goes again by itself."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A number and another one of its WhatsApp account; a customer of the first has just written."""

    business: Business
    inbox: Inbox
    other: Inbox
    conversation_id: int
    phone: str


async def open_shop(business: Business, n: int) -> Shop:
    """A new WhatsApp account with two numbers."""
    numbers = []
    for which in (1, 2):
        async with transaction(business.pool) as conn:
            numbers.append(
                await connecting.connect(
                    conn, KEYRING, account_id=business.member.account_id, waba_id=f"70{n}", token=TOKEN,
                    phone_number_id=f"55{n}{which}", display_phone_number=f"35121055{n:04}{which}",
                    is_coexistence=True, onboarded_at=clock.now() - timedelta(hours=1),
                )
            )  # fmt: skip
    phone = f"35191055{n:04}"
    hello = {"from": phone, "id": f"wamid.IN{n}", "timestamp": seconds(), "type": "text", "text": {"body": "Olá"}}
    await deliver(business.pool, of(numbers[0], phone, messages=[hello]))
    return Shop(business, numbers[0], numbers[1], await conversation_of(business.pool, phone), phone)


def of(inbox: Inbox, phone: str, **value: Any) -> dict[str, Any]:
    """One change of a webhook about a number."""
    metadata = {"display_phone_number": inbox.display_phone_number, "phone_number_id": inbox.phone_number_id}
    contacts = [{"profile": {"name": "Rui"}, "wa_id": phone}]
    return {"field": "messages", "value": {"metadata": metadata, "contacts": contacts, **value}}


def seconds(at: datetime | None = None) -> str:
    return str(int((at or clock.now()).timestamp()))


OF_TEMPLATES: Final = {"read_templates", "hold_template", "block_template"}


async def write(shop: Shop, action: str = "") -> int:
    """Write to the customer: with a template where the action is about one."""
    if action in OF_TEMPLATES:
        await templates.keep(shop.business, templates.listed(), waba_id=shop.inbox.waba_id)
        return await templates.write(shop.business, shop.conversation_id, waba_id=shop.inbox.waba_id)
    return await write_text(shop)


async def write_text(shop: Shop, text: str = "Bom dia") -> int:
    async def work(conn: Any) -> int:
        return await actions.send_text(conn, KEYRING, shop.business.member, shop.conversation_id, text, our_ref=uuid4())

    return await in_transaction(shop.business.pool, work)


async def fail_later(shop: Shop, wamid: str, code: int, at: datetime | None = None) -> None:
    told = {
        "id": wamid, "status": "failed", "timestamp": seconds(at), "recipient_id": shop.phone,
        "errors": [{"code": code, "title": "as scripted", "error_data": {"details": "as scripted"}}],
    }  # fmt: skip
    await deliver(shop.business.pool, of(shop.inbox, shop.phone, statuses=[told]))


LEFT: Final = f"""
SELECT o.state::text AS outbox, o.attempts, o.next_attempt_at, i.state::text AS state, i.standing_codes,
       t.state::text AS other_state, t.standing_codes AS other_standing_codes,
       EXISTS (SELECT FROM connection_questions WHERE inbox_id = i.id) AS is_asked_about,
       (SELECT waba_id FROM call_pauses) AS paused,
       (SELECT halvings FROM slowed_numbers WHERE inbox_id = i.id) AS halvings,
       c.window_refused_at IS NULL AS has_window, w.marketing_wish AS wish,
       w.marketing_rests_until > %(now)s + interval '23 hours 59 minutes' AS rests,
       (SELECT {STATUS} FROM templates t WHERE t.account_id = i.account_id AND t.waba_id = i.waba_id) AS template,
       EXISTS (SELECT FROM template_lists l WHERE l.account_id = i.account_id AND l.waba_id = i.waba_id
                  AND l.next_at <= now() + interval '1 second') AS is_read_again
  FROM outbox o JOIN messages m ON m.id = o.message_id JOIN inboxes i ON i.id = o.inbox_id
  JOIN inboxes t ON t.id = %(other)s JOIN conversations c ON c.id = m.conversation_id
  JOIN identities w ON w.contact_id = c.contact_id AND w.kind = 'phone'
 WHERE o.message_id = %(message_id)s
"""


@dataclass(frozen=True, slots=True)
class Left:
    outbox: str
    attempts: int
    next_attempt_at: datetime
    state: str
    standing_codes: Sequence[int]
    other_state: str
    other_standing_codes: Sequence[int]
    is_asked_about: bool
    paused: str | None
    halvings: int | None
    has_window: bool
    wish: str | None
    rests: bool | None
    template: str | None
    is_read_again: bool

    @property
    def of_template(self) -> str:
        """What became of the message's template."""
        if self.template is None or not self.is_read_again:
            return ""
        return {"APPROVED": "read again", "MISSING": "blocked", "DISABLED": "blocked"}.get(self.template, self.template)


async def check(shop: Shop, message_id: int, code: int, wanted: Seen, since: datetime) -> None:
    """Compare what a code left behind with what is wanted."""
    values = {"message_id": message_id, "other": shop.other.id, "now": since}
    async with shop.business.pool.connection() as conn, conn.cursor(row_factory=class_row(Left)) as cursor:
        await cursor.execute(LEFT, values)
        left = await cursor.fetchone()
    assert left is not None
    pauses = {None: "", "": "everything", shop.inbox.waba_id: "its account"}
    seen = Seen(
        outbox=left.outbox,
        attempts=left.attempts,
        waits_s=wanted.waits_s,
        state=left.state,
        standing=code in left.standing_codes,
        other_state=left.other_state,
        other_standing=code in left.other_standing_codes,
        is_asked_about=left.is_asked_about,
        paused=pauses[left.paused],
        rate=20 >> (left.halvings or 0),
        has_window=left.has_window,
        marketing={"stop": "stopped"}.get(left.wish or "", "rests" if left.rests else ""),
        template=left.of_template,
    )
    assert seen == wanted, code
    if wanted.waits_s != (0, 0):
        least, most = (timedelta(seconds=waits) for waits in wanted.waits_s)
        assert since + least <= left.next_attempt_at <= clock.now() + most, code


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_code_that_answers_a_send_leads_to_its_action(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], action: str
) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    for n, code in enumerate(ACTIONS[action]):
        shop, since = await open_shop(business, n), clock.now()
        message_id = await write(shop, action)
        scripted.answers.append(error(code))
        assert await send_due(business, graph) == 1, code
        await check(shop, message_id, code, AT_ONCE[action], since)
        asked = len(scripted.asked)
        await send_due(business, graph)
        assert len(scripted.asked) == asked, "nothing is tried again at once"
        async with transaction(pool) as conn:
            await conn.execute("DELETE FROM outbox")


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_code_that_a_status_tells_leads_to_its_action(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], action: str
) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    for n, code in enumerate(ACTIONS[action]):
        shop, since = await open_shop(business, n), clock.now().replace(microsecond=0)
        message_id = await write(shop, action)
        assert await send_due(business, graph) == 1
        wamid = f"wamid.OUT{len(scripted.asked)}"
        await fail_later(shop, wamid, code, since + timedelta(seconds=1))
        await fail_later(shop, wamid, code, since + timedelta(seconds=1))  # delivered twice, as Meta may
        await check(shop, message_id, code, LATER[action], since)
        asked = len(scripted.asked)
        for days in (0, 1, 8):
            at = since + timedelta(days=days, seconds=2)
            with frozen(at):
                await send_due(business, graph)
        assert len(scripted.asked) == asked, "what Meta took is never sent again by itself"


async def test_a_status_that_overtakes_the_answer_closes_the_window_all_the_same(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    shop = await open_shop(await open_business(pool), 1)
    message_id = await write(shop)
    await fail_later(shop, "wamid.OUT1", 131047, clock.now() + timedelta(seconds=1))
    await send_due(shop.business, graph)
    await worker.sweep(pool)
    await check(shop, message_id, 131047, LATER["close_window"], clock.now())
