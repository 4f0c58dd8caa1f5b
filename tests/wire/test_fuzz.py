"""Whatever JSON comes, nothing is raised and nothing is silently lost: each item is a fact, a problem or a count."""

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexist.meta.model import Parsed
from coexist.meta.parse import FIELDS, facts_of
from coexist.meta.route import lane_of
from tests.wire.fixtures import RECEIVED_AT, body_of, fixtures

BODIES = [json.loads(body_of(name, fixture)) for name, fixture in fixtures()]
ITEMS_OF = {
    "messages": ("messages", "statuses", "errors"),
    "history": ("messages", "message_echoes", "errors"),
    "smb_app_state_sync": ("state_sync",),
    "smb_message_echoes": ("message_echoes",),
    "message_echoes": ("message_echoes",),
    "user_id_update": ("user_id_update",),
    "calls": ("calls", "statuses"),
    "user_preferences": ("user_preferences",),
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
hostile: st.SearchStrategy[Any] = st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "\udc00x",
        0,
        -1,
        10**30,
        1e308,
        True,
        None,
        [],
        {},
        [[]],
        "x" * 70_000,
        "1795000001",
        {"id": {}},
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A fixture's body with some of its values replaced, dropped or doubled."""
    body = deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(body))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "drop", "double"))):
            case "replace":
                holder[key] = deepcopy(draw(hostile | anything))
            case "drop":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.append(deepcopy(holder[key]))
    return body


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        found.append((value, key))
        found += _places(inner)
    return found


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_mutated_body_is_accounted_for(body: Any) -> None:
    raw = json.dumps(body).encode()

    parsed = facts_of(raw, RECEIVED_AT)

    _is_fit_for_postgresql(parsed)
    assert len(parsed.problems) == len({problem.part for problem in parsed.problems})
    accounted = {fact.part for fact in parsed.facts} | {problem.part for problem in parsed.problems}
    lost = [part for part in _items(body) if not _is_told(part, accounted)]
    assert len(lost) <= sum(parsed.ignored.values()), f"lost without a word: {lost}"


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_json_is_read_without_an_exception(value: Any) -> None:
    parsed = facts_of(json.dumps(value).encode(), RECEIVED_AT)

    assert parsed.facts or parsed.problems or parsed.ignored
    _is_fit_for_postgresql(parsed)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(BODIES), st.integers(0, 5000))
def test_any_bytes_are_read_without_an_exception(noise: bytes, body: Any, at: int) -> None:
    raw = json.dumps(body).encode()
    for damaged in (noise, raw[:at], raw[:at] + noise + raw[at:]):
        lane_of(damaged)
        parsed = facts_of(damaged, RECEIVED_AT)
        assert parsed.facts or parsed.problems or parsed.ignored
        _is_fit_for_postgresql(parsed)


def _items(body: Any) -> list[str]:
    """The place of every item that must not get lost, as long as all that surrounds it is as it should be."""
    if not isinstance(body, dict) or _is_of_another_product(body):
        return []
    places: list[str] = []
    for e, entry in _members(body.get("entry")):
        if _is_of_another_product(entry):
            continue
        for c, change in _members(entry.get("changes")):
            field, value = change.get("field"), change.get("value")
            part = f"entry[{e}].changes[{c}]"
            if isinstance(field, str) and field in FIELDS and isinstance(value, dict):
                places += _items_of_change(part, field, value) or [part]
    return places


def _is_of_another_product(holder: dict[str, Any]) -> bool:
    return isinstance(holder.get("object"), str) and holder["object"] != "whatsapp_business_account"


def _items_of_change(part: str, field: str, value: dict[str, Any]) -> list[str]:
    places = [f"{part}.{name}[{n}]" for name in ITEMS_OF.get(field, ()) for n in range(_length(value.get(name)))]
    for h, chunk in _members(value.get("history") if field == "history" else None):
        places.append(f"{part}.history[{h}]")
        for t, thread in _members(chunk.get("threads")):
            count = _length(thread.get("messages"))
            places += [f"{part}.history[{h}].threads[{t}].messages[{n}]" for n in range(count)]
    return places


def _members(value: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(n, item) for n, item in enumerate(value) if isinstance(item, dict)] if isinstance(value, list) else []


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _is_told(part: str, accounted: set[str]) -> bool:
    """Itself, something in it, or what it stands in: a problem with a change stands for all that is in it."""
    return any(told == part or told.startswith(part) or part.startswith(told) for told in accounted)


def _is_fit_for_postgresql(parsed: Parsed) -> None:
    told = msgspec.to_builtins([parsed.facts, parsed.problems], builtin_types=(bytes,))
    for text in _texts(told):
        text.encode()  # fails on half a surrogate pair
        assert "\x00" not in text


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, bytes):
        return _texts(json.loads(value))
    members = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for member in members for text in _texts(member)]


@pytest.mark.parametrize("body", [b"", b"no json", b"[", b"[[]]", b'"text"', b"7", b"null", b"\xff\xfe", b"{" * 3000])
def test_what_is_no_body_is_one_problem(body: bytes) -> None:
    parsed = facts_of(body, RECEIVED_AT)

    assert not parsed.facts
    assert [problem.part for problem in parsed.problems] == ["body"]
