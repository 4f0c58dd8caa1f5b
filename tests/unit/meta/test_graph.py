"""The Graph client against a scripted server: what it sends, and what each kind of answer or silence becomes."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import stamina
from aiohttp import web
from aiohttp.test_utils import TestServer

from coexist.base.errors import TooLarge, UpstreamFailed
from coexist.meta import graph as meta_graph
from coexist.meta import transport
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import Graph, GraphError, GraphNotSent, GraphUnclear
from tests.support.ports import free_port

TOKEN = "EAAinvented"
NUMBER = "555100020003000"
SECRET = "app-secret"
Reply = Callable[[web.Request], web.StreamResponse]


class Script:
    """Answers each path as told and remembers every request with its body."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.silent_seconds = 0.0
        self.seen: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []

    def answer(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        query, headers = dict(request.query), dict(request.headers)
        self.seen.append((request.method, request.path, query, headers, await request.read()))
        await asyncio.sleep(self.silent_seconds)
        replies = self.replies[request.path]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(request)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def graph(script: Script) -> AsyncIterator[Graph]:
    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{rest:.*}", script.respond)
    with stamina.set_testing(True, attempts=3):
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            yield Graph(session, str(server.make_url("")), "v25.0", SECRET)


def ok(value: Any) -> Reply:
    return lambda _: web.json_response(value)


def refusal(code: int, status: int = 400, **more: Any) -> Reply:
    error = {"message": f"(#{code}) refused", "code": code, "fbtrace_id": "Atrace"} | more
    return lambda _: web.json_response({"error": error}, status=status)


def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


SENT = {
    "contacts": [{"input": "+351910559111", "wa_id": "351910559111", "user_id": "PT.1"}],
    "messages": [{"id": "wamid.1", "message_status": "accepted"}],
}


async def test_sending_gives_what_meta_named_it(graph: Graph, script: Script) -> None:
    script.answer(f"/v25.0/{NUMBER}/messages", ok(SENT))
    payload = {"messaging_product": "whatsapp", "to": "+351910559111", "type": "text", "text": {"body": "Olá"}}

    sent = await meta_graph.send_message(graph, NUMBER, TOKEN, payload)

    assert (sent.wamid, sent.wa_id, sent.user_id, sent.message_status) == (
        "wamid.1",
        "351910559111",
        "PT.1",
        "accepted",
    )
    ((method, _, query, headers, body),) = script.seen
    assert (method, json.loads(body)) == ("POST", payload)
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert query == {"appsecret_proof": hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()}


async def test_a_refusal_keeps_all_that_meta_said(graph: Graph, script: Script) -> None:
    script.answer(
        f"/v25.0/{NUMBER}/messages",
        refusal(131047, error_subcode=2494010, error_data={"details": "more than 24 hours"}, is_transient=False),
    )

    with pytest.raises(GraphError) as raised:
        await meta_graph.send_message(graph, NUMBER, TOKEN, {})

    error = raised.value
    assert (error.code, error.subcode, error.http_status, error.fbtrace_id) == (131047, 2494010, 400, "Atrace")
    assert (error.details, error.is_transient, error.meaning.kind) == ("more than 24 hours", False, ErrorClass.WINDOW)
    assert str(error) == (
        "More than 24 hours have passed since this person last wrote. (Meta: 131047: more than 24 hours) "
        "Send a template instead."
    )
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: web.Response(status=502, text="<html>Bad gateway</html>"),
        lambda _: web.Response(status=500),
        lambda _: web.Response(status=200, text="<html>"),
        lambda _: web.json_response({"messages": []}),
        lambda _: web.json_response({"ok": True}),
        lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        hang_up,
    ],
    ids=["html", "empty", "html with 200", "no message", "another shape", "redirect", "hang-up"],
)
async def test_what_may_have_been_sent_is_unclear_and_never_repeated(
    graph: Graph, script: Script, reply: Reply
) -> None:
    script.answer(f"/v25.0/{NUMBER}/messages", reply)

    with pytest.raises(GraphUnclear):
        await meta_graph.send_message(graph, NUMBER, TOKEN, {})

    assert len(script.seen) == 1


