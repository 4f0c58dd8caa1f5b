"""Who may do what: every form of the route table, for nobody, for somebody of another account, and for an agent."""

from __future__ import annotations

import html
import re
from typing import Final
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
from starlette.routing import Route

from coexist.base.database import transaction
from coexist.base.errors import Unavailable
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.web.app import routes
from tests.support.business import change, inbound
from tests.web.conftest import Site

FOR_EVERYBODY: Final = ("/first-run", "/sign-in", "/connect/")
"""Forms of who is not signed in; those below /connect/ need a link's token."""

OWN: Final = (
    "/sign-out", "/inboxes/choices", "/private-numbers", "/exported-chats", "/inboxes/connect", "/quarantine",
    "/webhooks",
)  # fmt: skip
"""Forms that name nothing of an account, or what begins with them: they are about the viewer's own account."""

ANSWERING: Final = ("/conversations/", "/messages/", "/contacts/", "/sign-out", "/inboxes/1/templates/ask")
"""What agents do; that Meta is asked for its templates once more changes nothing."""

VALUES: Final = {
    "token": "invented", "step": "go", "signup_id": str(UUID(int=7)), "conversation_id": 1, "message_id": 1,
    "contact_id": 1, "inbox_id": 1, "link_id": 1, "chat_id": 1, "number_id": 1, "quarantine_id": 1,
    "webhook_id": 1, "template_id": 1,
}  # fmt: skip
"""What stands in the paths: the site's own rows, which are the first of their tables."""

LINKS_MAX: Final = 200
"""Pages that are opened one from another: pages of lists have no end."""

FIELDS: Final = {
    "text": "Mallory was here", "our_ref": str(UUID(int=9)), "up_to": "1", "name": "Mallory", "typed": "5511985500100",
    "days": "3", "level": "inbox", "switch": "media", "turn": "off", "reason": "because", "why": "because",
    "made_for": "Mallory", "number": "+44 7700 900123", "code": "AQinvented", "effect": "leave",
    "url": "https://crm.example.com/coexist",
}  # fmt: skip


def forms() -> list[tuple[str, str]]:
    """Every method and path that changes something."""
    found = []
    for route in routes():
        if isinstance(route, Route):
            path = route.path
            for name in route.param_convertors:
                kind = route.param_convertors[name]
                path = path.replace(f"{{{name}}}", str(VALUES[name]))
                path = path.replace(f"{{{name}:{_word(kind)}}}", str(VALUES[name]))
            found += [(method, path) for method in sorted((route.methods or set()) - {"GET", "HEAD"})]
    return found


def _word(kind: object) -> str:
    return {"IntegerConvertor": "int", "UUIDConvertor": "uuid"}.get(type(kind).__name__, "str")


async def test_nobody_changes_anything_without_signing_in(site: Site) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    site.cookie = ""
    private = [(method, path) for method, path in forms() if not path.startswith(FOR_EVERYBODY)]
    assert len(private) > 30
    for method, path in private:
        answered = await site.post(path, method, **FIELDS)
        assert (answered.status, answered.headers.get("Location")) == (303, "/sign-in"), (method, path)
    for method, path in forms():
        if path.startswith("/connect/"):
            assert (await site.post(path, method, **FIELDS)).status == 404, path


