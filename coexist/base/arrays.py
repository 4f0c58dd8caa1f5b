"""Lists of numbers or texts as PostgreSQL's array literals, written in one go.

psycopg writes a list element by element, in Python: for a batch of ids that costs more than the query they are for.
"""

from __future__ import annotations

from typing import Any

from psycopg.abc import Buffer
from psycopg.types.array import ListDumper

_SEPARATOR = "\0"
"""No text of PostgreSQL's contains it, so what stands between two of them is never part of one."""


class ArrayDumper(ListDumper):
    """Writes plain lists of ``int`` and of ``str`` itself; leaves any other to psycopg."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        """Return the literal of ``obj``."""
        kinds = set(map(type, obj))
        if kinds == {int}:
            return ("{" + ",".join(map(str, obj)) + "}").encode()
        if kinds == {str}:
            joined = _SEPARATOR.join(obj)
            if joined.count(_SEPARATOR) == len(obj) - 1:
                escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
                return ('{"' + escaped.replace(_SEPARATOR, '","') + '"}').encode()
        return super().dump(obj)
