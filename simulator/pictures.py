"""Pictures drawn for the chats, the same bytes from the same name. No photo of anybody or anything real.

A picture's name is its kind and a variant: `plant-3`, `receipt-0`, `sticker-1`.
"""

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

_SIZE = (640, 480)
_SCALE = 2
VARIANT_COUNT = 4

_WALLS: tuple[tuple[Colour, Colour], ...] = (
    ((244, 239, 228), (221, 230, 214)),
    ((233, 240, 243), (205, 222, 226)),
    ((247, 232, 221), (236, 214, 198)),
    ((226, 233, 219), (187, 208, 184)),
)
_GREENS: tuple[Colour, ...] = ((47, 111, 74), (71, 140, 86), (98, 163, 96), (38, 92, 76), (132, 178, 104))
_POTS: tuple[Colour, ...] = ((190, 106, 74), (226, 219, 207), (92, 111, 126), (214, 160, 92))
_WOOD: Colour = (168, 126, 88)


def picture(name: str) -> bytes:
    """JPEG bytes of a picture, or WebP of a sticker."""
    kind, _, variant = name.rpartition("-")
    rng = random.Random(name)
    if kind == "sticker":
        return _sticker(int(variant), rng)
    width, height = (side * _SCALE for side in _SIZE)
    canvas = _gradient(width, height, *_WALLS[int(variant) % len(_WALLS)])
    draw = ImageDraw.Draw(canvas)
    if kind != "receipt":
        draw.rectangle((0, height * 0.8, width, height), fill=_WOOD)
        draw.rectangle((0, height * 0.8, width, height * 0.815), fill=_mix(_WOOD, (255, 255, 255), 0.25))
    _SCENES[kind](draw, width, height, int(variant), rng)
    out = io.BytesIO()
    canvas.reduce(_SCALE).save(out, "JPEG", quality=74)
    return out.getvalue()


