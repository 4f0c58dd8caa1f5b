"""The glance at a delivery before it is journaled."""

import json

import pytest

from coexist.meta.route import Lane, lane_of
from tests.wire.fixtures import body_of, fixtures


def body(*fields: str, text: str = "") -> bytes:
    value = {"metadata": {"phone_number_id": "555100020003000"}, "text": text}
    changes = [{"value": value, "field": field} for field in fields]
    return json.dumps({"entry": [{"changes": changes}]}, indent=1).encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (body("history"), Lane.BULK),
        (body("smb_app_state_sync", "history"), Lane.BULK),
        (body("messages"), Lane.LIVE),
        (body("history", "messages"), Lane.LIVE),
        (body("messages", text='"field":"history"'), Lane.LIVE),
        (body("messages", text="history"), Lane.LIVE),
        (b'"history"', Lane.LIVE),
        (b"", Lane.LIVE),
        (b"\xff\x00", Lane.LIVE),
    ],
)
def test_the_lane(given: bytes, expected: Lane) -> None:
    assert lane_of(given) == expected


@pytest.mark.parametrize(("name", "fixture"), list(fixtures()), ids=lambda part: part if isinstance(part, str) else "")
def test_bulk_is_the_history_and_the_address_book(name: str, fixture: dict[str, object]) -> None:
    is_bulk = name.split("/")[0] in ("history", "smb_app_state_sync") and "body" not in fixture

    assert lane_of(body_of(name, fixture)) is (Lane.BULK if is_bulk else Lane.LIVE)