async def test_nobody_changes_anything_of_another_account(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    await site.sign_in(stranger)
    concerned = [form for form in forms() if not form[1].startswith((*FOR_EVERYBODY, *OWN))]
    named = [(m, p) for m, p in forms() if p.startswith(OWN) and any(part.isdecimal() for part in p.split("/"))]
    assert len(concerned) > 15
    for method, path in [*concerned, *named]:
        assert (await site.post(path, method, **FIELDS)).status == 404, (method, path)


async def test_bringing_back_an_import_touches_no_other_number(site: Site, stranger: Member) -> None:
    """The journal has the deliveries of all: what another account has taken back stays so, and nobody counts it."""
    owner = site.member
    assert owner is not None
    await site.deliver(change("history", history=[{"metadata": {"phase": 0, "chunk_order": 1, "progress": 100}}]))
    await site.deliver(inbound("wamid.1", "Olá"))
    async with transaction(site.pool) as conn:
        await conn.execute(
            "INSERT INTO quarantine (journal_id, part, phone_number_id, error, kind, part_bytes)"
            " SELECT j.id, '', phone_number_id, 'TypeError: a fault', 'message', 1 FROM inboxes, journal j"
        )
        await conn.execute("UPDATE journal SET lane = 1 WHERE id = 1")
        await conn.execute(
            "INSERT INTO contact_scopes (account_id, portfolio_id) SELECT id, '9' FROM accounts WHERE name = %s",
            ("Somebody else",),
        )
        await conn.execute(
            "INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number,"
            " is_coexistence, onboarded_at, state_at) SELECT account_id, id, 'Theirs', '9', '9', '447700900123', true,"
            " now() - interval '1 day', now() FROM contact_scopes WHERE portfolio_id = '9'"
        )
    await site.sign_in(stranger)
    answered = await site.post("/inboxes/2/receipt/reapply")
    assert answered.headers["Location"].endswith("?returned=0")
    assert await wanted_again(site) == ([], [])
    await site.sign_in(owner)
    answered = await site.post("/inboxes/1/receipt/reapply")
    assert answered.headers["Location"].endswith("?returned=1")
    assert await wanted_again(site) == ([1], [1])


async def wanted_again(site: Site) -> tuple[list[int], list[int]]:
    """Deliveries in line, and those of which parts are to be tried again."""
    async with transaction(site.pool) as conn:
        waiting = await (await conn.execute("SELECT journal_id FROM backlog")).fetchall()
        retried = await (
            await conn.execute("SELECT journal_id FROM quarantine WHERE retry_wanted_at IS NOT NULL")
        ).fetchall()
    return [id_ for (id_,) in waiting], [id_ for (id_,) in retried]


async def test_agents_answer_and_decide_nothing_else(site: Site) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    assert site.member is not None
    async with transaction(site.pool) as conn:
        agent = await people.add_user(conn, site.member.account_id, name="Rui", email="r@example.com", role=Role.AGENT)
    await site.sign_in(agent)
    for method, path in forms():
        if not path.startswith((*FOR_EVERYBODY, *ANSWERING)):
            expected = 404 if path.startswith("/quarantine") else 403
            assert (await site.post(path, method, **FIELDS)).status == expected, (method, path)


async def test_no_link_leads_an_agent_to_what_they_may_not(site: Site) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    assert site.member is not None
    async with transaction(site.pool) as conn:
        agent = await people.add_user(conn, site.member.account_id, name="Rui", email="r@example.com", role=Role.AGENT)
    await site.sign_in(agent)
    refused, met, ahead = set(), set(), ["/"]
    while ahead:
        path = ahead.pop()
        met.add(path)
        status, page = await site.get(path)
        refused |= {path} if status >= 400 else set()
        links = {html.unescape(link).partition("#")[0] for link in re.findall(r'(?:href|hx-get)="(/[^"]*)"', page)}
        links |= {"/conversations/1/messages", "/inboxes/1/receipt"}
        new = (each for each in links - met if not each.startswith(("/static", "/live")) and each not in ahead)
        ahead += sorted(new) if len(met) < LINKS_MAX else ()
    assert refused == set()
    assert {"/conversations/1", "/inboxes/1/coverage"} <= met


async def test_the_token_of_a_link_stays_out_of_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("coexist.coexistence.signup_links.find", AsyncMock(side_effect=Unavailable("No database.")))
    assert (await site.get("/connect/a-token-that-opens-doors"))[0] == 503
    logged = capsys.readouterr().out
    assert "page_failed" in logged
    assert "/connect/" in logged
    assert "opens-doors" not in logged
