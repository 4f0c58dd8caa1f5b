"""The ASGI app: Graph, controls and pages over one simulation."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette

from simulator import coexistence, control, dialog, graph, page, statuses, template_control, templates, views
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
        templates.resume(sim)
        yield
        await sim.close()

    app = Starlette(
        routes=[*views.routes, *template_control.routes, *control.routes, *page.routes, *dialog.routes, *graph.routes],
        lifespan=lifespan,
    )
    app.state.sim = sim
    return app


class _Server(uvicorn.Server):
    """Ends the streams of open pages before uvicorn waits for them, and complains about each that it must cut off."""

    def __init__(self, config: uvicorn.Config, sim: Simulation) -> None:
        super().__init__(config)
        self._sim = sim

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sim.watchers.close()
        await super().shutdown(sockets)


def run(config: Config, host: str, port: int) -> None:
    """Serve until a signal; prints the address, which with port 0 is the only way to know it."""
    app = create_app(config)
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        chosen = listening.getsockname()[1]
        app.state.sim.base_url = f"http://{host}:{chosen}"
        print(f"The stand-in for Meta is at http://{host}:{chosen}/", flush=True)  # noqa: T201
        asked = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_LIMIT_S)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
            _Server(asked, app.state.sim).run(sockets=[listening])
