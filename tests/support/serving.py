"""A server of ours inside the process of the test: its port is its own from the start, and one that fails says why."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

LOOPBACK = "127.0.0.1"


def bound(host: str = LOOPBACK) -> socket.socket:
    """A socket that takes connections at a free port, for ``serving``: whoever is early waits until it is served."""
    return socket.create_server((host, 0))


def address_of(listening: socket.socket) -> str:
    """Where it is found."""
    return "http://{}:{}".format(*listening.getsockname())


@asynccontextmanager
async def serving(app: Any, listening: socket.socket, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """Serve ``app`` at this socket, which is closed in the end; ``options`` are uvicorn's.

    Raises AssertionError at once when it does not start; what uvicorn had to say is in the log.
    """
    server = uvicorn.Server(uvicorn.Config(app, **{"log_config": None, "timeout_graceful_shutdown": 1, **options}))
    task = asyncio.create_task(_run(server, listening))
    try:
        while not server.started:
            assert not task.done(), f"the server at {address_of(listening)} did not start: {task.exception()!r}"
            await asyncio.sleep(0.005)
        yield server
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        listening.close()
    task.result()


async def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Without taking the signals of whoever runs the tests; and what ends a process of its own ends a test here."""
    try:
        await server._serve([listening])
    except SystemExit as error:
        raise RuntimeError("it gave up during its start; the log says why") from error
