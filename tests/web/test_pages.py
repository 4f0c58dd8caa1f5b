"""The pages as HTTP: who may see them, what they say, and what a form does."""

from __future__ import annotations

import re
from uuid import uuid4

import aiohttp
import pytest
from psycopg_pool import PoolTimeout

from coexist.base.database import transaction
from coexist.people import actions as people
from coexist.people.model import Member
from coexist.web.access import SESSION_COOKIE
from tests.support.business import change, conversation_of, echo, inbound
from tests.web.conftest import Site

PASSWORD = "correct horse battery"
OWNER = {"account_name": "Ótica Duarte", "name": "Inês Duarte", "email": "ines@example.com", "password": PASSWORD}


async def test_the_first_run_makes_the_owner_and_signs_them_in(empty_site: Site) -> None:
    site = empty_site
    assert (await site.post("/sign-in", email="x@example.com", password="nothing")).status == 401
    status, page = await site.get("/first-run")
    assert status == 200
    assert "Welcome" in page
    refused = await site.post("/first-run", **(OWNER | {"email": "no address"}))
    assert refused.status == 422
    made = await site.post("/first-run", **OWNER)
    assert made.status == 303
    cookie = made.cookies[SESSION_COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert (await site.post("/first-run", **OWNER)).status == 409, "there is one owner"
    site.cookie = cookie.value
    status, page = await site.get("/conversations")
    assert status == 200
    assert "No number is connected yet." in page


async def test_signing_in_and_out(empty_site: Site) -> None:
    site = empty_site
    await site.post("/first-run", **OWNER)
    assert (await site.get("/conversations"))[0] == 303
    wrong = await site.post("/sign-in", email=OWNER["email"], password="wrong password", next="/inboxes")
    assert wrong.status == 401
    right = await site.post("/sign-in", email=OWNER["email"], password=PASSWORD, next="/inboxes")
    assert (right.status, right.headers["Location"]) == (303, "/inboxes")
    site.cookie = right.cookies[SESSION_COOKIE].value
    assert (await site.get("/inboxes"))[0] == 200
    assert (await site.post("/sign-out")).status == 303
    assert (await site.get("/inboxes"))[0] == 303, "the session is over on the server too"


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_never_leads_elsewhere(empty_site: Site, path: str) -> None:
    await empty_site.post("/first-run", **OWNER)
    right = await empty_site.post("/sign-in", email=OWNER["email"], password=PASSWORD, next=path)
    assert right.headers["Location"] == "/"


async def test_a_sign_in_link_survives_being_looked_at_and_works_once(site: Site) -> None:
    assert site.member is not None
    async with transaction(site.pool) as conn:
        token = await people.create_sign_in_link(conn, site.member.user_id)
    site.cookie = ""
    for _ in range(2):
        assert (await site.get(f"/sign-in/link/{token}"))[0] == 200
    used = await site.post(f"/sign-in/link/{token}")
    assert used.status == 303
    assert (await site.post(f"/sign-in/link/{token}")).status == 401
    site.cookie = used.cookies[SESSION_COOKIE].value
    assert (await site.get("/conversations"))[0] == 200


async def test_nobody_sees_what_belongs_to_another_account(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.A", "Segredo"))
    conversation_id = await conversation_of(site.pool)
    async with transaction(site.pool) as conn:
        row = await (
            await conn.execute("SELECT min(m.id), min(c.contact_id) FROM messages m, conversations c")
        ).fetchone()
    assert row is not None
    message_id, contact_id = row
    assert site.business is not None
    inbox_id = site.business.inbox.id
    paths = [
        f"/conversations/{conversation_id}",
        f"/conversations/{conversation_id}?at={message_id}",
        f"/conversations/{conversation_id}/around",
        f"/conversations/{conversation_id}/messages",
        f"/media/{message_id}",
        f"/inboxes/{inbox_id}/sync",
        f"/inboxes/{inbox_id}/strip",
        f"/live?conversation={conversation_id}",
    ]
    forms = [
        f"/conversations/{conversation_id}/messages",
        f"/conversations/{conversation_id}/resolve",
        f"/conversations/{conversation_id}/reopen",
        f"/conversations/{conversation_id}/assign",
        f"/conversations/{conversation_id}/unassign",
        f"/conversations/{conversation_id}/read",
        f"/contacts/{contact_id}",
        f"/messages/{message_id}/retry",
        f"/messages/{message_id}/discard",
    ]
    assert (await site.get(paths[0]))[0] == 200, "its own account sees it"
    await site.sign_in(stranger)
    fields = {"text": "x", "name": "x", "up_to": str(message_id), "our_ref": str(uuid4())}
    assert {path: (await site.get(path))[0] for path in paths} == dict.fromkeys(paths, 404)
    assert {path: (await site.post(path, **fields)).status for path in forms} == dict.fromkeys(forms, 404)
    assert (await site.post(f"/conversations/{conversation_id}/draft", "PUT", text="x")).status == 404
    for path in ("/conversations", "/conversations?filter=all", "/conversations?q=egredo", "/inboxes"):
        status, page = await site.get(path)
        assert status == 200
        assert "Segredo" not in page
        assert "Rui" not in page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_forms_of_other_sites_are_refused(site: Site, headers: dict[str, str], status: int) -> None:
    cookie = {"Cookie": f"{SESSION_COOKIE}={site.cookie}"}
    async with site.http.post(site.url + "/sign-out", headers=headers | cookie, allow_redirects=False) as answer:
        assert answer.status == status


async def test_a_form_beyond_any_size_is_refused(site: Site) -> None:
    answer = await site.post("/conversations/1/draft", "PUT", text="x" * 300_000)
    assert answer.status == 413


async def test_every_page_keeps_browsers_strict(site: Site) -> None:
    for path in ("/conversations", "/sign-in/link/x", "/nothing-here"):
        headers = {"Cookie": f"{SESSION_COOKIE}={site.cookie}"}
        async with site.http.get(site.url + path, headers=headers) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", await answer.text())


async def test_pages_that_are_not_there(site: Site) -> None:
    for path in ("/nothing-here", "/conversations/999999", "/inboxes/9/sync", "/conversations/99999999999999999999"):
        status, page = await site.get(path)
        assert status == 404
        assert "Go to the inbox" in page


async def test_a_part_of_a_page_says_what_failed_in_a_header(site: Site) -> None:
    headers = {"Cookie": f"{SESSION_COOKIE}={site.cookie}", "HX-Request": "true"}
    async with site.http.get(site.url + "/conversations/999999", headers=headers) as answer:
        assert answer.status == 404
        assert "does%20not%20exist" in answer.headers["X-Failure"]
        assert await answer.text() == ""
    async with site.http.get(site.url + "/conversations", headers={"HX-Request": "true"}) as answer:
        assert (answer.status, answer.headers["HX-Redirect"]) == (401, "/sign-in")


async def test_without_a_database_the_page_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise PoolTimeout

    monkeypatch.setattr(site.pool, "connection", unreachable)
    status, page = await site.get("/conversations")
    assert status == 503
    assert "The database cannot be reached for a moment." in page


async def test_a_crash_shows_a_page_and_no_trace(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(site.pool, "connection", broken)
    status, page = await site.get("/conversations")
    assert status == 500
    assert "secret" not in page
    assert "Something broke on our side" in page


async def send(site: Site, **fields: str) -> aiohttp.ClientResponse:
    """Post the composer's form in the only conversation."""
    return await site.post(f"/conversations/{await conversation_of(site.pool)}/messages", **fields)


async def test_a_form_sent_twice_makes_one_message(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    our_ref = str(uuid4())
    for _ in range(2):
        assert (await send(site, text="Olá", our_ref=our_ref)).status == 303
    async with transaction(site.pool) as conn:
        cursor = await conn.execute("SELECT count(*), count(o.our_ref) FROM messages LEFT JOIN outbox o USING (our_ref)"
                                    " WHERE origin = 'api'")  # fmt: skip
        assert await cursor.fetchone() == (1, 1)


@pytest.mark.parametrize(
    "fields", [{"text": ""}, {"text": "x" * 4097}, {"text": "x", "our_ref": "no"}, {"text": "x", "reply_to": "no"}]
)
async def test_a_form_that_cannot_be_used_sends_nothing(site: Site, fields: dict[str, str]) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    assert (await send(site, **({"our_ref": str(uuid4())} | fields))).status == 422
    async with transaction(site.pool) as conn:
        assert await (await conn.execute("SELECT count(*) FROM outbox")).fetchone() == (0,)


@pytest.mark.requirement("E10")
async def test_the_composer_is_closed_until_the_customer_writes(site: Site) -> None:
    await site.deliver(echo("wamid.A", "Bom dia, aqui é da ótica"))
    _, page = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert "Closed: it opens with a new message of" in page
    assert "<fieldset disabled>" in page
    refused = await send(site, text="Olá", our_ref=str(uuid4()))
    assert refused.status == 409


async def test_lists_filter_and_page_by_position(site: Site) -> None:
    texts = [inbound(f"wamid.{n}", f"text {n}", phone=f"3519105591{n:02d}") for n in range(60)]
    await site.deliver(*texts)
    _, page = await site.get("/conversations")
    assert page.count('class="row ') == 50
    following = re.search(r'hx-get="(/conversations/list\?after=[^"]+)"', page)
    assert following is not None
    _, rest = await site.get(following.group(1))
    assert rest.count('class="row ') == 10
    assert not set(re.findall(r"/conversations/(\d+)", page)) & set(re.findall(r"/conversations/(\d+)", rest))
    _, mine = await site.get("/conversations?filter=mine")
    assert "Nothing is assigned to you." in mine
    _, waiting = await site.get("/conversations/list?filter=waiting&rows=60")
    assert waiting.count('class="row ') == 60


@pytest.mark.parametrize(
    ("asked", "found"),
    [("rui", 1), ("910 559 111", 1), ("óculos", 1), ("100%", 1), ("%", 1), ("_", 0), ("zzz", 0), ("\0", 0)],
)
async def test_search_finds_names_numbers_and_texts(site: Site, asked: str, found: int) -> None:
    await site.deliver(inbound("wamid.A", "Os óculos estão 100% prontos?"))
    _, page = await site.get(f"/conversations/list?q={asked.replace('%', '%25').replace(chr(0), '%00')}")
    if asked == "\0":
        assert 'aria-label="Filter"' in page, "nothing asked is the list"
    else:
        assert page.count('class="row') == found + page.count('class="row-') + page.count('class="rows"')


@pytest.mark.parametrize("asked", ["98550-0112", "%2B55 11 98550-0112", "8550-0112", "551185500112"])
async def test_search_finds_a_number_in_each_of_its_forms(site: Site, asked: str) -> None:
    contact = {"full_name": "Marina", "phone_number": "5511985500112"}
    entry = {"type": "contact", "action": "add", "contact": contact, "metadata": {"timestamp": "1780000000"}}
    book = change("smb_app_state_sync", state_sync=[entry])
    await site.deliver(inbound("wamid.A", "Bom dia", phone="551185500112"), book)
    _, page = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert "+55 11 98550-0112" in page, "the number as it is shown"
    _, page = await site.get(f"/conversations/list?q={asked.replace(' ', '+')}")
    assert "1 found for" in page


async def test_broken_positions_are_refused(site: Site) -> None:
    for raw in ("x", "1", "1-", "-1", "99999999999999999999-1", "1-99999999999999999999"):
        assert (await site.get(f"/conversations/list?after={raw}"))[0] == 422


@pytest.mark.requirement("F7", "F11")
async def test_renaming_and_noting_a_contact(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    path = f"/conversations/{await conversation_of(site.pool)}"
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT id FROM contacts")).fetchone()
    assert row is not None
    assert (await site.post(f"/contacts/{row[0]}", name="  Rui <b>Costa</b> ")).status == 303
    assert (await site.post(f"/contacts/{row[0]}", note="Prefere <i>manhãs</i>")).status == 303
    _, page = await site.get(path)
    assert "Rui &lt;b&gt;Costa&lt;/b&gt;" in page
    assert "Prefere &lt;i&gt;manhãs&lt;/i&gt;" in page
    assert "the phone's address book stays as it is" in page
    assert (await site.post(f"/contacts/{row[0]}", name="")).status == 303
    _, page = await site.get(path)
    assert "Rui &lt;b&gt;" not in page
    assert "Rui" in page
    assert (await site.post(f"/contacts/{row[0]}", name="x" * 201)).status == 422
