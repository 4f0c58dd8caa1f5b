"""The phone page and the demo page beside the inbox."""

from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from simulator.simulation import Simulation

FOLDER = Path(__file__).parent


async def demo(request: Request) -> Response:
    """The phone beside the inbox. The inbox's address comes from the command line only."""
    sim: Simulation = request.app.state.sim
    template = (FOLDER / "demo.html").read_text("utf-8")
    address = escape(sim.config.inbox_url or "about:blank", quote=True)
    return HTMLResponse(template.replace("{{ inbox_url }}", address), headers={"Cache-Control": "no-store"})


async def phone(request: Request) -> Response:
    return HTMLResponse((FOLDER / "phone.html").read_text("utf-8"), headers={"Cache-Control": "no-store"})


routes: list[BaseRoute] = [
    Route("/", demo),
    Route("/phone", phone),
    Mount("/static", StaticFiles(directory=FOLDER / "static")),
]
