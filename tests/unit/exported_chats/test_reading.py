"""What phones write into an exported chat, read back: platforms, languages, and what is not what it seems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexist.base.errors import Invalid, TooLarge
from coexist.exported_chats import reading
from coexist.exported_chats.model import Entry, Kind, Survey
from coexist.exported_chats.reading import content_of, entries, survey
from coexist.exported_chats.stamps import DateOrder, read_stamp
from tests.support.exported import CONTACT, LRM, PHONES, US, Line, Phone, clock

LATEST = date(2026, 12, 1)
EVENING = clock(2021, 12, 31, 22, 15, 3)
PHOTO = "IMG-20211231-WA0004.jpg"
IOS_PHOTO = "00000012-PHOTO-2021-12-31-22-15-03.jpg"


def read(text: str, *files: str, order: DateOrder | None = None, names: Sequence[str] = ()) -> list[Entry]:
    return list(entries(text.splitlines(), files, order, names))


def surveyed(text: str, *files: str) -> Survey:
    return survey(lambda: text.splitlines(), files, LATEST)


def a_chat(phone: Phone) -> list[Line]:
    photo = IOS_PHOTO if phone.is_ios else PHOTO
    return [
        Line(EVENING, None, phone.notice),
        Line(EVENING, CONTACT, "Boa noite!\nSegunda linha\n\nQuarta: com dois pontos"),
        Line(EVENING + timedelta(minutes=1), US, "", file=photo),
        Line(EVENING + timedelta(minutes=2), US, "A legenda ", file=photo),
        Line(EVENING + timedelta(minutes=3), CONTACT, is_omitted=True),
        Line(EVENING + timedelta(minutes=4), US, "Corrigido", is_edited=True),
        Line(EVENING + timedelta(minutes=5), CONTACT, f"{LRM}{phone.deleted}"),
        Line(EVENING + timedelta(minutes=6), CONTACT, f"{LRM}{phone.call}"),
        Line(EVENING + timedelta(hours=3), US, "Já é amanhã"),
    ]


@pytest.mark.parametrize("name", PHONES)
def test_each_language_and_platform_is_read(name: str) -> None:
    phone = PHONES[name]
    chat = a_chat(phone)
    photo = IOS_PHOTO if phone.is_ios else PHOTO
    found = surveyed(phone.text(chat), photo)
    assert len(found.orders) == 1, "31 December can be read in one way only"
    told = read(phone.text(chat), photo, order=found.orders[0])
    assert [entry.kind for entry in told] == [
        Kind.NOTICE, Kind.TEXT, Kind.IMAGE, Kind.IMAGE, Kind.OMITTED, Kind.TEXT, Kind.DELETED, Kind.CALL, Kind.TEXT
    ]  # fmt: skip
    assert [entry.sender for entry in told[1:]] == [line.who for line in chat[1:]]
    assert [entry.text for entry in told[1:6]] == [chat[1].text, None, "A legenda", None, "Corrigido"]
    assert [entry.is_edited for entry in told] == [line.is_edited for line in chat]
    assert [entry.file for entry in told[2:4]] == [photo, photo]
    for entry, line in zip(told, chat, strict=True):
        assert entry.stamp.local(found.orders[0]) == (line.at if phone.has_seconds else line.at.replace(second=0))
    assert found.is_ios == phone.is_ios
    assert found.has_seconds == phone.has_seconds
    assert (found.message_count, found.file_count, found.missing_count) == (6, 2, 1)
    assert dict(found.names) == {CONTACT: 4, US: 4}


HALVES = (
    ("AM", "PM"), ("a.m.", "p.m."), ("a. m.", "p. m."), ("ص", "م"), ("ق.ظ.", "ب.ظ."), ("上午", "下午"),
    ("오전", "오후"), ("午前", "午後"), ("पूर्वाह्न", "अपराह्न"),
    ("PG", "PTG"), ("SA", "CH"), ("π.μ.", "μ.μ."), ("vm.", "nm."),
    ("пр.об.", "сл.об."), ("முற்பகல்", "பிற்பகல்"), ("म.पू.", "म.उ."), ("f.h.", "e.h."), ("paradite", "pasdite"),
    ("fm", "em"), ("de.", "du."), ("öö", "ös"), ("дп", "пп"), ("ก่อนเที่ยง", "หลังเที่ยง"),
)  # fmt: skip


@pytest.mark.parametrize("halves", HALVES, ids=lambda pair: pair[0])
def test_the_halves_of_the_day_are_read_in_each_language(halves: tuple[str, str]) -> None:
    """Midnight and noon are both twelve."""
    phone = Phone("%d/%m/%Y", "%-I:%M %P", halves=halves)
    lines = [Line(clock(2021, 12, 31, hour, 5), CONTACT, "Olá") for hour in (0, 11, 12, 23)]
    told = read(phone.text(lines))
    assert [entry.stamp.local(DateOrder.DAY_FIRST) for entry in told] == [line.at for line in lines]


def test_a_wide_colon_before_a_file_is_one() -> None:
    (entry,) = read(f"[2021/12/31 下午10:15:03] {CONTACT}: \u200e<附件：{IOS_PHOTO}>", IOS_PHOTO)
    assert (entry.kind, entry.file) == (Kind.IMAGE, IOS_PHOTO)


TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), include_characters="\n"), min_size=1, max_size=80
).filter(lambda text: text.strip() and not any(read_stamp(line) for line in text.split("\n")))


@given(
    name=st.sampled_from(sorted(PHONES)),
    said=st.lists(st.tuples(st.sampled_from([CONTACT, US]), TEXTS, st.integers(0, 5_000)), min_size=1, max_size=12),
    start=st.datetimes(clock(2015, 1, 1), clock(2026, 6, 1)),
)
@settings(max_examples=150, deadline=None)
def test_whatever_people_write_comes_back(name: str, said: list[tuple[str, str, int]], start: datetime) -> None:
    phone, lines = PHONES[name], []
    for who, text, minutes in said:
        start += timedelta(minutes=minutes)
        lines.append(Line(start, who, text))
    wanted = [line.at.replace(microsecond=0, second=line.at.second if phone.has_seconds else 0) for line in lines]
    order = DateOrder.MONTH_FIRST if phone.date.startswith("%-m") else DateOrder.DAY_FIRST
    order = DateOrder.YEAR_FIRST if phone.date.startswith("%Y") else order
    told = read(phone.text(lines), order=order)
    assert [(entry.sender, entry.stamp.local(order)) for entry in told] == [
        (line.who, at) for line, at in zip(lines, wanted, strict=True)
    ]
    for entry, line in zip(told, lines, strict=True):
        if entry.kind is Kind.TEXT:
            assert entry.text == line.text.strip()
    if any(entry.kind is Kind.TEXT for entry in told):
        orders = surveyed(phone.text(lines)).orders
        assert any([entry.stamp.local(one) for entry in told] == wanted for one in orders), (
            "the truth is never excluded"
        )


# ── dates ─────────────────────────────────────────────────────────────────────────────────────────────────


def dated(phone: Phone, *days: date, file: str = "") -> Survey:
    lines = [Line(clock(day.year, day.month, day.day, 9, 5), CONTACT, f"Dia {day}") for day in days]
    if file:
        lines.append(Line(lines[-1].at, CONTACT, "", file=file))
    return surveyed(phone.text(lines), file)


def test_days_beyond_twelve_tell_the_order() -> None:
    assert dated(PHONES["en-US android"], date(2021, 3, 4), date(2021, 3, 25)).orders == [DateOrder.MONTH_FIRST]
    assert dated(PHONES["en-GB android"], date(2021, 3, 4), date(2021, 3, 25)).orders == [DateOrder.DAY_FIRST]


def test_the_order_of_messages_tells_the_order_of_dates() -> None:
    days = [date(2021, 2, 11), date(2021, 3, 4), date(2021, 4, 5)]
    assert dated(PHONES["en-US android"], *days).orders == [DateOrder.MONTH_FIRST]
    assert dated(PHONES["es android"], *days).orders == [DateOrder.DAY_FIRST]


def test_a_date_in_the_future_cannot_be() -> None:
    assert dated(PHONES["es android"], date(2026, 10, 12)).orders == [DateOrder.DAY_FIRST], "it would be 10 December"


def test_names_of_files_tell_the_date() -> None:
    assert dated(PHONES["es android"], date(2021, 3, 4), file="IMG-20210304-WA0001.jpg").orders == [DateOrder.DAY_FIRST]
    assert dated(PHONES["en-US android"], date(2021, 3, 4), file="IMG-20210304-WA0001.jpg").orders == [
        DateOrder.MONTH_FIRST
    ]


def test_dots_are_written_by_languages_with_the_day_first() -> None:
    assert dated(PHONES["de android"], date(2021, 3, 4)).orders == [DateOrder.DAY_FIRST]


def test_what_nothing_decides_is_asked() -> None:
    found = dated(PHONES["en-GB android"], date(2021, 3, 4), date(2021, 3, 5))
    assert found.orders == [DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST]


def test_a_day_that_reads_the_same_either_way_is_not_asked() -> None:
    assert len(dated(PHONES["en-GB android"], date(2021, 5, 5)).orders) == 1


def test_a_year_of_two_digits_may_come_first() -> None:
    text = "21/12/30 22:15 - A: um\n21/12/31 22:15 - A: dois\n22/01/02 10:00 - A: três\n"
    assert surveyed(text).orders == [DateOrder.YEAR_FIRST]


def test_a_pasted_chat_goes_on_with_its_message() -> None:
    lines = [Line(EVENING + timedelta(days=n), CONTACT, f"Dia {n}") for n in range(-200, 0)]
    text = PHONES["en-GB android"].text(lines) + "31/12/2021, 23:00 - A: Olha:\n12/31/2021, 10:15 - Outro: colado\n"
    found = survey(lambda: text.replace(" - Outro", f" - {CONTACT}").splitlines(), (), LATEST)
    assert found.orders == [DateOrder.DAY_FIRST]
    told = read(text, order=DateOrder.DAY_FIRST)
    assert told[-1].text == "Olha:\n12/31/2021, 10:15 - Outro: colado"


@pytest.mark.parametrize(
    ("line", "hour"),
    [
        ("12/31/21, 12:05 AM - A: x", 0),
        ("12/31/21, 12:05 PM - A: x", 12),
        ("31/12/2564 13:05 - A: x", 13),
        ("31/12/2021 kl. 13.05 - A: x", 13),
        ("31/12/21 a las 13:05 - A: x", 13),
        ("31.12.2021, 1:05:00 אחה״צ - A: x", 13),
        ("[2021. 12. 31. 오후 1:05:03] A: x", 13),
        ("31/12/21 1:05:03 da tarde: A: x", 13),
    ],
)
def test_hours_in_many_words(line: str, hour: int) -> None:
    found = read_stamp(line)
    assert found is not None
    assert found[0].hour == hour
    assert found[1].startswith("A")


def test_years_of_the_buddhist_calendar_are_ours_and_543() -> None:
    found = read_stamp("31/12/2564 13:05 - A: x")
    assert found is not None
    assert found[0].local(DateOrder.DAY_FIRST) == clock(2021, 12, 31, 13, 5)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "12 coisas: a",
        "31/12/2021",
        "10:15",
        "31/12/2021, 25:15 - A: x",
        "[31/12/2021, 22:15 - x",
        "9/9/9: x",
        "- A: x",
    ],
)
def test_what_is_no_stamp(line: str) -> None:
    assert read_stamp(line) is None


# ── what WhatsApp writes itself ───────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("D16")
@pytest.mark.parametrize(
    ("body", "files", "kind", "text"),
    [
        (f"{LRM}<attached: 00000003-AUDIO-2021-12-31-22-15-03.opus>", True, Kind.AUDIO, None),
        (f"Fatura.pdf • {LRM}2 pages {LRM}<attached: 00000004-Fatura.pdf>", True, Kind.DOCUMENT, None),
        ("STK-20211231-WA0001.webp (file attached)", True, Kind.STICKER, None),
        ("Fatura 2021.pdf (file attached)\nSegue a fatura", True, Kind.DOCUMENT, "Segue a fatura"),
        ("Ana.vcf (arquivo anexado)", True, Kind.CONTACTS, None),
        ("Fatura.pdf (in einer fremden Sprache)", True, Kind.DOCUMENT, None),
        ("Fatura.pdf (file attached)", False, Kind.OMITTED, None),
        ("Veja o preço.txt (o novo)", False, Kind.TEXT, "Veja o preço.txt (o novo)"),
        ("<Medien ausgeschlossen>\nRechnung.pdf", False, Kind.OMITTED, None),
        ("<Media omitted>\nOlha só", False, Kind.OMITTED, "Olha só"),
        (f"Fatura.pdf • {LRM}2 pages {LRM}document omitted", False, Kind.OMITTED, None),
        ("<olá>", False, Kind.TEXT, "<olá>"),
        ("<b>: veja a.b>", False, Kind.TEXT, "<b>: veja a.b>"),
        ("location: https://maps.google.com/?q=-23.5613,-46.6565", False, Kind.LOCATION, None),
        ("Localização: https://maps.google.com/?q=38.7223,-9.1393", False, Kind.LOCATION, None),
        ("https://maps.google.com/?q=Ótica", False, Kind.TEXT, "https://maps.google.com/?q=Ótica"),
        (f"{LRM}Missed voice call, {LRM}Tap to call back", False, Kind.CALL, None),
        (f"Voice call, {LRM}2 min", False, Kind.CALL, None),
        ("Voice call, amanhã?", False, Kind.TEXT, "Voice call, amanhã?"),
        ("video call", False, Kind.TEXT, "video call"),
        ("null", False, Kind.EMPTY, None),
        ("", False, Kind.EMPTY, None),
        ("POLL:\nQual cor?\nOPTION: Azul (2)", False, Kind.TEXT, "POLL:\nQual cor?\nOPTION: Azul (2)"),
        ("You received a view once photo. Open it on your phone.", False, Kind.PHONE_ONLY, reading.ONCE_WORDS),
        ("live location shared", False, Kind.PHONE_ONLY, reading.LIVE_WORDS),
        ("Live-Standort wird geteilt", False, Kind.PHONE_ONLY, reading.LIVE_WORDS),
        ("Preço: 10 <This message was edited>", False, Kind.TEXT, "Preço: 10"),
        ("zero\0zero", False, Kind.TEXT, "zerozero"),
    ],
)  # fmt: skip
def test_bodies(body: str, files: bool, kind: Kind, text: str | None) -> None:
    names = [
        "00000003-AUDIO-2021-12-31-22-15-03.opus", "00000004-Fatura.pdf", "STK-20211231-WA0001.webp", "Fatura 2021.pdf",
        "Ana.vcf", "Fatura.pdf",
    ]  # fmt: skip
    found = content_of(body, names if files else [])
    assert (found.kind, found.text) == (kind, text)


def test_a_place_keeps_its_coordinates() -> None:
    assert content_of("location: https://maps.google.com/?q=-23.5613,-46.6565", ()).place == (-23.5613, -46.6565)


def test_a_colon_in_a_name_belongs_to_the_name() -> None:
    lines = [Line(EVENING + timedelta(minutes=n), "Loja: Centro", f"Mensagem {n}: sim") for n in range(4)]
    lines.append(Line(EVENING + timedelta(hours=1), US, "Nota: para depois"))
    text = PHONES["en-GB android"].text(lines)
    assert dict(surveyed(text).names) == {"Loja: Centro": 4, US: 1}
    told = read(text, names=["Loja: Centro"])
    assert (told[0].sender, told[0].text, told[-1].text) == ("Loja: Centro", "Mensagem 0: sim", "Nota: para depois")


def test_people_who_are_not_in_the_address_book() -> None:
    told = read(f"[31/12/2021, 22:15:03] ~\u202fRui: olá\n[31/12/2021, 22:16:03] {LRM}\u202a+351 910 559 101\u202c: oi")
    assert [entry.sender for entry in told] == ["Rui", "+351 910 559 101"]


def test_an_empty_message_may_have_lost_its_space() -> None:
    assert [entry.kind for entry in read("31/12/2021, 22:15 - Ana:\n31/12/2021, 22:16 - Ana: oi")] == [
        Kind.EMPTY, Kind.TEXT
    ]  # fmt: skip


# ── what is no chat with one person ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", "Uma lista de compras\n" * 40, "a,b,c\n1,2,3\n", "{}"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a chat that WhatsApp exported"):
        surveyed(text)


def test_a_group_is_refused_by_its_people() -> None:
    lines = [Line(EVENING, who, "oi") for who in ("Ana", "Rui", "Eva")]
    with pytest.raises(Invalid, match="group: 3 people wrote in it"):
        surveyed(PHONES["en-GB android"].text(lines))


@pytest.mark.parametrize(
    ("phone", "notice"),
    [
        ("en-GB android", 'Ana created group "Família"'),
        ("pt-BR android", "Ana criou o grupo “Família”"),
        ("de android", "Ana hat die Gruppe „Familie“ erstellt."),
        ("en-US ios", "Ana created this group"),
    ],
)
def test_a_group_is_refused_by_its_notices(phone: str, notice: str) -> None:
    lines = [Line(EVENING, None, notice), Line(EVENING, "Ana", "oi"), Line(EVENING, "Rui", "oi")]
    with pytest.raises(Invalid, match="Groups are not brought in"):
        surveyed(PHONES[phone].text(lines))


def test_dates_of_another_calendar_are_refused_with_the_way_out() -> None:
    with pytest.raises(Invalid, match="Set the phone's calendar to Gregorian"):
        surveyed("۱۴۰۰/۱۰/۱۰، ۲۲:۱۵ - رضا: سلام\n")


def test_a_chat_of_notices_alone_is_refused() -> None:
    with pytest.raises(Invalid, match="only notices"):
        surveyed("31/12/2021, 22:15 - Messages and calls are end-to-end encrypted.\n")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge, match="line 1 has more than 70,000 signs"):
        read("31/12/2021, 22:15 - Ana: oi\n" + "x" * 500 + "\n" + ("y" * 999 + "\n") * 80)
    monkeypatch.setattr(reading, "MESSAGES_COUNT_MAX", 3)
    with pytest.raises(TooLarge, match="more than 3 messages"):
        read("31/12/2021, 22:15 - Ana: oi\n" * 4)


def test_entries_hold_one_message_at_a_time() -> None:
    """A chat is read as it comes: what follows is not asked for before what is there was taken."""
    asked = []

    def lines() -> Iterator[str]:
        for number in range(100):
            asked.append(number)
            yield f"31/12/2021, 22:15 - Ana: {number}"

    counts = []
    for _ in entries(lines(), ()):
        counts.append(len(asked))
    assert all(after - before <= 1 for before, after in pairwise(counts))
