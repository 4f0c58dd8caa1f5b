"""The one-shot sync beside the phone: contacts, history and files come in; declining is no failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import ACCOUNT, Phone, Product, beside_the_phone, connect
from tests.support.waiting import until


async def exported(product: Product, kind: str) -> list[dict[str, Any]]:
    out = await product.run("export", "--account", ACCOUNT)
    return [line for line in map(json.loads, out.splitlines()) if line["kind"] == kind]


async def told_files(phone: Phone) -> dict[str, str]:
    """The hash of every file that the phone's messages gave the platform an id for."""
    return {
        message["wamid"]: message["media"]["sha256"]
        for message in await phone.messages()
        if message["media"] and message["media"]["told"]
    }


@pytest.mark.requirement("B1", "B7", "D10", "F9")
async def test_everything_the_phone_shares_comes_in_with_its_files(database_url: str, tmp_path: Path) -> None:
    async with beside_the_phone(database_url, tmp_path, message_count=300) as (product, phone):
        said = await connect(product, phone)
        assert "The contacts are on their way" in said or "Contacts are coming in" in said

        async def is_complete() -> Any:
            inbox = (await exported(product, "inbox"))[0]
            return inbox["sync"]["history"]["state"] == "completed" and not inbox["counts"]["media_waiting"]

        await until(is_complete, "the history and its files are here")
        inbox = (await exported(product, "inbox"))[0]
        assert inbox["sync"]["history"]["progress"] == 100
        assert inbox["sync"]["contacts"]["state"] in ("receiving", "completed")
        assert inbox["sync"]["contacts"]["request_id"]
        messages = {line["wamid"]: line for line in await exported(product, "message")}
        truth = {message["wamid"] for message in await phone.messages() if message["told"]}
        assert set(messages) == truth
        files = {wamid: line["media"]["sha256"] for wamid, line in messages.items() if line["media"]}
        assert files == await told_files(phone)
        assert {line["media"]["state"] for line in messages.values() if line["media"]} <= {"stored"}
        assert len(list((tmp_path / "media").rglob("*/*/*"))) >= len(set(files.values()))
        assert len(await exported(product, "contact")) >= 30


@pytest.mark.requirement("B3", "B6")
async def test_declined_is_shown_as_such_and_asking_again_asks_nothing(database_url: str, tmp_path: Path) -> None:
    async with beside_the_phone(database_url, tmp_path, message_count=40) as (product, phone):
        await connect(product, phone, share=False)

        async def is_declined() -> Any:
            return (await exported(product, "inbox"))[0]["sync"]["history"]["state"] == "declined"

        await until(is_declined, "the business declined")
        history = (await exported(product, "inbox"))[0]["sync"]["history"]
        assert (history["error"], history["progress"]) == (None, 0)
        told = await phone.do("token")
        again = await product.run(
            "connect", "--account", ACCOUNT, "--waba-id", told["waba_id"],
            "--phone-number-id", told["phone_number_id"], "--display-number", told["display_phone_number"],
            typed=told["token"],
        )  # fmt: skip
        assert "chose not to share its chat history" in again
