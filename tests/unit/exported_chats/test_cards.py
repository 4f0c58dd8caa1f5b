"""Contact cards that came with an exported chat."""

from __future__ import annotations

import json

import pytest

from coexist.exported_chats.cards import contacts_of

CARD = """BEGIN:VCARD
VERSION:3.0
N:Reis;Marta;;;
FN:Marta Reis
item1.TEL;waid=351910559111:+351 910 559 111
TEL;type=WORK:+351 21 055 90
 00
PHOTO;ENCODING=b:/9j/4AAQ
END:VCARD
"""


@pytest.mark.requirement("F10")
def test_a_card_keeps_its_names_and_numbers() -> None:
    found = contacts_of(CARD.encode())
    assert found is not None
    said, content = found
    assert said == "Marta Reis"
    assert json.loads(content) == {
        "contacts": [
            {
                "name": {"formatted_name": "Marta Reis"},
                "phones": [{"phone": "+351 910 559 111", "wa_id": "351910559111"}, {"phone": "+351 21 055 9000"}],
            }
        ]
    }


def test_several_cards_in_one_file() -> None:
    second = CARD.replace("Marta Reis", "Rui\\, o outro")
    found = contacts_of((CARD + second).encode())
    assert found is not None
    assert found[0] == "Marta Reis, Rui, o outro"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"BEGIN:VCARD\nEND:VCARD\n", b"FN:Marta"])
def test_what_is_no_card(content: bytes) -> None:
    assert contacts_of(content) is None
