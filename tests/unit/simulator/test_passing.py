"""Time that is let pass at once, and syncs that lose something on the way."""

from pathlib import Path

import pytest

from simulator.config import DAY_S
from simulator.passing import Clock
from tests.unit.simulator.conftest import Receiver, StandIn, Start


async def test_time_passes_here_and_for_who_reads_the_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "ahead"
    stand_in = await start(clock=Clock(file))
    before = (await stand_in.get("/control/state"))["now"]
    await stand_in.connect()
    await stand_in.control("pass-time", hours=24)
    await stand_in.control("pass-time", hours=0.5)
    assert int(file.read_text("utf-8")) == DAY_S + 1_800
    assert (await stand_in.get("/control/state"))["now"] >= before + DAY_S + 1_800
    status, answer = await stand_in.sync("history")
    assert (status, answer["error"]["code"]) == (400, 2593108)
    assert Clock(file)() > Clock(None)() + DAY_S, "it is kept across restarts"


@pytest.mark.parametrize(("asked", "said"), [({"hours": 0}, "forward"), ({"hours": "x"}, "hours"), ({}, "hours")])
async def test_what_cannot_pass_is_said(start: Start, tmp_path: Path, asked: dict[str, object], said: str) -> None:
    stand_in = await start(clock=Clock(tmp_path / "ahead"))
    assert said in await stand_in.refused("pass-time", **asked)


async def test_without_a_file_nobody_else_would_know(stand_in: StandIn) -> None:
    assert "--clock-file" in await stand_in.refused("pass-time", hours=1)


async def test_one_chunk_is_lost(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.connect()
    await stand_in.control("faults", lost_chunk=2)
    await stand_in.sync("history")
    await stand_in.settle()
    places = [
        (one["metadata"]["phase"], one["metadata"]["chunk_order"])
        for value in receiver.changes("history")
        for one in value.get("history", ())
    ]
    assert (1, 1) not in places
    assert {(0, 1), (1, 2)} <= set(places)


async def test_a_sync_is_accepted_and_brings_nothing(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.connect()
    await stand_in.control("faults", silent_sync=True)
    for sync_type in ("smb_app_state_sync", "history"):
        status, answer = await stand_in.sync(sync_type)
        assert (status, bool(answer["request_id"])) == (200, True)
    await stand_in.settle()
    assert receiver.changes("history") == receiver.changes("smb_app_state_sync") == []
