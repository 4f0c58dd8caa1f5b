"""docs/webhooks-out.md and what goes out agree: every kind and field, the numbers, and the example that checks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from coexist.events import feed
from coexist.webhooks import actions, posting, rules, store, telling
from coexist.webhooks.body import Body, EventLine, Told
from tests.unit.test_export_fields import documented, written

DOC: Final = Path(__file__).parents[2] / "docs" / "webhooks-out.md"
SECRET: Final = "cxw_an-invented-secret"


def example(language: str) -> str:
    """The page's code of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOC.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return str(found)


def test_every_field_is_documented_and_every_documented_field_goes_out() -> None:
    fields = {name: rows for name, rows in documented(DOC).items() if name.startswith("event")}
    assert fields == dict(written("event", EventLine))


def test_every_kind_is_documented() -> None:
    page = DOC.read_text("utf-8").partition("## Fields")[0]
    kinds = re.findall(r"^\| `([a-z]+(?:\.[a-z]+)?)` \|", page, flags=re.MULTILINE)
    assert kinds == [kind.value for kind in Told]


def test_the_example_is_a_body() -> None:
    body = json.loads(example("json"))
    msgspec.convert({**body, "events": []}, Body, strict=True)
    for event in body["events"]:
        assert msgspec.to_builtins(msgspec.convert(event, EventLine)).keys() == event.keys()
        assert list(event["message"]) == dict(written("event", EventLine))["event.message"]


def test_the_numbers_are_those_of_the_code() -> None:
    page = " ".join(DOC.read_text("utf-8").split())
    for promised in (
        f"{actions.PER_ACCOUNT_MAX} webhooks",
        f"for {actions.FORMER_HOURS} hours after the secret was changed",
        f"within {posting.ATTEMPT_S:.0f} seconds",
        f"kept for {feed.KEPT_DAYS} days",
        f"after {rules.FIRST_PAUSE_S}, {2 * rules.FIRST_PAUSE_S}, ",
        f"After {rules.FAILING_DAYS} days",
        f"{telling.EVENTS_MAX} events at most, and {telling.BODY_BYTES_MAX // 1024} KiB",
        f"the last {store.ATTEMPTS_KEPT} attempts",
        rules.TIMESTAMP_HEADER,
        rules.SIGNATURE_HEADER,
        rules.WEBHOOK_HEADER,
    ):
        assert promised in page
    assert rules.FAILING_DAYS < feed.KEPT_DAYS, "who is stopped can still go on where it was"
    assert store.LEASE_S > 2 * posting.ATTEMPT_S, "a POST is over before its turn is"


@pytest.mark.parametrize("secrets", [(SECRET,), ("cxw_the-next", SECRET), (SECRET, "cxw_the-former")])
def test_the_documented_check_takes_what_we_sign_and_nothing_else(secrets: tuple[str, ...]) -> None:
    documented_code: dict[str, Any] = {}
    exec(example("python"), documented_code)
    check, body, now = documented_code["is_from_coexist"], '{"events": ["ã"]}'.encode(), int(time.time())
    signed = rules.signature([secret.encode() for secret in secrets], now, body)
    headers = {rules.TIMESTAMP_HEADER: str(now), rules.SIGNATURE_HEADER: signed}
    assert check(SECRET, headers, body)
    assert not check(SECRET, headers, body + b" ")
    assert not check("cxw_another", headers, body)
    assert not check(SECRET, {**headers, rules.TIMESTAMP_HEADER: str(now + 1)}, body)
    old = now - 301
    replayed = rules.signature([SECRET.encode()], old, body)
    assert not check(SECRET, {rules.TIMESTAMP_HEADER: str(old), rules.SIGNATURE_HEADER: replayed}, body)
