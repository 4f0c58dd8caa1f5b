"""The limit of `screen`: what is posted goes to every open stream as it is, and a page appends it. Nothing is kept."""

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from tests.bench.noop import serve

PAGE: Final = b"""<!doctype html><title>The limit</title><ul></ul><script>
new EventSource("/live").onmessage = (event) => {
  document.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent: event.data }));
};
</script>"""

streams: set[asyncio.Queue[bytes]] = set()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the page, a stream, or a delivery."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    if scope["path"] == "/live":
        await _stream(receive, send)
        return
    if scope["method"] == "POST":
        for stream in streams:
            stream.put_nowait(b"data: " + body + b"\n\n")
    content = b"" if scope["method"] == "POST" else PAGE
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _stream(receive: Receive, send: Send) -> None:
    sending = asyncio.create_task(_pass_on(send))
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()


async def _pass_on(send: Send) -> None:
    stream: asyncio.Queue[bytes] = asyncio.Queue()
    streams.add(stream)
    try:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b": ready\n\n", "more_body": True})
        while True:
            await send({"type": "http.response.body", "body": await stream.get(), "more_body": True})
    finally:
        streams.discard(stream)


if __name__ == "__main__":
    serve(app)