def _mix(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    column = Image.new("RGB", (1, height))
    for row in range(height):
        column.putpixel((0, row), _mix(top, bottom, row / height))
    return column.resize((width, height))


def _leaf(draw: ImageDraw.ImageDraw, x: float, y: float, angle: float, size: float, fat: float, tint: Colour) -> None:
    """A pointed leaf from its stem at (x, y), with a lighter vein."""
    edge: list[tuple[float, float]] = []
    for side in (1, -1):
        steps = range(25) if side == 1 else range(24, -1, -1)
        for step in steps:
            along = step / 24
            across = side * fat * math.sin(math.pi * along**0.8) * (1 - 0.25 * along)
            edge.append(_turned(x, y, angle, along * size, across * size))
    draw.polygon(edge, fill=tint)
    vein = [_turned(x, y, angle, along * size, 0) for along in (0.0, 0.9)]
    draw.line(vein, fill=_mix(tint, (235, 245, 220), 0.45), width=max(2, round(size * 0.018)))


def _turned(x: float, y: float, angle: float, along: float, across: float) -> tuple[float, float]:
    return (
        x + along * math.cos(angle) - across * math.sin(angle),
        y + along * math.sin(angle) + across * math.cos(angle),
    )


def _pot(draw: ImageDraw.ImageDraw, x: float, base: float, size: float, tint: Colour) -> float:
    """A pot standing at (x, base); returns the height of its rim."""
    rim = base - size
    half = size * 0.55
    draw.ellipse(
        (x - half * 1.1, base - size * 0.06, x + half * 1.1, base + size * 0.1), fill=_mix(_WOOD, (0, 0, 0), 0.25)
    )
    body = [(x - half, rim), (x + half, rim), (x + half * 0.72, base), (x - half * 0.72, base)]
    draw.polygon(body, fill=tint)
    shade = [(x + half * 0.35, rim), (x + half, rim), (x + half * 0.72, base), (x + half * 0.25, base)]
    draw.polygon(shade, fill=_mix(tint, (0, 0, 0), 0.12))
    band = (x - half * 1.1, rim - size * 0.1, x + half * 1.1, rim + size * 0.1)
    draw.rounded_rectangle(band, radius=size * 0.04, fill=_mix(tint, (255, 255, 255), 0.12))
    return rim - size * 0.08


def _plant(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    x, base, size = width * (0.44 + 0.04 * (variant % 4)), height * 0.9, height * 0.3
    top = _pot(draw, x, base, size, _POTS[variant % len(_POTS)])
    blades = variant % 2 == 1
    count = 11 if blades else 17
    for index in sorted(range(count), key=lambda _: rng.random()):
        spread = (index / (count - 1) - 0.5) * (1.1 if blades else 2.6)
        angle = -math.pi / 2 + spread + rng.uniform(-0.08, 0.08)
        length = height * (rng.uniform(0.38, 0.58) if blades else rng.uniform(0.22, 0.36))
        start = x + spread * size * 0.22
        tint = _mix(rng.choice(_GREENS), (20, 50, 40), rng.uniform(0, 0.2))
        if blades:
            _leaf(draw, start, top, angle, length, 0.07, tint)
        else:
            tip = _turned(start, top, angle, length * 0.55, 0)
            draw.line([(start, top), tip], fill=_mix(tint, (90, 70, 40), 0.4), width=8)
            _leaf(draw, *tip, angle + rng.uniform(-0.4, 0.4), length * 0.72, 0.3, tint)


def _leaf_close(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    tint = _mix(_GREENS[variant % len(_GREENS)], (214, 190, 74), 0.45)
    _leaf(draw, width * 0.1, height * 0.86, -0.6, width * 0.95, 0.24, tint)
    for _ in range(16):
        x, y, size = rng.uniform(0.3, 0.7), rng.uniform(0.34, 0.66), rng.uniform(6, 20)
        spot = (x * width, y * height, x * width + size * 1.6, y * height + size)
        draw.ellipse(spot, fill=_mix(tint, (120, 78, 40), 0.6))


def _broken(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    tint = _POTS[variant % len(_POTS)]
    x, base, size = width * 0.42, height * 0.88, height * 0.42
    rim = _pot(draw, x, base, size, tint)
    wall = _WALLS[variant % len(_WALLS)][1]
    edge = [
        (x + size * 0.606, rim - size * 0.11),
        (x + size * 0.606, rim + size * 0.1),
        (x + size * 0.54, rim + size * 0.12),
        (x + size * 0.48, rim + size * 0.5),
    ]
    crack = [
        (x + size * 0.3, rim + size * 0.4),
        (x + size * 0.36, rim + size * 0.2),
        (x + size * 0.16, rim - size * 0.12),
    ]
    draw.polygon(edge + crack, fill=wall)
    for _ in range(5):
        left, side = width * rng.uniform(0.6, 0.85), size * rng.uniform(0.08, 0.2)
        foot = height * rng.uniform(0.86, 0.94)
        draw.polygon([(left, foot), (left + side, foot), (left + side * rng.uniform(0.2, 0.8), foot - side)], fill=tint)
    for turn in (-2.3, -1.9, -1.5):
        _leaf(draw, x, rim, turn, height * 0.3, 0.2, rng.choice(_GREENS))


def _van(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    """Boxes with leaves looking out, as packed for delivery."""
    for index in range(3):
        x, side = width * (0.12 + 0.28 * index), width * rng.uniform(0.2, 0.24)
        floor = height * 0.9
        for turn in (-2.2, -1.8, -1.4, -1.0):
            tint = _mix(rng.choice(_GREENS), (20, 50, 40), rng.uniform(0, 0.25))
            _leaf(draw, x + side / 2, floor - side, turn + rng.uniform(-0.1, 0.1), side, 0.22, tint)
        card = _mix((201, 160, 112), (255, 255, 255), 0.08 * ((index + variant) % 3))
        draw.rectangle((x, floor - side * 1.05, x + side, floor), fill=card)
        draw.rectangle(
            (x + side * 0.44, floor - side * 1.05, x + side * 0.56, floor), fill=_mix(card, (255, 255, 255), 0.4)
        )


def _receipt(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    left, right, top = width * 0.28, width * 0.72, height * 0.08
    draw.rounded_rectangle((left, top, right, height * 0.94), radius=28, fill=(255, 255, 255))
    middle, mark = (left + right) / 2, height * 0.2
    draw.ellipse((middle - 52, mark - 52, middle + 52, mark + 52), fill=_GREENS[variant % len(_GREENS)])
    draw.line([(middle - 24, mark), (middle - 6, mark + 20), (middle + 26, mark - 20)], fill=(255, 255, 255), width=12)
    for row in range(8):
        y = height * (0.36 + row * 0.065)
        draw.rounded_rectangle((left + 50, y, left + 50 + rng.uniform(80, 180), y + 14), radius=7, fill=(214, 219, 222))
        draw.rounded_rectangle(
            (right - 50 - rng.uniform(60, 160), y, right - 50, y + 14), radius=7, fill=(176, 184, 190)
        )


def _flower(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    top = _pot(draw, width * 0.5, height * 0.92, height * 0.24, _POTS[(variant + 1) % len(_POTS)])
    petals: tuple[Colour, ...] = ((196, 130, 190), (240, 232, 236), (226, 148, 122), (150, 128, 200))
    for index in range(5):
        x, y = width * (0.28 + 0.11 * index), height * (0.2 + 0.09 * abs(index - 2) + rng.uniform(0, 0.06))
        draw.line([(width * 0.5, top), (x, y)], fill=(88, 130, 78), width=9)
        for turn in range(6):
            _leaf(draw, x, y, turn * math.pi / 3 + index, height * 0.1, 0.36, petals[variant % len(petals)])
        draw.ellipse((x - 15, y - 15, x + 15, y + 15), fill=(240, 200, 90))
    for lean in (-2.8, -0.35):
        _leaf(draw, width * 0.5, top, lean, height * 0.26, 0.2, _GREENS[0])


def _workshop(draw: ImageDraw.ImageDraw, width: int, height: int, variant: int, rng: random.Random) -> None:
    for index in range(6):
        x, base = width * (0.1 + 0.16 * index), height * (0.86 + 0.06 * (index % 2))
        top = _pot(draw, x, base, height * 0.16, _POTS[(index + variant) % len(_POTS)])
        for turn in range(9):
            angle = -math.pi / 2 + (turn - 4) * 0.34
            _leaf(draw, x, top + 10, angle, height * rng.uniform(0.1, 0.15), 0.26, rng.choice(_GREENS))


def _sticker(variant: int, rng: random.Random) -> bytes:
    """A pot with a face, on nothing: 512 pixels square, as stickers are."""
    canvas = Image.new("RGBA", (1_024, 1_024), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    for turn in range(9):
        angle = -math.pi / 2 + (turn - 4) * 0.3
        _leaf(draw, 512, 520, angle, rng.uniform(330, 430), 0.2, rng.choice(_GREENS))
    tint = _POTS[variant % len(_POTS)]
    draw.polygon([(250, 500), (774, 500), (690, 960), (334, 960)], fill=tint)
    draw.rounded_rectangle((220, 450, 804, 560), radius=40, fill=_mix(tint, (255, 255, 255), 0.15))
    for eye in (430, 594):
        draw.ellipse((eye - 26, 650, eye + 26, 702), fill=(40, 40, 46))
    draw.arc((440, 680, 584, 800), 20, 160, fill=(40, 40, 46), width=16)
    out = io.BytesIO()
    canvas.reduce(2).save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


_Scene = Callable[[ImageDraw.ImageDraw, int, int, int, random.Random], None]

_SCENES: dict[str, _Scene] = {
    "plant": _plant,
    "leaf": _leaf_close,
    "broken": _broken,
    "van": _van,
    "receipt": _receipt,
    "flower": _flower,
    "workshop": _workshop,
}
