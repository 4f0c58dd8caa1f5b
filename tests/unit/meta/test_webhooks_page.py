"""docs/webhooks.md says what the code does."""

import re
from pathlib import Path

from coexist.meta.contents import MEDIA_TYPES, STRUCTURED
from coexist.meta.messages import ACTING, KEEPS_WINDOW
from coexist.meta.notices import read_calls, read_groups, read_notice, read_preferences
from coexist.meta.parse import FIELDS
from coexist.meta.statuses import META_STATUSES

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (handled|kept|ignored) \|", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    found = ROW.findall(section(title))
    assert len(found) == len(dict(found)), "a row twice"
    return dict(found)


def test_every_field_is_on_the_page_as_it_is_handled() -> None:
    keeping = {read_notice, read_calls, read_groups, read_preferences}
    read = {field: "kept" if reader in keeping else "handled" for field, reader in FIELDS.items()}

    told = rows("Fields")

    assert {field: how for field, how in told.items() if how != "ignored"} == read
    assert [field for field, how in told.items() if how == "ignored" and field in FIELDS] == []


def test_every_message_type_is_on_the_page() -> None:
    assert rows("Types of messages").keys() == {"text"} | MEDIA_TYPES | STRUCTURED.keys() | ACTING.keys()


def test_what_opens_no_window_and_each_status_is_named() -> None:
    assert all(f"`{kind}`" in section("The customer service window") for kind in KEEPS_WINDOW)
    assert all(f"`{status}`" in section("Statuses") for status in META_STATUSES)
