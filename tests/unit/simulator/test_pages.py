"""The pages are served, find their parts, and take the inbox's address from the command line only."""

import re
from pathlib import Path

import pytest

from simulator import page
from tests.unit.simulator.conftest import StandIn, Start

STATIC = page.FOLDER / "static"


async def fetch(stand_in: StandIn, path: str) -> str:
    async with stand_in.session.get(stand_in.url + path) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def test_the_demo_page_frames_the_inbox(start: Start) -> None:
    stand_in = await start(inbox_url='http://127.0.0.1:8400/in?token=a&next="x"')
    text = await fetch(stand_in, "/?inbox=https://elsewhere.example/")
    assert 'src="http://127.0.0.1:8400/in?token=a&amp;next=&quot;x&quot;"' in text
    assert "elsewhere" not in text


@pytest.mark.parametrize("path", ["/", "/phone"])
async def test_pages_find_their_parts(start: Start, path: str) -> None:
    stand_in = await start()
    for part in re.findall(r'(?:href|src)="(/static/[^"]+)"', await fetch(stand_in, path)):
        assert await fetch(stand_in, part)


@pytest.mark.parametrize("script", sorted((STATIC / "js").glob("*.js")), ids=lambda path: path.name)
def test_scripts_import_what_exists(script: Path) -> None:
    text = script.read_text("utf-8")
    for names, source in re.findall(r'import (?:\{([^}]*)\} from )?"\./([^"]+)"', text):
        other = (script.parent / source).read_text("utf-8")
        for name in filter(None, (part.strip() for part in names.split(","))):
            assert re.search(rf"export (async )?(function|const|class) {name}\b", other), f"{name} in {source}"


def test_every_icon_asked_for_is_drawn() -> None:
    drawn = set(re.findall(r"^  (\w+): \[", (STATIC / "js/icons.js").read_text("utf-8"), re.MULTILINE))
    for script in (STATIC / "js").glob("*.js"):
        asked = re.findall(r'(?:icon|act|slip|roundButton)\("(\w+)"', script.read_text("utf-8"))
        assert set(asked) <= drawn, script.name


def test_every_style_sheet_is_imported() -> None:
    text = (STATIC / "css/all.css").read_text("utf-8")
    for sheet in (STATIC / "css").glob("*.css"):
        assert sheet.name == "all.css" or f'url("{sheet.name}")' in text


async def test_changes_reach_an_open_page(stand_in: StandIn) -> None:
    async with stand_in.session.get(f"{stand_in.url}/control/stream") as stream:
        await stream.content.readuntil(b"\n\n")
        sent = await stand_in.control("customer/send", chat="joao-lima", text="Oi")
        heard = b""
        while b"event: message" not in heard:
            heard += await stream.content.readuntil(b"\n\n")
    assert sent["message"]["wamid"].encode() in heard
