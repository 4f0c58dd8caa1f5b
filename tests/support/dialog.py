"""Meta's window in a browser, as the stand-in draws it: opened from the page, and answered to its last screen."""

from __future__ import annotations

from typing import Final

from playwright.async_api import Page, expect

SCREENS: Final = ("Choose a business", "Connect your", "Look at the phone", "Share your chats?", "is connected")


async def open_window(page: Page) -> Page:
    """Open Meta's window from the page that connects a number, and return it at its first screen."""
    dialog = page.locator("signup-dialog")
    await expect(dialog).to_have_js_property("trouble", "")  # Meta's script is here
    async with page.expect_popup() as opened:
        await page.locator("[data-open]").click()
    window = await opened.value
    await expect(window.locator("form h1")).to_have_text(SCREENS[0])
    return window


async def press(window: Page, name: str = "") -> None:
    """Press the button with that name, or the one that goes on. It may close the window before a click would return."""
    button = window.get_by_role("button", name=name) if name else window.locator("form button.strong")
    await expect(button).to_be_enabled()  # the last one is once there is a code
    await button.evaluate("button => setTimeout(() => button.click())")


async def go_through(window: Page, *, shares: bool = True) -> None:
    """Answer all screens to the last button."""
    for title in SCREENS:
        await expect(window.locator("form h1")).to_contain_text(title)
        if title == "Share your chats?":
            await window.get_by_text("Share the chats of" if shares else "Do not share chats").click()
        await press(window)
