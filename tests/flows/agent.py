"""Somebody of the team at the pages, without a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape

import aiohttp

from tests.flows.shop import Shop
from tests.support.product import ACCOUNT


@dataclass
class Agent:
    """Reads pages and sends their forms as they are there."""

    shop: Shop
    session: aiohttp.ClientSession

    async def page(self, path: str) -> str:
        """The HTML of a page."""
        async with self.session.get(self.shop.url + path) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def conversation(self, words: str) -> str:
        """The path of the only conversation whose contact is called so, as the list links it."""
        page = await self.page(f"/conversations/list?filter=all&q={words}")
        (path,) = set(re.findall(r'href="(/conversations/\d+)', page))
        return str(path)

    async def write(self, conversation: str, text: str, *, answers: str | None = None) -> None:
        """Fill in the composer and send it; ``answers`` is the text of the message to quote."""
        page = await self.page(conversation)
        (action,) = re.findall(r'<form class="composer-form" method="post" action="([^"]+)"', page)
        (our_ref,) = re.findall(r'name="our_ref" value="([^"]+)"', page)
        reply_to = bubble_with(page, answers) if answers else ""
        form = {"text": text, "our_ref": our_ref, "reply_to": reply_to}
        await self.post(action, form)

    async def post(self, path: str, form: Mapping[str, str], file: tuple[str, str, bytes, str] | None = None) -> None:
        """Send a form as a browser does from our own page; ``file`` is a field, a name, bytes and a type."""
        headers = {"Origin": self.shop.url, "Sec-Fetch-Site": "same-origin"}
        sent = aiohttp.FormData(dict(form))
        if file is not None:
            sent.add_field(file[0], file[2], filename=file[1], content_type=file[3])
        async with self.session.post(self.shop.url + path, data=sent, headers=headers) as response:
            assert response.status == 200, await response.text()


def bubble_with(page: str, text: str) -> str:
    """The id of the only bubble that says so."""
    bubbles = re.split(r'<li id="message-', page)[1:]
    (found,) = (one for one in bubbles if f">{text}</div>" in unescape(one))
    return str(found.split('"', 1)[0])


@asynccontextmanager
async def signed_in(shop: Shop, email: str = "ana@example.com") -> AsyncIterator[Agent]:
    """Somebody new of the team, added on the command line and signed in by the link that it prints."""
    out = await shop.product.run(
        "user", "add", "--account", ACCOUNT, "--email", email, "--name", "Ana", "--role", "owner"
    )
    link = out.split()[-1].removeprefix(shop.url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        agent = Agent(shop, session)
        await agent.page(link)
        await agent.post(link, {})
        yield agent