async def test_silence_is_unclear(graph: Graph, script: Script) -> None:
    script.silent_seconds = 2
    script.answer("/v25.0/x", ok({}))

    with pytest.raises(GraphUnclear):
        await transport.call(graph, "POST", "x", TOKEN, dict[str, Any], json={}, answer_seconds=0.1)


async def test_a_secret_that_meta_does_not_take_is_no_fault_of_the_call_or_of_its_token(
    graph: Graph, script: Script
) -> None:
    """As while the app secret is changed at Meta and not yet here: what waits must go out afterwards."""
    proof = refusal(100, message="Invalid appsecret_proof provided in the API argument")
    script.answer(f"/v25.0/{NUMBER}/messages", proof)
    script.answer(f"/v25.0/{NUMBER}", proof)
    script.answer("/v25.0/oauth/access_token", refusal(1, message="Error validating client secret."))
    signature = refusal(190, message="Invalid OAuth access token signature.")
    script.answer("/v25.0/debug_token", signature)
    script.answer("/v25.0/19/subscriptions", signature)
    calls = [
        meta_graph.send_message(graph, NUMBER, TOKEN, {}), meta_graph.phone_number(graph, NUMBER, TOKEN),
        meta_graph.exchange_code(graph, "19", SECRET, "AQcode"),
        meta_graph.debug_token(graph, TOKEN, "19", SECRET), meta_graph.app_subscriptions(graph, "19", SECRET),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(GraphNotSent, match="app secret") as caught:
            await call
        assert "COEXIST_APP_SECRET" in (caught.value.next_step or "")
    assert len(script.seen) == len(calls), "asking again cannot help"


async def test_no_connection_is_certainly_not_sent() -> None:
    async with aiohttp.ClientSession() as session:
        nowhere = Graph(session, f"http://127.0.0.1:{free_port()}", "v25.0")
        with pytest.raises(GraphNotSent):
            await meta_graph.send_message(nowhere, NUMBER, TOKEN, {})


async def test_reading_is_repeated_and_changing_is_not(graph: Graph, script: Script) -> None:
    number = {"id": NUMBER, "is_on_biz_app": True, "platform_type": "CLOUD_API", "throughput": {"level": "STANDARD"}}
    script.answer(f"/v25.0/{NUMBER}", refusal(2, 503), hang_up, ok(number))
    script.answer(f"/v25.0/{NUMBER}/smb_app_data", refusal(2, 503), ok({"request_id": "r1"}))

    assert (await meta_graph.phone_number(graph, NUMBER, TOKEN)).is_coexistence
    with pytest.raises(GraphError):
        await meta_graph.request_sync(graph, NUMBER, TOKEN, "history")

    assert [path for _, path, *_ in script.seen].count(f"/v25.0/{NUMBER}") == 3
    assert [path for _, path, *_ in script.seen].count(f"/v25.0/{NUMBER}/smb_app_data") == 1


async def test_a_refusal_that_stays_is_not_asked_again(graph: Graph, script: Script) -> None:
    script.answer(f"/v25.0/{NUMBER}", refusal(190, 401))

    with pytest.raises(GraphError):
        await meta_graph.phone_number(graph, NUMBER, TOKEN)

    assert len(script.seen) == 1


@pytest.mark.requirement("B1")
async def test_the_sync_gives_its_request_id(graph: Graph, script: Script) -> None:
    script.answer(
        f"/v25.0/{NUMBER}/smb_app_data", ok({"messaging_product": "whatsapp", "request_id": "invented-req-01"})
    )

    assert await meta_graph.request_sync(graph, NUMBER, TOKEN, "smb_app_state_sync") == "invented-req-01"
    assert json.loads(script.seen[0][4]) == {"messaging_product": "whatsapp", "sync_type": "smb_app_state_sync"}


async def test_lists_are_read_to_their_end(graph: Graph, script: Script) -> None:
    first = {"data": [{"id": "1"}], "paging": {"next": "https://elsewhere.example/", "cursors": {"after": "c1"}}}
    script.answer("/v25.0/701/phone_numbers", ok(first), ok({"data": [{"id": "2", "is_on_biz_app": False}]}))

    numbers = await meta_graph.phone_numbers(graph, "701", TOKEN)

    assert [(number.id, number.is_coexistence) for number in numbers] == [("1", False), ("2", False)]
    assert [query.get("after") for _, _, query, _, _ in script.seen] == [None, "c1"]


async def test_a_list_without_end_is_given_up(graph: Graph, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_graph, "PAGES_COUNT", 3)
    script.answer("/v25.0/701/phone_numbers", ok({"data": [], "paging": {"next": "x", "cursors": {"after": "c"}}}))

    with pytest.raises(UpstreamFailed):
        await meta_graph.phone_numbers(graph, "701", TOKEN)


async def test_templates_keep_ids_beyond_a_float(graph: Graph, script: Script) -> None:
    template = {"id": 12345678901234567890, "name": "n", "language": "pt_PT", "status": "APPROVED", "components": [{}]}
    script.answer("/v25.0/701/message_templates", ok({"data": [template]}))

    (told,) = await meta_graph.message_templates(graph, "701", TOKEN)

    assert told.id == 12345678901234567890
    assert json.loads(bytes(told.components)) == [{}]


async def test_subscribing_and_looking(graph: Graph, script: Script) -> None:
    app = {
        "whatsapp_business_api_data": {"id": "4004", "name": "Coexist"},
        "override_callback_uri": "https://a.example",
    }
    script.answer("/v25.0/701/subscribed_apps", ok({"success": True}), ok({"success": True}), ok({"data": [app]}))

    await meta_graph.subscribe(graph, "701", TOKEN)
    await meta_graph.subscribe(graph, "701", TOKEN, override_callback_uri="https://a.example", verify_token="v")
    (told,) = await meta_graph.subscriptions(graph, "701", TOKEN)

    assert (told.app_id, told.name, told.override_callback_uri) == ("4004", "Coexist", "https://a.example")
    bodies = [json.loads(body) for *_, body in script.seen[:2]]
    assert bodies == [{}, {"override_callback_uri": "https://a.example", "verify_token": "v"}]


async def test_a_change_that_did_not_succeed_is_unclear(graph: Graph, script: Script) -> None:
    script.answer("/v25.0/701/subscribed_apps", ok({"success": False}))

    with pytest.raises(GraphUnclear):
        await meta_graph.unsubscribe(graph, "701", TOKEN)


async def test_reading_marks(graph: Graph, script: Script) -> None:
    script.answer(f"/v25.0/{NUMBER}/messages", ok({"success": True}))

    await meta_graph.mark_read(graph, NUMBER, TOKEN, "wamid.1")
    await meta_graph.mark_read(graph, NUMBER, TOKEN, "wamid.1", typing=True)

    plain, typing = (json.loads(body) for *_, body in script.seen)
    assert plain == {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"}
    assert typing == plain | {"typing_indicator": {"type": "text"}}


@pytest.mark.requirement("A5")
async def test_a_code_is_exchanged_once(graph: Graph, script: Script) -> None:
    script.answer("/v25.0/oauth/access_token", refusal(2, 503))

    with pytest.raises(GraphError):
        await meta_graph.exchange_code(graph, "4004", SECRET, "code-1")

    ((_, _, query, headers, _),) = script.seen
    assert query == {"client_id": "4004", "client_secret": SECRET, "code": "code-1"}
    assert "Authorization" not in headers


async def test_a_token_is_looked_at(graph: Graph, script: Script) -> None:
    scopes = [{"scope": "whatsapp_business_management", "target_ids": ["701"]}]
    data = {"is_valid": True, "app_id": "4004", "scopes": ["a"], "granular_scopes": scopes, "expires_at": 0}
    script.answer("/v25.0/debug_token", ok({"data": data}))

    told = await meta_graph.debug_token(graph, TOKEN, "4004", SECRET)

    assert (told.is_valid, told.app_id, told.granular_scopes[0].target_ids) == (True, "4004", ["701"])
    ((_, _, query, headers, _),) = script.seen
    assert (query["input_token"], headers["Authorization"]) == (TOKEN, f"Bearer 4004|{SECRET}")


async def test_a_file_is_sent_as_a_form(graph: Graph, script: Script) -> None:
    script.answer(f"/v25.0/{NUMBER}/media", ok({"id": "8801"}))

    told = await meta_graph.upload_media(graph, NUMBER, TOKEN, b"%PDF", mime_type="application/pdf", file_name="a.pdf")

    assert told == "8801"
    body = script.seen[0][4]
    assert b'filename="a.pdf"' in body
    assert b"%PDF" in body
    assert b"whatsapp" in body


@pytest.mark.parametrize("size", [1234, "1234"])
async def test_a_file_is_looked_up(graph: Graph, script: Script, size: int | str) -> None:
    media = {"url": "https://lookaside.fbsbx.com/x", "mime_type": "image/jpeg", "sha256": "AB" * 32, "file_size": size}
    script.answer("/v25.0/8801", ok(media))

    told = await meta_graph.media_info(graph, "8801", TOKEN, NUMBER)

    assert (told.url, told.file_size, told.sha256) == ("https://lookaside.fbsbx.com/x", 1234, "ab" * 32)
    assert script.seen[0][2]["phone_number_id"] == NUMBER


async def fetched(graph: Graph, path: str, *, max_bytes: int = 10**6, allowed_hosts: tuple[str, ...] = ()) -> bytes:
    url = path if "://" in path else f"{graph.base_url.rstrip('/')}{path}"
    pieces = meta_graph.download(graph, url, TOKEN, allowed_hosts=allowed_hosts, max_bytes=max_bytes)
    return b"".join([piece async for piece in pieces])


async def test_a_file_comes_in_pieces(graph: Graph, script: Script) -> None:
    content = b"x" * 200_000
    script.answer("/file", lambda _: web.Response(body=content))

    assert await fetched(graph, "/file") == content
    assert script.seen[0][3]["Authorization"] == f"Bearer {TOKEN}"


async def test_a_file_beyond_the_limit_is_refused_early(graph: Graph, script: Script) -> None:
    script.answer("/file", lambda _: web.Response(body=b"x" * 2000))

    with pytest.raises(TooLarge):
        await fetched(graph, "/file", max_bytes=1999)


async def test_redirects_are_followed_to_allowed_hosts_alone(graph: Graph, script: Script) -> None:
    script.answer("/file", lambda _: web.Response(status=302, headers={"Location": "/other"}))
    script.answer("/other", lambda _: web.Response(body=b"ok"))
    script.answer("/away", lambda _: web.Response(status=302, headers={"Location": "https://evil.example/x"}))
    script.answer("/circle", lambda _: web.Response(status=302, headers={"Location": "/circle"}))

    assert await fetched(graph, "/file") == b"ok"
    with pytest.raises(UpstreamFailed, match=r"evil\.example"):
        await fetched(graph, "/away")
    with pytest.raises(UpstreamFailed, match="one address to the next"):
        await fetched(graph, "/circle")


async def test_an_expired_file_and_a_broken_store(graph: Graph, script: Script) -> None:
    script.answer("/gone", refusal(100, 404))
    script.answer("/down", lambda _: web.Response(status=503, text="later"))

    with pytest.raises(GraphError) as raised:
        await fetched(graph, "/gone")
    assert raised.value.http_status == 404
    with pytest.raises(meta_graph.DownloadRefused) as refused:
        await fetched(graph, "/down")
    assert refused.value.http_status == 503


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://evil.example/lookaside.fbsbx.com",
        "https://lookaside.fbsbx.com@evil.example/x",
        "https://user@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "file:///etc/passwd",
        "//lookaside.fbsbx.com/x",
        "",
    ],
)
async def test_the_token_goes_to_listed_hosts_alone(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        graph = Graph(session, "https://graph.facebook.com", "v25.0")
        with pytest.raises(UpstreamFailed):
            meta_graph.check_media_url(graph, url, ("lookaside.fbsbx.com",))


async def test_listed_hosts_and_graph_itself_are_fine() -> None:
    async with aiohttp.ClientSession() as session:
        graph = Graph(session, "https://graph.facebook.com", "v25.0")
        emulator = Graph(session, "http://127.0.0.1:9000", "v25.0")

        meta_graph.check_media_url(graph, "https://lookaside.fbsbx.com/whatsapp?x=1", ("lookaside.fbsbx.com",))
        meta_graph.check_media_url(graph, "https://graph.facebook.com/x", ())
        meta_graph.check_media_url(emulator, "http://127.0.0.1:9000/x", ())
        with pytest.raises(UpstreamFailed):
            meta_graph.check_media_url(emulator, "http://127.0.0.1:9001/x", ())
