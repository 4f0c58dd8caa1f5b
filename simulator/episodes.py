"""Reads the conversations of `episodes/*.txt`.

A file holds episodes, each a title line `== name` (an ending adds the seconds between its last line and now) and one
line per message: `C` is the customer, `B` the business, then marks, a colon, and the text.

    C: text                     B ~2h: two hours later (s, m, h, d)
    C ^: quotes the newest line of the other side
    B x: deleted afterwards     B *: final text <~ text before the edit
    C >>: forwarded             C: !❤️ reacts to the newest line of the other side
    [photo kind] [voice] [video] [sticker] [doc asset name.pdf] [place name] [card name] [order] [poll] [unavailable]

Words in braces are filled in once per conversation: first, plant, price, total, qty, bigqty, when, street, street2.
"""

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "episodes"
LANGUAGES = ("pt", "es", "en")

_LINE = re.compile(r"^([CB])((?: [^\s:]+)*) ?: (.*)$")
_MEDIA = re.compile(r"^\[(\w+)(?: ([^\]]*))?\] ?(.*)$")
_GAP = re.compile(r"^~(\d+)([smhd])$")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True)
class Line:
    """One turn of a conversation. `gap_s` None means a gap by chance."""

    by_customer: bool
    text: str
    kind: str = "text"
    argument: str = ""
    quotes: bool = False
    deleted: bool = False
    forwarded: bool = False
    before_edit: str | None = None
    gap_s: int | None = None


@dataclass(frozen=True)
class Episode:
    name: str
    lines: tuple[Line, ...]
    ago_s: int = 0


@cache
def episodes(name: str) -> tuple[Episode, ...]:
    """All episodes of one file (`pt`, `es`, `en`, `endings`). ValueError names a line that cannot be read."""
    found: list[Episode] = []
    title, ago, lines = "", 0, list[Line]()
    for number, raw in enumerate((FOLDER / f"{name}.txt").read_text("utf-8").splitlines(), start=1):
        if not raw.strip() or raw.startswith("#"):
            continue
        if raw.startswith("== "):
            if title:
                found.append(Episode(title, tuple(lines), ago))
            title, _, seconds = raw[3:].partition(" ")
            ago, lines = int(seconds or 0), []
            continue
        match = _LINE.match(raw)
        if not match:
            raise ValueError(f"{name}.txt line {number} is not a line of a conversation: {raw}")
        lines.append(_line(match[1] == "C", match[2].split(), match[3].strip()))
    return (*found, Episode(title, tuple(lines), ago))


def _line(by_customer: bool, marks: list[str], text: str) -> Line:
    gap = next((_gap_s(mark) for mark in marks if mark.startswith("~")), None)
    text, _, before = text.partition(" <~ ")
    kind, argument = "text", ""
    media = _MEDIA.match(text)
    if text.startswith("!"):
        kind, text = "reaction", text[1:]
    elif media:
        kind, argument, text = media[1], media[2] or "", media[3]
    return Line(
        by_customer,
        text,
        kind,
        argument,
        quotes="^" in marks,
        deleted="x" in marks,
        forwarded=">>" in marks,
        before_edit=before or None,
        gap_s=gap,
    )


def _gap_s(mark: str) -> int:
    match = _GAP.match(mark)
    if not match:
        raise ValueError(f"{mark} is not a gap like ~2h")
    return int(match[1]) * _UNIT_S[match[2]]


_PLANTS = {
    "pt": ("jiboia", "samambaia", "costela-de-adão", "zamioculca", "lavanda", "orquídea", "suculenta", "palmeira"),
    "es": ("monstera", "suculenta", "lavanda", "palmera", "orquídea", "cinta", "zamioculca"),
    "en": ("fern", "monstera", "snake plant", "peace lily", "jade plant", "pothos", "olive tree"),
}
_WHEN = {
    "pt": ("amanhã", "na sexta", "no sábado de manhã", "depois das 15h", "na quarta"),
    "es": ("mañana", "el viernes", "el sábado", "después de las 15", "el miércoles"),
    "en": ("tomorrow", "on Friday", "on Saturday morning", "after 3", "on Wednesday"),
}
_STREETS = ("das Acácias", "do Lago", "Bela Vista", "dos Ipês", "Sete de Abril", "do Sol", "das Palmeiras")


def slots(rng: random.Random, language: str, first_name: str) -> dict[str, str]:
    """The words for the braces of one conversation."""
    price, quantity = rng.choice((38, 49, 59, 74, 89, 129, 149)), rng.choice((2, 2, 3, 3, 4, 5))
    street, street2 = rng.sample(_STREETS, 2)
    return {
        "first": first_name,
        "plant": rng.choice(_PLANTS[language]),
        "price": f"R$ {price}",
        "total": f"R$ {price * quantity}",
        "qty": str(quantity),
        "bigqty": str(rng.choice((20, 24, 30, 36, 48))),
        "when": rng.choice(_WHEN[language]),
        "street": street,
        "street2": street2,
    }
