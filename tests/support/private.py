"""A private person, and everything that Meta can tell of them: what must never be found afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.support import wire
from tests.support.intake import SHOP, Number, body_of

PHONE: Final = "5511985500188"  # as the phone book has it; WhatsApp's own form lacks the 9
WA_ID: Final = "551185500188"
BSUID: Final = "BR.70010020030040088"
NEXT_BSUID: Final = "BR.70010020030040099"
PARENT: Final = "BR.ENT.70010020030040077"
NAME: Final = "Quitéria Sigilosa"
USERNAME: Final = "quiteria.sigilosa"
WORDS: Final = "segredo-de-familia"
FILE: Final = "exame-confidencial.pdf"

TRACES: Final = (PHONE, WA_ID, PHONE[2:], WA_ID[2:], "11 98550-0188", BSUID, NEXT_BSUID, PARENT, NAME, "Quit\\u00e9ria",
                 USERNAME, WORDS, FILE)  # fmt: skip
"""What a search for the person looks for."""

OTHER: Final = "351910559122"
OTHER_BSUID: Final = "PT.40010020030040122"


def traces_in(data: bytes) -> list[str]:
    """Which traces of the person are in some bytes, in UTF-8 or UTF-16."""
    return [one for one in TRACES if one.encode() in data or one.encode("utf-16-le") in data]


def text(name: str) -> dict[str, Any]:
    return wire.text(f"{WORDS} {name}")


def _value(number: Number, **parts: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": number.display, "phone_number_id": number.phone_number_id}
    return {"messaging_product": "whatsapp", "metadata": metadata, **parts}


def theirs(number: Number = SHOP) -> Iterator[dict[str, Any]]:
    """One change of every field in which Meta can name them, under each kind of id. The pair of ids comes first."""
    whole = {"name": NAME, "username": USERNAME, "parent_user_id": PARENT}
    pair = wire.message("wamid.P1", 1, text("1"), phone=WA_ID, bsuid=BSUID, number=number)
    pair["value"]["contacts"] = [wire.person(BSUID, WA_ID, **whole)]
    yield pair
    yield wire.message("wamid.P2", 2, text("2"), bsuid=BSUID, number=number, name=NAME)
    yield wire.message("wamid.P3", 3, text("3"), phone=PHONE, number=number, name=NAME)
    file = {"type": "document", "document": {"id": "990", "mime_type": "application/pdf", "filename": FILE}}
    yield wire.message("wamid.P4", 4, file, phone=WA_ID, number=number)
    yield wire.message("wamid.P5", 5, wire.edit("wamid.P1", f"{WORDS} edited"), bsuid=BSUID, number=number)
    yield wire.message("wamid.P6", 6, wire.reaction("wamid.E1", "👍"), phone=WA_ID, number=number)
    yield wire.message("wamid.P7", 7, wire.revoke("wamid.P2"), phone=WA_ID, number=number)
    yield wire.echo("wamid.E1", 8, text("echo"), phone=PHONE, number=number)
    yield wire.echo("wamid.E2", 9, text("echo"), bsuid=BSUID, number=number)
    yield wire.echo("wamid.E3", 9, wire.edit("wamid.E1", f"{WORDS} edited echo"), phone=PHONE, number=number)
    yield wire.status("wamid.S1", 10, "delivered", phone=WA_ID, number=number)
    yield wire.status("wamid.S2", 11, "read", bsuid=BSUID, recipient_parent_user_id=PARENT, number=number)
    yield wire.entry(12, phone=PHONE, name=NAME, number=number)
    yield wire.entry(13, bsuid=BSUID, name=NAME, number=number)
    past = wire.past("wamid.H1", 90, text("past"), phone=WA_ID, number=number)
    yield wire.history([wire.thread(WA_ID, None, [past])], number=number)
    sent = wire.past("wamid.H2", 91, text("past sent"), phone=PHONE, outbound=True, number=number)
    named = {"context": {"user_id": BSUID, "username": USERNAME, "profile": {"name": NAME}}, "messages": [sent]}
    yield wire.history([named], order=2, number=number)
    yield wire.late_file("wamid.H3", 92, wire.image("991", f"{WORDS} late"), phone=WA_ID, number=number)
    yield wire.late_file("wamid.H4", 93, wire.image("992", f"{WORDS} late"), phone=PHONE, outbound=True, number=number)
    yield wire.rotated(BSUID, NEXT_BSUID, 14, number=number)
    yield wire.message("wamid.P8", 15, text("8"), bsuid=NEXT_BSUID, number=number, name=NAME)
    stop = {"wa_id": WA_ID, "detail": f"{NAME} stopped", "category": "marketing_messages", "value": "stop"}
    yield {"field": "user_preferences", "value": _value(number, user_preferences=[stop])}
    group = {"group_id": "G1", "participants": [{"wa_id": OTHER}, {"wa_id": WA_ID, "username": USERNAME}]}
    yield {"field": "group_participants_update", "value": _value(number, groups=[group])}
    in_group = wire.message("wamid.G1", 16, {**text("group"), "group_id": "G1"}, phone=WA_ID, number=number)
    yield in_group
    card = {"name": {"formatted_name": NAME}, "phones": [{"phone": f"+{PHONE}", "wa_id": WA_ID}]}
    yield wire.message("wamid.C1", 17, {"type": "contacts", "contacts": [card]}, phone=OTHER, number=number)
    call = {"id": "wacid.1", "from": WA_ID, "to": number.display, "event": "terminate", "timestamp": str(wire.EPOCH)}
    yield {"field": "calls", "value": _value(number, calls=[call])}
    broken = wire.message("wamid.P9", 18, {"type": "text", "text": NAME}, phone=WA_ID, number=number)
    yield broken
    yield {"field": "tracking_events", "value": _value(number, visits=[{"by": WA_ID, "name": NAME}])}
    yield {"field": "partner_solutions", "value": {"event": "ASKED", "by": PHONE, "name": NAME}}


def beside(number: Number = SHOP) -> Iterator[dict[str, Any]]:
    """What somebody else tells in the same deliveries: it stays."""
    yield wire.message("wamid.O1", 1, wire.text("Olá"), phone=OTHER, bsuid=OTHER_BSUID, number=number, name="Rui")
    past = wire.past("wamid.O2", 90, wire.text("antes"), phone=OTHER, number=number)
    secret = wire.past("wamid.H9", 90, text("past"), phone=WA_ID, number=number)
    threads = [wire.thread(OTHER, OTHER_BSUID, [past]), wire.thread(WA_ID, BSUID, [secret])]
    yield wire.history(threads, order=3, number=number)
    yield wire.entry(2, phone=OTHER, name="Rui Duarte", number=number)


def deliveries(number: Number = SHOP) -> list[bytes]:
    """All of it as deliveries: each change alone, and once more all in one."""
    each = [*theirs(number), *beside(number)]
    return [*(body_of(change) for change in each), body_of(*each)]
