"""Message text as HTML. Stored text is hostile: it is escaped first, and only then gets links and emphasis."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from markupsafe import Markup, escape

TEXT_SHOWN_CHARS: Final = 3000
"""A longer text is cut here in its bubble; the rest is one click away."""

URL: Final = re.compile(
    r"(?<![\w@/.])(?:https?://|www\.)[^\s<>\"'`\x00-\x1f\u202a-\u202e\u2066-\u2069]{2,2000}", re.IGNORECASE
)
CODE: Final = re.compile(r"```([^`]+)```")
TRAILING: Final = ".,;:!?…*_~"
BRACKETS: Final = {")": "(", "]": "[", "}": "{"}

# WhatsApp's emphasis: the sign touches the text inside, and nothing of a word outside. One line at most.
EMPHASIS: Final = tuple(
    (
        re.compile(rf"(?<![\w{sign}]){sign}(?=[^\s{sign}])([^\n{sign}]*[^\s{sign}]){sign}(?![\w{sign}])"),
        rf"<{tag}>\1</{tag}>",
    )
    for sign, tag in ((r"\*", "b"), ("_", "i"), ("~", "s"))
)


def rich(text: str) -> Markup:
    """Escape ``text``, link http and https addresses, and show *bold*, _italic_, ~strike~ and ```code```."""
    parts: list[str] = []
    end = 0
    for block in CODE.finditer(text):
        parts.append(_linked(text[end : block.start()]))
        parts.append(f"<code>{escape(block.group(1).strip())}</code>")
        end = block.end()
    parts.append(_linked(text[end:]))
    return Markup("".join(parts))  # noqa: S704  every part is escaped above


def formatted(text: str) -> Markup:
    """``text`` with the same emphasis and nothing to click: for what is only looked at."""
    parts: list[str] = []
    end = 0
    for block in CODE.finditer(text):
        parts.append(_emphasised(text[end : block.start()]))
        parts.append(f"<code>{escape(block.group(1).strip())}</code>")
        end = block.end()
    return Markup("".join([*parts, _emphasised(text[end:])]))  # noqa: S704  every part is escaped above


def plain(text: str) -> str:
    """``text`` without the signs of its emphasis, for where it stands in one line: a quote, the list."""
    parts: list[str] = []
    end = 0
    text = CODE.sub(lambda block: block.group(1).strip(), text)
    for address in URL.finditer(text):
        parts += [_unmarked(text[end : address.start()]), address.group()]
        end = address.end()
    return "".join([*parts, _unmarked(text[end:])])


def marked(text: str, words: str, *, around: int = 40) -> Markup:
    """A snippet of ``text`` with the first ``words`` found in it marked, some ``around`` characters on each side."""
    found = re.search(re.escape(words), text, re.IGNORECASE)
    if found is None:
        return escape(text[: 2 * around])
    start, end = max(0, found.start() - around), found.end() + 2 * around
    before, after = text[start : found.start()], text[found.end() : end]
    return (
        escape("…" * (start > 0) + before)
        + Markup("<mark>%s</mark>") % found.group()
        + escape(after + "…" * (end < len(text)))
    )


def _linked(text: str) -> str:
    parts: list[str] = []
    end = 0
    for found in URL.finditer(text):
        address = _without_trailing(found.group())
        target = address if "://" in address[:8] else f"https://{address}"
        if not _leads_somewhere(target):
            continue
        parts.append(_emphasised(text[end : found.start()]))
        parts.append(
            f'<a href="{escape(target)}" target="_blank" rel="noopener noreferrer nofollow">{escape(address)}</a>'
        )
        end = found.start() + len(address)
    parts.append(_emphasised(text[end:]))
    return "".join(parts)


def _leads_somewhere(address: str) -> bool:
    """Whether it names a place at all: ``http://[`` begins like an address, and nothing can be opened by it."""
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False


def _without_trailing(address: str) -> str:
    """Leave out what ends the sentence rather than the address."""
    while address:
        last = address[-1]
        if last in TRAILING or (last in BRACKETS and address.count(last) > address.count(BRACKETS[last])):
            address = address[:-1]
        else:
            return address
    return address


def _unmarked(text: str) -> str:
    for pattern, _ in EMPHASIS:
        text = pattern.sub(r"\1", text)
    return text


def _emphasised(text: str) -> str:
    escaped = str(escape(text))
    for pattern, replacement in EMPHASIS:
        escaped = pattern.sub(replacement, escaped)
    return escaped
