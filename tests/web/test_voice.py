"""Voice notes and pictures in a real browser: played, sought, hastened, decoded by us where the browser cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, Route, expect

from coexist.base import clock
from coexist.media import keeping
from simulator import files as simulated
from tests.support.business import conversation_of, inbound
from tests.support.kept_files import keep_of
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import OpenPage, Site

VOICE = simulated.ASSETS / "voice-pt-1.ogg"


async def bring(site: Site, source: Path, mime_type: str, wamid: str, kind: str = "") -> None:
    """A customer sends this file, and it was fetched."""
    assert site.business is not None
    change = inbound(wamid, "")
    message = change["value"]["messages"][0]
    kind = kind or mime_type.split("/")[0]
    file = {"mime_type": mime_type, "voice": kind == "audio"}
    message.update({"type": kind, kind: file})
    del message["text"]
    await site.deliver(change)
    await keeping.bring(
        keep_of(site.pool, site.web.settings), site.business.inbox.id, wamid, source,
        mime_type=mime_type, file_name=None, is_voice=kind == "audio", told_at=clock.now(),
    )  # fmt: skip


async def talk(site: Site) -> str:
    return f"/conversations/{await conversation_of(site.pool)}"


async def over_and_over(page: Page) -> None:
    """Let the sound begin anew at its end: seven seconds may be over before a busy machine has looked at them."""
    await page.locator("voice-note").evaluate("(note) => { note.sound.loop = true; }")


async def plays(page: Page) -> None:
    """The sound goes on."""
    await expect(page.locator("voice-note")).to_have_class("sound is-playing")
    await reaches(page, 0.2)


async def reaches(page: Page, seconds: float) -> None:
    """Wait until so much of the sound was heard."""
    async with asyncio.timeout(PATIENCE_S):
        while float(await page.locator("voice-note").evaluate("(note) => note.sound.currentTime")) < seconds:
            await asyncio.sleep(0.05)


async def test_a_voice_note_is_played_sought_and_hastened_by_keys_alone(site: Site, open_page: OpenPage) -> None:
    await bring(site, VOICE, "audio/ogg; codecs=opus", "wamid.V")
    page = await open_page(await talk(site))
    note = page.locator("voice-note")
    await expect(note.locator("output")).to_have_text("0:07")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await note.locator(".speed").focus()
    await page.keyboard.press("Enter")
    await expect(note.locator(".speed")).to_have_text("1.5×")
    await page.keyboard.press("Enter")
    await expect(note.locator(".speed")).to_have_text("2×")
    assert not [url for url in asked if "/media/" in url], "nothing is loaded until somebody listens"
    await over_and_over(page)
    await note.locator(".play").focus()
    await page.keyboard.press("Space")
    await expect(note.locator(".play")).to_have_attribute("aria-label", "Pause")
    await plays(page)
    assert await note.evaluate("(note) => note.sound.playbackRate") == 2
    await page.keyboard.press("Space")
    await expect(note.locator(".play")).to_have_attribute("aria-label", "Play")
    await note.locator("input").focus()
    await page.keyboard.press("Home")
    await expect(note.locator("input")).to_have_attribute("aria-valuetext", "0:00 of 0:07")
    await page.keyboard.press("End")
    await expect(note.locator("input")).to_have_attribute("aria-valuetext", "0:07 of 0:07")


async def test_a_bubble_that_is_drawn_anew_goes_on_playing(site: Site, open_page: OpenPage) -> None:
    await bring(site, VOICE, "audio/ogg; codecs=opus", "wamid.V")
    page = await open_page(await talk(site))
    await over_and_over(page)
    await page.locator("voice-note .play").click()
    await plays(page)
    reaction = inbound("wamid.R", "")
    message = reaction["value"]["messages"][0]
    message.update({"type": "reaction", "reaction": {"message_id": "wamid.V", "emoji": "👍"}})
    del message["text"]
    await site.deliver(reaction)
    await expect(page.locator(".reactions")).to_be_visible()
    await reaches(page, 0.6)
    await expect(page.locator("voice-note")).to_have_class("sound is-playing")


async def refuse_to_players(route: Route) -> None:
    """A browser that cannot play a file asks for it as media and gives up; our decoder asks for it by itself."""
    if route.request.resource_type == "media":
        await route.abort()
    else:
        await route.continue_()


async def test_a_browser_that_cannot_play_opus_gets_it_decoded(site: Site, open_page: OpenPage) -> None:
    await bring(site, VOICE, "audio/ogg; codecs=opus", "wamid.V")
    page = await open_page(await talk(site))
    await page.route("**/media/*", refuse_to_players)
    await over_and_over(page)
    await page.locator("voice-note .play").click()
    await plays(page)
    assert (await page.evaluate("document.querySelector('voice-note').sound.src")).startswith("blob:")
    seconds = await page.evaluate("document.querySelector('voice-note').sound.duration")
    told = await page.evaluate("Number(document.querySelector('voice-note').dataset.seconds)")
    assert abs(seconds - told) < 0.1, "all of it was decoded"
    assert await loudness(page) > 1000, "and it is no silence"


async def loudness(page: Page) -> float:
    """The loudest sample of what was decoded, of 32,767."""
    return float(
        await page.evaluate(
            """async () => {
                const app = document.querySelector("script[type=module]").src;
                const { decoded } = await import(app.replace("app.js", "voice.js"));
                const note = document.querySelector("voice-note");
                const spoken = new Audio(await decoded(note.dataset.src));
                const context = new AudioContext();
                const listener = context.createAnalyser();
                context.createMediaElementSource(spoken).connect(listener);
                await context.resume();
                await spoken.play();
                let loudest = 0;
                const heard = new Float32Array(listener.fftSize);
                while (!spoken.ended) {
                    listener.getFloatTimeDomainData(heard);
                    loudest = heard.reduce((most, each) => Math.max(most, Math.abs(each)), loudest);
                    await new Promise((next) => setTimeout(next, 20));
                }
                return loudest * 32767;
            }"""
        )
    )


async def test_a_sound_that_nobody_can_play_can_be_saved(site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    source = tmp_path / "sound"
    source.write_bytes(b"OggS but nothing more")
    await bring(site, source, "audio/ogg; codecs=opus", "wamid.V")
    page = await open_page(await talk(site))
    await expect(page.locator("voice-note .save")).to_be_visible()
    await expect(page.locator("voice-note .play")).to_be_hidden()
    assert await page.locator("voice-note .save").get_attribute("download") is not None


@pytest.mark.parametrize(("size", "shown"), [((1200, 900), "thumbnail"), ((90, 60), "itself")])
async def test_a_photo_keeps_its_place_and_opens_whole(
    site: Site, open_page: OpenPage, tmp_path: Path, size: tuple[int, int], shown: str
) -> None:
    source = tmp_path / "photo.jpg"
    Image.effect_noise(size, 90).convert("RGB").save(source)
    await bring(site, source, "image/jpeg", "wamid.P")
    page = await open_page(await talk(site))
    picture = page.locator(".picture img")
    address = await picture.get_attribute("src") or ""
    assert address.endswith("/thumbnail") is (shown == "thumbnail")
    box = await picture.bounding_box()
    assert box is not None
    assert abs(box["width"] / box["height"] - size[0] / size[1]) < 0.02
    await page.locator("a.picture").click()
    await expect(page.locator("#viewer img")).to_be_visible()
    whole = await page.locator("#viewer img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    assert whole == size[0]
