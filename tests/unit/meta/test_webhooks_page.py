"""docs/webhooks.md, the code and the payloads of tests/wire say the same."""

import re

from coexist.meta.contents import MEDIA_TYPES, STRUCTURED
from coexist.meta.messages import ACTING, KEEPS_WINDOW
from coexist.meta.notices import read_calls, read_groups, read_notice
from coexist.meta.parse import FIELDS
from coexist.meta.statuses import META_STATUSES
from coexist.meta.wording import PHONE_ONLY
from tests.wire.fixtures import fixtures, handling
from tests.wire.page import PAGE, with_variants

TEXT = PAGE.read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (handled|kept|ignored) \|", re.MULTILINE)
PAYLOADS = dict(fixtures())
NO_FIELD = "envelope"
"""The folder of payloads whose point is what surrounds the changes."""
ACTS = {"reaction": "MessageReacted", "edit": "MessageEdited", "revoke": "MessageRevoked"}
"""Types that are told as something that happened to another message."""


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    found = ROW.findall(section(title))
    assert len(found) == len(dict(found)), "a row twice"
    return dict(found)


def test_every_field_is_on_the_page_as_it_is_handled() -> None:
    keeping = {read_notice, read_calls, read_groups}
    read = {field: "kept" if reader in keeping else "handled" for field, reader in FIELDS.items()}

    told = rows("Fields")

    assert {field: how for field, how in told.items() if how != "ignored"} == read
    assert [field for field, how in told.items() if how == "ignored" and field in FIELDS] == []


def test_every_field_of_the_page_has_payloads_and_the_other_way_round() -> None:
    by_field: dict[str, set[str]] = {}
    for name, fixture in PAYLOADS.items():
        by_field.setdefault(name.split("/")[0], set()).update(handling(fixture).split(", "))

    told = rows("Fields")

    assert by_field.keys() - {NO_FIELD} == told.keys()
    for field, how in told.items():
        assert how in by_field[field], f"no payload shows that {field} is {how}"
        assert how == "handled" or by_field[field] == {how}, f"{field} is more than {how}"


def test_every_message_type_is_on_the_page() -> None:
    assert rows("Types of messages").keys() == {"text"} | MEDIA_TYPES | STRUCTURED.keys() | ACTING.keys()


def test_every_type_of_the_page_has_a_payload() -> None:
    facts = [fact for fixture in PAYLOADS.values() for fact in fixture["facts"]]
    shown = {fact["type"] for fact in facts if fact["fact"] == "MessageTold"}
    acted = {fact["fact"] for fact in facts}

    assert [kind for kind in rows("Types of messages") if kind not in shown and ACTS.get(kind) not in acted] == []


def test_every_kind_that_stays_on_the_phone_has_a_payload() -> None:
    contents = [fact.get("content", {}) for fixture in PAYLOADS.values() for fact in fixture["facts"]]
    named = {content.get("unsupported", {}).get("type") for content in contents}

    assert PHONE_ONLY.keys() - named == set()


def test_what_opens_no_window_and_each_status_is_named() -> None:
    assert all(f"`{kind}`" in section("The customer service window") for kind in {*KEEPS_WINDOW, *ACTING})
    assert all(f"`{status}`" in section("Statuses") for status in META_STATUSES)


def test_every_payload_is_listed() -> None:
    assert with_variants(TEXT) == TEXT, "Run: python -m tests.wire.page"
