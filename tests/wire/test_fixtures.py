"""Each payload of this folder tells exactly what its fixture says, and the parser knows no field without one."""

import json
from typing import Any

import pytest

from coexist.meta.contents import MEDIA_TYPES, STRUCTURED
from coexist.meta.messages import ACTING
from coexist.meta.parse import FIELDS, facts_of
from tests.wire.fixtures import FOLDER, RECEIVED_AT, body_of, compact, fixtures

ALL = dict(fixtures())


def _marks(fixture: dict[str, Any]) -> list[pytest.MarkDecorator]:
    return [pytest.mark.requirement(*fixture["proves"])] if "proves" in fixture else []


@pytest.mark.parametrize(
    ("name", "fixture"),
    [pytest.param(name, fixture, id=name, marks=_marks(fixture)) for name, fixture in ALL.items()],
)
def test_tells_what_the_fixture_says(name: str, fixture: dict[str, Any]) -> None:
    told = compact(facts_of(body_of(name, fixture), RECEIVED_AT))

    assert told == {key: fixture[key] for key in ("facts", "problems", "ignored") if key in fixture}


@pytest.mark.parametrize(("name", "fixture"), ALL.items(), ids=ALL.keys())
def test_any_spacing_of_the_same_json_tells_the_same(name: str, fixture: dict[str, Any]) -> None:
    spaced = json.dumps(json.loads(body_of(name, fixture)), indent=3).encode()

    assert compact(facts_of(spaced, RECEIVED_AT)) == compact(facts_of(body_of(name, fixture), RECEIVED_AT))


def test_every_field_has_a_fixture() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} >= FIELDS.keys()


def test_every_message_type_has_a_fixture() -> None:
    told = {fact["type"] for fixture in ALL.values() for fact in fixture.get("facts", []) if "type" in fact}
    acted = {fact["fact"] for fixture in ALL.values() for fact in fixture.get("facts", [])}

    assert told >= {"text"} | STRUCTURED.keys() | MEDIA_TYPES - {"voice"}
    assert acted >= {"MessageReacted", "MessageEdited", "MessageRevoked"}
    assert len(ACTING) == 3
