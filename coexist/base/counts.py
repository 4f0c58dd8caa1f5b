"""A count with its noun, as every page, command and sentence for people says it."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """``1 message``, ``1,200 messages``; with ``many`` where an s does not do: ``1 delivery``, ``2 deliveries``.

    A verb that follows goes with it: ``counted(2, "file was", "files were")``.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
