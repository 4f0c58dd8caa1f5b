"""The ASGI app: Graph, controls and pages over one simulation."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from simulator import coexistence, control, dialog, graph, page, statuses, views
from simulator.config import Config
from simulator.graph import subscriptions
from simulator.simulation import Simulation

SHUTDOWN_LIMIT_S = 1


def create_app(config: Config) -> Starlette:
    """The stand-in as an ASGI app; its simulation is `app.state.sim`. Work begins and ends with the lifespan."""
    sim = Simulation(config)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sim.open()
        sim.start(subscriptions.verify_callback(sim))
        statuses.resume(sim)
        coexistence.resume(sim)
        yield
        await sim.close()

    app = Starlette(
        routes=[*views.routes, *control.routes, *page.routes, *dialog.routes, *graph.routes], lifespan=lifespan
    )
    app.state.sim = sim
    return app


def run(config: Config, host: str, port: int) -> None:
    """Serve until a signal; prints the address, which with port 0 is the only way to know it."""
    app = create_app(config)
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        chosen = listening.getsockname()[1]
        app.state.sim.base_url = f"http://{host}:{chosen}"
        print(f"The stand-in for Meta is at http://{host}:{chosen}/", flush=True)  # noqa: T201
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                timeout_graceful_shutdown=SHUTDOWN_LIMIT_S,
            )
        )
        server.run(sockets=[listening])
