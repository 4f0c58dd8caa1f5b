"""The list of variants in docs/webhooks.md, from the fixtures: ``python -m tests.wire.page`` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.wire.fixtures import fixtures, handling

PAGE: Final = Path(__file__).parents[2] / "docs" / "webhooks.md"
TITLE: Final = "## Every variant\n"


def variants() -> str:
    """The table: each fixture with its payload, what becomes of it, and why it is worth a fixture."""
    rows = [
        f"| [{name}](../tests/wire/{name}.json) | {handling(fixture)} | {fixture['about']} |"
        for name, fixture in fixtures()
    ]
    return "\n".join(["| Payload | Handling | |", "|---|---|---|", *rows]) + "\n"


def with_variants(page: str) -> str:
    """The page with its table as it should be; the table is its last part."""
    before, _, after = page.partition(TITLE)
    introduction = after.partition("\n| ")[0]
    return f"{before}{TITLE}{introduction}\n{variants()}"


if __name__ == "__main__":
    PAGE.write_text(with_variants(PAGE.read_text("utf-8")), "utf-8")
