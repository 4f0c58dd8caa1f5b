"""The people around the shop, read from `people.txt`, and those who turn up later."""

from dataclasses import replace
from pathlib import Path

from simulator import chance
from simulator.world import Person

ROSTER = Path(__file__).parent / "people.txt"
SIGNUP_BOOK_AGE_S = 200 * 86_400

NEVER_WROTE = frozenset({"seu-antonio", "tom-walker"})
NO_RECEIPTS = frozenset({"gustavo", "olivia-grant"})

_FIRST = ("Alice", "Bruno", "Clara", "Davi", "Elisa", "Felipe", "Gabi", "Hugo", "Íris", "Júlia", "Kaique", "Lara")
_LAST = ("Amaral", "Barros", "Campos", "Dias", "Esteves", "Faria", "Gomes", "Honda", "Izidoro", "Jardim", "Klein")


def roster(seed: int, started_at: int, extra_count: int = 0) -> list[Person]:
    """The 30 people, and `extra_count` more when the history is scaled up for load."""
    lines = ROSTER.read_text("utf-8").splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    people = [_read(seed, started_at, index, row) for index, row in enumerate(rows, start=1)]
    return people + [_extra(seed, started_at, number) for number in range(1, extra_count + 1)]


def _read(seed: int, started_at: int, index: int, row: str) -> Person:
    key, language, country, profile_name, *rest = (part.strip() for part in row.split("|"))
    phone, username, book_name, book_phone = (None if part == "-" else part for part in rest)
    return Person(
        key=key,
        language=language,
        profile_name=profile_name,
        bsuid=bsuid(seed, country, index),
        phone=phone,
        username=username.removeprefix("!") if username else None,
        phone_hidden=bool(username and username.startswith("!")),
        book_name=book_name,
        book_phone=book_phone,
        book_at=started_at - SIGNUP_BOOK_AGE_S + index * 3_600 if book_name else 0,
        reads=key not in NO_RECEIPTS,
    )


def bsuid(seed: int, country: str, number: int) -> str:
    """A business-scoped user id: country, a dot, digits."""
    return f"{country}.{chance.digits(str(seed), 'bsuid', number, 17)}"


def newcomer(seed: int, number: int, name: str | None, phone: str | None, language: str = "pt") -> Person:
    """Somebody who has never written before. Without a phone given, a fictional Brazilian one is made."""
    chosen = chance.stream(seed, "newcomer", number)
    return Person(
        key=f"customer-{number}",
        language=language,
        profile_name=name or f"{chosen.choice(_FIRST)} {chosen.choice(_LAST)}",
        bsuid=bsuid(seed, "BR", 100_000 + number),
        phone=phone or f"551198550{2_000 + number:04d}",
    )


def _extra(seed: int, started_at: int, number: int) -> Person:
    person = newcomer(seed, number, None, f"5521985{number:06d}")
    book_name = f"{person.profile_name} {number}" if number % 3 else None
    return replace(
        person,
        key=f"contact-{number}",
        bsuid=bsuid(seed, "BR", 200_000 + number),
        book_name=book_name,
        book_phone=person.phone if book_name else None,
        book_at=started_at - SIGNUP_BOOK_AGE_S if book_name else 0,
    )
