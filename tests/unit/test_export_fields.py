"""docs/export.md and the export agree on every field."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from coexist import export

DOC = Path(__file__).parents[2] / "docs" / "export.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| .*[^|\s].* \|$")


def documented(doc: Path = DOC) -> dict[str, list[str]]:
    """The fields of each section that has a table, by the names in its heading."""
    sections: dict[str, list[str]] = {}
    for part in re.split(r"^##+ ", doc.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        rows = [match[1] for line in body.splitlines() if (match := ROW.match(line))]
        for name in heading.split(" and "):
            sections[name.strip()] = rows
    return sections


def structs_in(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for inner in get_args(annotation):
        yield from structs_in(inner)


def written(name: str, struct: type[msgspec.Struct]) -> Iterator[tuple[str, list[str]]]:
    """The fields of a struct and of what it holds, under the names that the page gives them."""
    yield name, list(struct.__struct_fields__)
    for field, annotation in get_type_hints(struct).items():
        for inner in structs_in(annotation):
            is_list = str(annotation).startswith("collections.abc.Sequence")
            yield from written(f"{name}.{field}{'[]' if is_list else ''}", inner)


def test_every_field_is_documented_and_every_documented_field_is_written() -> None:
    code = {name: fields for line in export.LINES for name, fields in written(str(line.__struct_config__.tag), line)}
    assert documented() == code
