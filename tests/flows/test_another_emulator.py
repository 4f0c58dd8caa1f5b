"""Nothing is special about our own stand-in: a few lines that speak Graph are enough to connect to and to talk with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tests.flows.agent import signed_in
from tests.flows.shop import Shop, of_kind, open_shop
from tests.support.product import ACCOUNT
from tests.support.waiting import until

NUMBER, WABA, TOKEN = "106540352242922", "102290129340398", "EAAJB-from-another-emulator"
CUSTOMER, BUSINESS = "447700900199", "15550783881"
PHOTO: Final = b"\xff\xd8\xff\xe0 not much of a photo"


@dataclass
class Graph:
    """The four calls that a number needs. ``sent`` is what came to /messages, ``address`` where all of this is."""

    address: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)

    async def read_number(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"id": NUMBER, "display_phone_number": "+1 555-078-3881", "verified_name": "Lucky Shrub"}
        )

    async def subscribe(self, request: web.Request) -> web.Response:
        self.subscribed.append(request.match_info["waba"])
        return web.json_response({"success": True})

    async def send(self, request: web.Request) -> web.Response:
        self.sent.append(await request.json())
        contacts = [{"input": self.sent[-1]["to"], "wa_id": CUSTOMER}]
        messages = [{"id": f"wamid.emulated.{len(self.sent)}"}]
        return web.json_response({"messaging_product": "whatsapp", "contacts": contacts, "messages": messages})

    async def read_file(self, request: web.Request) -> web.Response:
        known = {"id": "777", "mime_type": "image/jpeg", "sha256": hashlib.sha256(PHOTO).hexdigest()}
        return web.json_response({**known, "url": f"{self.address}/files/777", "messaging_product": "whatsapp"})

    async def give_file(self, request: web.Request) -> web.Response:
        return web.Response(body=PHOTO, content_type="image/jpeg")


@asynccontextmanager
async def emulator() -> AsyncIterator[Graph]:
    """Graph, on a port of its own."""
    graph, app = Graph(), web.Application()
    app.router.add_get(f"/{{version}}/{NUMBER}", graph.read_number)
    app.router.add_post("/{version}/{waba}/subscribed_apps", graph.subscribe)
    app.router.add_post(f"/{{version}}/{NUMBER}/messages", graph.send)
    app.router.add_get("/{version}/777", graph.read_file)
    app.router.add_get("/files/777", graph.give_file)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        graph.address = "http://{}:{}".format(*runner.addresses[0][:2])
        yield graph
    finally:
        await runner.cleanup()


async def post(shop: Shop, **value: Any) -> None:
    """Sign and post a change of field ``messages``."""
    metadata = {"display_phone_number": BUSINESS, "phone_number_id": NUMBER}
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [change]}]}).encode()
    assert await shop.deliver(body) == 200


async def test_a_number_of_another_emulator_is_connected_and_talks(database_url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    async with emulator() as graph, product_alone(database_url, tmp_path, graph) as shop:
        said = await shop.product.run(
            "connect", "--account", ACCOUNT, "--waba-id", WABA, "--phone-number-id", NUMBER, "--display-number",
            "+1 555 078 3881", "--no-coexistence", "--token-file", str(token), "--name", "Lucky Shrub",
        )  # fmt: skip
        assert graph.subscribed == [WABA], said
        at = str(await shop.ask("SELECT extract(epoch FROM now())::int"))
        person = {"profile": {"name": "Kerry Fisher"}, "wa_id": CUSTOMER}
        text = {"id": "wamid.in.1", "from": CUSTOMER, "timestamp": at, "type": "text", "text": {"body": "Hi!"}}
        image = {"id": "777", "mime_type": "image/jpeg", "sha256": hashlib.sha256(PHOTO).hexdigest()}
        photo = {"id": "wamid.in.2", "from": CUSTOMER, "timestamp": at, "type": "image", "image": image}
        await post(shop, contacts=[person], messages=[text])
        await post(shop, contacts=[person], messages=[photo])
        await shop.quiet()
        async with signed_in(shop) as agent:
            await agent.write(await agent.conversation("Kerry Fisher"), "Hello Kerry", answers="Hi!")

        async def is_sent() -> bool:
            return len(graph.sent) > 0

        await until(is_sent, "the reply is at Graph")
        (sent,) = graph.sent
        assert (sent["to"], sent["text"]["body"]) == (f"+{CUSTOMER}", "Hello Kerry")
        assert sent["context"] == {"message_id": "wamid.in.1"}
        for word in ("sent", "delivered"):
            told = {"id": "wamid.emulated.1", "status": word, "timestamp": at, "recipient_id": CUSTOMER,
                    "biz_opaque_callback_data": sent["biz_opaque_callback_data"]}  # fmt: skip
            await post(shop, statuses=[told])
        await shop.quiet()
        lines = await shop.export()
    messages = {line["wamid"]: line for line in of_kind(lines, "message")}
    assert messages.keys() == {"wamid.in.1", "wamid.in.2", "wamid.emulated.1"}
    reply, file = messages["wamid.emulated.1"], messages["wamid.in.2"]["media"]
    assert (reply["status"], reply["origin"], reply["text"]) == ("delivered", "api", "Hello Kerry")
    assert (file["state"], file["sha256"], file["bytes"]) == ("stored", image["sha256"], len(PHOTO))
    (contact,) = of_kind(lines, "contact")
    assert contact["names"]["profile"] == "Kerry Fisher"


@asynccontextmanager
async def product_alone(database_url: str, folder: Path, graph: Graph) -> AsyncIterator[Shop]:
    """The product with this Graph; the stand-in beside it is not asked for anything."""
    settings = {"COEXIST_GRAPH_URL": graph.address}
    async with open_shop(database_url, folder, settings=settings, message_count=0) as shop:
        yield shop
