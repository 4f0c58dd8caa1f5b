"""The glance at a delivery before it is journaled."""

import json

import pytest

from coexist.meta.route import Lane, Route, peek
from tests.wire.fixtures import body_of, fixtures


def body(*fields: str, text: str = "") -> bytes:
    value = {"metadata": {"phone_number_id": "555100020003000"}, "text": text}
    changes = [{"value": value, "field": field} for field in fields]
    return json.dumps({"entry": [{"changes": changes}]}, indent=1).encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (body("history"), Route(Lane.BULK, "555100020003000")),
        (body("smb_app_state_sync", "history"), Route(Lane.BULK, "555100020003000")),
        (body("messages"), Route(Lane.LIVE, "555100020003000")),
        (body("history", "messages"), Route(Lane.LIVE, "555100020003000")),
        (body("messages", text='"field":"history"'), Route(Lane.LIVE, "555100020003000")),
        (b"", Route(Lane.LIVE, None)),
        (b"\xff\x00", Route(Lane.LIVE, None)),
    ],
)
def test_the_lane_and_the_number(given: bytes, expected: Route) -> None:
    assert peek(given) == expected


@pytest.mark.parametrize(("name", "fixture"), list(fixtures()), ids=lambda part: part if isinstance(part, str) else "")
def test_bulk_is_the_history_and_the_address_book(name: str, fixture: dict[str, object]) -> None:
    is_bulk = name.split("/")[0] in ("history", "smb_app_state_sync") and "body" not in fixture

    assert peek(body_of(name, fixture)).lane is (Lane.BULK if is_bulk else Lane.LIVE)
