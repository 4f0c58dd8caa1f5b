"""`coexist doctor` and `coexist support-bundle` as somebody types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coexist.base.database import Pool
from tests.support.business import DISPLAY, TOKEN, WABA, deliver, inbound, open_business
from tests.support.command_line import Coexist
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph


@pytest.mark.requirement("G12")
async def test_the_doctor_answers_scripts_by_how_it_ends(coexist: Coexist, pool: Pool, scripted: ScriptedGraph) -> None:
    nothing = await coexist("doctor", "--no-meta")
    assert (nothing.code, "No number is connected yet" in nothing.out) == (0, True)

    business = await open_business(pool)
    sick = await coexist("doctor", "--no-meta")
    assert (sick.code, "WRONG" in sick.out, "No worker runs" in sick.out) == (4, True, True)
    assert f"Inbox {business.inbox.id}, {business.inbox.name}, +351 21 055 9000\nMeta was never asked.\n" in sick.out
    signs = [line.split()[0] for line in sick.out.partition("What this rests on:")[2].splitlines() if line[4:5].strip()]
    assert signs == sorted(signs, key=("WRONG", "look", "ok").index), "what is wrong stands first"
    assert {"WRONG", "look", "ok"} == set(signs)
    assert scripted.asked == []

    await Ready(pool, scripted, "1900100200300", WABA).begin()
    await deliver(pool, inbound("wamid.1", "hello"))
    unknown = await coexist("doctor", "--no-meta", "--inbox", str(business.inbox.id), "--json")
    told = json.loads(unknown.out)
    assert (unknown.code, told["level"], len(told["questions"])) == (3, "amber", 4), "nothing was asked for yet"

    asked = await coexist("doctor", COEXIST_BASE_URL=scripted.address, COEXIST_APP_SECRET="secret")
    assert "Meta was asked at" in asked.out
    assert "A delivery that we signed" in asked.out
    assert not [one for one in scripted.asked if one.what.startswith("POST")]
    assert (await coexist("doctor", "--inbox", "99")).code == 1


@pytest.mark.requirement("G12")
async def test_a_support_bundle_is_written(coexist: Coexist, pool: Pool, tmp_path: Path) -> None:
    await open_business(pool)
    await deliver(pool, inbound("wamid.1", "a word of a customer"))
    ended = await coexist("support-bundle", "--output", str(tmp_path / "bundle.json"), COEXIST_APP_SECRET="hush-hush")
    assert (ended.code, ended.out) == (0, ""), ended.err
    text = (tmp_path / "bundle.json").read_text()
    assert len(json.loads(text)["inboxes"]) == 1
    assert not [private for private in ("a word of", "hush-hush", TOKEN, DISPLAY) if private in text]
