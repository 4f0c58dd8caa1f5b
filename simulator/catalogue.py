"""The message templates that the shop has at Meta from the start, and as many more as a test wants."""

from pathlib import Path

import msgspec

from simulator import chance
from simulator.world import Json, Template, World

FIRST = Path(__file__).with_name("templates.json")
ID_DIGITS = 18
"""Beyond 2^53, as Meta's are: who reads them as floating numbers gets another template."""


def write(world: World) -> None:
    """Give a world the templates of `templates.json`."""
    for template in msgspec.json.decode(FIRST.read_bytes(), type=list[Template]):
        world.add_template(template)


def new_id(world: World) -> str:
    return chance.digits(world.epoch, "template", world.number("template"), ID_DIGITS)


def many(world: World, count: int) -> None:
    """Add notices that differ in their number only, until there are `count` templates that are not deleted."""
    living = sum(one.deleted_at is None for one in world.templates.values())
    for place in range(living + 1, count + 1):
        text = f"Olá, {{{{1}}}}! Este é o aviso número {place} da loja."
        body: Json = {"type": "BODY", "text": text, "example": {"body_text": [["Marina"]]}}
        world.add_template(Template(new_id(world), f"notice_{place:04}", "pt_BR", "UTILITY", "APPROVED", [body]))
