"""A part of a delivery found again by its path, and what it is called."""

from __future__ import annotations

import json

import pytest

from coexist.meta.parse import facts_of
from coexist.meta.parts import part_at
from tests.wire.fixtures import RECEIVED_AT, fixtures
from tests.wire.fixtures import body_of as fixture_body

BODY = json.dumps(
    {
        "entry": [
            {
                "changes": [
                    {
                        "field": "history",
                        "value": {
                            "history": [{"metadata": {}, "threads": [{"messages": [{"id": "a"}, {"type": "image"}]}]}]
                        },
                    },
                    {"field": "messages", "value": {"statuses": [{"id": "s"}], "contacts": [{"wa_id": "1"}]}},
                    {"value": {}},
                ]
            },
            {"field": "account_update", "value": {"event": "X"}},
        ]
    }
).encode()


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        ("", "whole delivery", b'{"entry"'),
        ("body", "whole delivery", b'{"entry"'),
        ("entry[1]", "all of account_update", b'{"field": "account_update"'),
        ("entry[1].value", "all of account_update", b'{"event"'),
        ("entry[0].changes[0]", "all of history", b'{"field": "history"'),
        ("entry[0].changes[2]", "whole delivery", b'{"value": {}}'),
        ("entry[0].changes[0].history[0]", "chunk in history", b'{"metadata"'),
        ("entry[0].changes[0].history[0].metadata", "chunk's head in history", b"{}"),
        ("entry[0].changes[0].history[0].threads[0]", "chat in history", b'{"messages"'),
        ("entry[0].changes[0].history[0].threads[0].messages[0]", "message in history", b'{"id": "a"}'),
        ("entry[0].changes[0].history[0].threads[0].messages[1]", "image message in history", b'{"type": "image"}'),
        ("entry[0].changes[1].statuses[0]", "status", b'{"id": "s"}'),
        ("entry[0].changes[1].contacts[0]", "profile", b'{"wa_id": "1"}'),
        ("entry[0].changes[1].messages[7]", "all of messages", b'{"field": "messages"'),
        ("entry[9].changes[0]", "whole delivery", b"[{"),
    ],
)
def test_a_part_is_found_and_named(path: str, kind: str, start: bytes) -> None:
    found = part_at(BODY, path)
    assert found.kind == kind
    assert found.json.startswith(start)


@pytest.mark.parametrize(
    ("body", "path", "kind", "found"),
    [
        (b'[{"entry":[]},{"field":"messages","value":{"messages":[{"type":"text"}]}}]', "[1].value.messages[0]",
         "text message", b'{"type":"text"}'),
        (b'{"history":[{"errors":[{"code":1}]}]}', "value.history[0].errors[0]", "error in history", b'{"code":1}'),
        (b"{", "body", "whole delivery", b"{"),
        (b"", "", "whole delivery", b""),
        (b"[1", "[3].body", "whole delivery", b"[1"),
        (b'{"entry":[{"changes":[{"field":7,"value":{"messages":[{"type":{}}]}}]}]}', "entry[0].changes[0].messages[0]",
         "message", b'{"type":{}}'),
    ],
)  # fmt: skip
def test_whatever_is_broken_above_it(body: bytes, path: str, kind: str, found: bytes) -> None:
    part = part_at(body, path)
    assert (part.kind, part.json) == (kind, found)


@pytest.mark.requirement("G12")
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("", None),
        ("body", None),
        ("entry[0].changes[0].history[0].threads[0]", "history"),
        ("entry[0].changes[1].statuses[0]", "messages"),
        ("entry[0].changes[1]", "messages"),
        ("entry[0].changes[2]", None),
        ("entry[1].value", "account_update"),
    ],
)
def test_a_part_says_under_which_field_it_stands(path: str, field: str | None) -> None:
    assert part_at(BODY, path).field == field


def test_every_part_that_the_parser_makes_a_problem_of_is_found() -> None:
    """The paths are written by the parser: wherever it goes, this goes too."""
    missed, seen = [], 0
    for name, fixture in fixtures():
        body = fixture_body(name, fixture)
        for problem in facts_of(body, RECEIVED_AT).problems:
            deepest = problem.part.rsplit(".", 1)[-1].split("[")[0]
            is_item = deepest not in ("", "body", "entry", "changes", "value")
            if is_item and len(part_at(body, problem.part).json) >= len(body) // 2:
                missed.append((name, problem.part, part_at(body, problem.part)))
            seen += is_item
    assert not missed
    assert seen > 20
