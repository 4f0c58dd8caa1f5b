"""Near Meta's limits what can wait does, also while all goes well, and a message waits last."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from coexist.meta import graph as meta
from coexist.meta.usage import EASE_MAX_S, EASE_SENDS_MAX_S, TOLD_S, Usage
from tests.support.scripted_graph import scripted_graph

TOKEN, ANOTHER = "EAAinvented", "EAAother"
NUMBER: Final = "555100020003000"


def of_app(share: float) -> dict[str, str]:
    return {"X-App-Usage": f'{{"call_count": 10, "total_time": {share}, "total_cputime": 3}}'}


def of_account(share: float, minutes: float = 0) -> dict[str, str]:
    use = f'{{"type": "messaging", "call_count": {share}, "estimated_time_to_regain_access": {minutes}}}'
    return {"X-Business-Use-Case-Usage": f'{{"701": [{use}], "702": []}}'}


@pytest.mark.parametrize(
    ("share", "pause_s", "send_s"),
    [
        (79.9, 0, 0),
        (80, EASE_MAX_S / 10, 0),
        (94.9, 7.705, 0),
        (95, 7.75, EASE_SENDS_MAX_S / 10),
        (100, EASE_MAX_S, EASE_SENDS_MAX_S),
        (340, EASE_MAX_S, EASE_SENDS_MAX_S),
    ],
)
def test_the_nearer_the_limit_the_longer_the_pause_and_messages_last(
    share: float, pause_s: float, send_s: float
) -> None:
    for headers in (of_app(share), of_account(share)):
        told = Usage()
        told.hear(TOKEN, headers)
        assert told.pause_s(TOKEN) == pytest.approx(pause_s)
        assert told.pause_s(TOKEN, is_send=True) == pytest.approx(send_s)


def test_one_account_slows_no_other_and_the_app_slows_all() -> None:
    told = Usage()
    told.hear(TOKEN, of_account(100))
    assert (told.pause_s(ANOTHER), told.pause_s()) == (0, 0)
    told.hear(ANOTHER, of_app(90))
    assert told.pause_s(ANOTHER) == told.pause_s() > 0
    assert told.pause_s(TOKEN) == EASE_MAX_S


def test_a_time_to_wait_is_all_of_it_and_a_lower_share_or_age_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Usage()
    told.hear(TOKEN, of_account(20, minutes=3))
    assert told.pause_s(TOKEN) == EASE_MAX_S
    told.hear(TOKEN, {"X-App-Usage": "nonsense"})
    assert told.pause_s(TOKEN) == EASE_MAX_S, "an answer that tells nothing changes nothing"
    told.hear(TOKEN, of_account(20))
    assert told.pause_s(TOKEN) == 0
    told.hear(TOKEN, of_account(99))
    later = time.monotonic() + TOLD_S + 1
    monkeypatch.setattr("coexist.meta.usage.time.monotonic", lambda: later)
    assert told.pause_s(TOKEN) == 0


async def test_a_success_is_heard_and_the_next_call_waits_with_a_word_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with scripted_graph() as (scripted, graph):
        told: Any = {"id": NUMBER}
        scripted.answers.append(web.json_response(told, headers=of_app(90) | of_account(97)))
        await meta.phone_number(graph, NUMBER, TOKEN)
        monkeypatch.setattr("coexist.meta.usage.asyncio.sleep", sleep)
        with capture_logs() as logs:
            await graph.usage.ease(TOKEN)
            assert graph.usage.slowed_s(TOKEN, is_send=True) == pytest.approx(0.92)
            assert graph.usage.is_near
        monkeypatch.undo()
    assert slept == [pytest.approx(8.65)]
    assert [(line["event"], line["share_percent"]) for line in logs] == [("calls_slowed", 97)], "once a minute"
