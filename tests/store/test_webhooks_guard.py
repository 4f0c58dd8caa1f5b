"""Where our own webhooks do not go, however the address got there; and that a program cannot hurt us by its answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from coexist.base.database import Pool
from coexist.base.errors import Invalid
from coexist.webhooks import posting, rules
from coexist.webhooks.posting import open_post
from tests.support.business import open_business
from tests.support.hearing import mark, standing, subscribe, tell_due
from tests.support.listener import listening

LOOPBACK: Final = "127.0.0.1"


class Doorbell:
    """Counts who connects, and answers with given bytes."""

    def __init__(self, answer: bytes = b"") -> None:
        self.rung, self.answer, self.port = 0, answer, 0
        self.gone: list[asyncio.Future[None]] = []

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.rung += 1
        gone = asyncio.get_running_loop().create_future()
        self.gone.append(gone)
        with suppress(OSError):
            if self.answer:
                await reader.read(100)
                writer.write(self.answer)
                await reader.read()  # until whoever came has gone
            writer.close()
            await writer.wait_closed()
        gone.set_result(None)


@asynccontextmanager
async def doorbell(answer: bytes = b"") -> AsyncIterator[Doorbell]:
    """Somebody who listens on loopback inside the block."""
    bell = Doorbell(answer)
    server = await asyncio.start_server(bell.open, LOOPBACK, 0)
    bell.port = server.sockets[0].getsockname()[1]
    async with server:
        yield bell
        await asyncio.gather(*bell.gone)


class Rebinding(AbstractResolver):
    """A name server that leads any name to these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", "127.1", "2130706433", "0x7f000001", "0", "[::ffff:7f00:1]"])
async def test_no_name_of_this_host_is_connected_to(host: str) -> None:
    async with doorbell() as bell, open_post(may_be_private=False) as post:
        outcome = await post.send(f"https://{host}:{bell.port}/", b"{}", {})
        assert outcome.status is None
        assert outcome.error in (rules.NOT_ALLOWED, "Its name leads to no address.")
        assert bell.rung == 0


@pytest.mark.parametrize("addresses", [(LOOPBACK,), (LOOPBACK, "10.0.0.1"), ("169.254.169.254",)])
async def test_a_name_that_turns_to_our_network_after_it_was_added_leads_nowhere(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = rules.checked_url("https://crm.example.com/hook", may_be_private=False)
    async with doorbell() as bell, open_post(may_be_private=False) as post:
        monkeypatch.setattr(post.sessions["https"].connector, "_resolver", Rebinding(*addresses))
        outcome = await post.send(url.replace(".com/", f".com:{bell.port}/"), b"{}", {})
        assert outcome.error == rules.NOT_ALLOWED
        assert bell.rung == 0


async def test_a_clouds_secrets_are_not_asked_for_even_where_private_networks_are_allowed() -> None:
    async with open_post(may_be_private=True) as post:
        outcome = await post.send("http://169.254.169.254/latest/meta-data/", b"{}", {})
        assert outcome.error == rules.NOT_ALLOWED


async def test_no_redirect_is_followed() -> None:
    async with listening() as program, doorbell() as bell, open_post(may_be_private=True) as post:
        program.headers["Location"] = f"http://{LOOPBACK}:{bell.port}/"
        for status in (301, 302, 303, 307, 308):
            program.answers.append(status)
            outcome = await post.send(program.url, b"{}", {})
            assert outcome.status == status
            assert "follow nobody" in (outcome.error or "")
        assert bell.rung == 0


async def test_an_installation_without_private_networks_neither_takes_nor_posts_to_one(pool: Pool) -> None:
    business = await open_business(pool)
    async with listening() as program:
        for url in (program.url, program.url.replace("http:", "https:")):
            with pytest.raises(Invalid):
                await subscribe(pool, business.member, url, may_be_private=False)
        # Taken while it was allowed; the operator has thought better of it since.
        await subscribe(pool, business.member, program.url)
        await mark(business)
        await tell_due(pool, may_be_private=False)
        assert program.posts == []
        assert (await standing(business)).last_error == rules.NOT_ALLOWED


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n" + b"x" * 1000, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", "no answer of a web server"),
        (b"220 mail.example.com ESMTP\r\n", "no answer of a web server"),
        (b"", "broke before an answer"),
    ],
)
async def test_whatever_it_answers_only_the_status_is_read(answer: bytes, said: str | None) -> None:
    async with doorbell(answer) as bell, open_post(may_be_private=True) as post:
        outcome = await post.send(f"http://{LOOPBACK}:{bell.port}/", b"{}" * 500, {})
        assert (outcome.error or "") == "" if said is None else said in (outcome.error or "")
        assert outcome.duration_ms < 5_000


async def test_who_does_not_answer_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ATTEMPT_S", 0.3)
    async with listening() as program:
        program.hold = asyncio.Event()
        async with open_post(may_be_private=True) as post:
            outcome = await post.send(program.url, b"{}", {})
        program.hold.set()
        assert (outcome.status, outcome.error) == (None, "No answer came within 0 seconds.")
        assert 300 <= outcome.duration_ms < 5_000


class Nameless(Rebinding):
    """A name server that knows no name. The machine's own may not answer for a while, or have an answer to all."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_what_cannot_be_reached_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as program, open_post(may_be_private=True) as post:
        plain = await post.send(program.url.replace("http:", "https:"), b"{}", {})
        assert plain.error == "It speaks no TLS that we understand."
        for url, said in (
            (f"http://{LOOPBACK}:1/", "It cannot be reached: no connection was made."),
            (f"https://{'a' * 70}.example.com/", "Its name leads to no address."),
        ):
            assert (await post.send(url, b"{}", {})).error == said
        for scheme, session in post.sessions.items():
            monkeypatch.setattr(session.connector, "_resolver", Nameless())
            assert (await post.send(f"{scheme}://coexist.invalid/", b"{}", {})).error == "Its name leads to no address."


async def test_nothing_of_one_post_is_kept_for_another(pool: Pool) -> None:
    """No cookie, no credentials of the host's owner: what goes out is what the test sees."""
    business = await open_business(pool)
    async with listening() as program:
        program.headers["Set-Cookie"] = "seen=1"
        await subscribe(pool, business.member, program.url)
        for _ in range(2):
            await mark(business)
            await tell_due(pool)
        ours = {"Host", "User-Agent", "Content-Type", "Accept", "Accept-Encoding", "Content-Length"}
        named = {rules.TIMESTAMP_HEADER, rules.SIGNATURE_HEADER, rules.WEBHOOK_HEADER}
        assert [set(post.headers) for post in program.posts] == [ours | named] * 2
