"""The limit of `ack` and `live`: a raw ASGI app that reads the body and says 200, served as the product is."""

import asyncio
import socket
import sys

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read everything, store nothing, answer 200."""
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def serve(app: ASGIApp) -> None:
    """Serve on the port given."""
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", log_config=None, access_log=False, server_header=False,
        date_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    with (
        socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048) as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    serve(app)
