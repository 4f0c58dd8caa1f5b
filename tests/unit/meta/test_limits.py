"""What Meta's limits mean for the calls that follow: how long it asks us to wait, and that nothing is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stamina

from coexist.meta import graph as meta
from coexist.meta.graph import GraphError
from coexist.meta.usage import WAIT_MAX_MINUTES, usage_wait
from tests.support.scripted_graph import error, scripted_graph

USES = '{"1": [{"type": "a", "estimated_time_to_regain_access": %s}, {"estimated_time_to_regain_access": 2}], "2": []}'


@pytest.mark.parametrize(
    ("headers", "minutes"),
    [
        ({}, 0),
        ({"X-App-Usage": '{"call_count": 99, "total_time": 25, "total_cputime": 25}'}, 0),
        ({"X-App-Usage": '{"call_count": 28, "total_time": 125, "total_cputime": 25}'}, 15),
        ({"X-Business-Use-Case-Usage": USES % 19}, 19),
        ({"X-Business-Use-Case-Usage": USES % 1e300}, WAIT_MAX_MINUTES),
        ({"X-Business-Use-Case-Usage": USES % -5}, 2),
        ({"X-App-Usage": "much", "X-Business-Use-Case-Usage": '["other"]'}, 0),
    ],
)
def test_meta_says_how_long_to_wait(headers: dict[str, str], minutes: float) -> None:
    assert usage_wait(headers) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("codes", "calls"),
    [
        ([4], 1),
        ([80007], 1),
        ([130429], 1),
        ([1, 1, 1], 2),
        ([131000, 131000], 2),
        ([2, 2, 2], 3),
        ([190], 1),
        ([100], 1),
    ],
)
async def test_reading_is_tried_again_only_where_that_helps(codes: list[int], calls: int) -> None:
    async with scripted_graph() as (scripted, graph):
        with stamina.set_testing(True, attempts=3):
            scripted.answers.extend(error(code) for code in codes)
            with pytest.raises(GraphError):
                await meta.phone_number(graph, "555100020003000", "EAAinvented")
            assert len(scripted.asked) == calls
