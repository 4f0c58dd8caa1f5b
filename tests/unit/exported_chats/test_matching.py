"""Which messages of an export are here already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.exported_chats.matching import Known, Told, decide, key_of
from coexist.exported_chats.model import Kind, Verdict
from coexist.meta.model import FROM_HISTORY, LIVE, PLACEHOLDER, UNAVAILABLE

NEW, FILL, HERE, MOVED = Verdict.NEW, Verdict.FILL, Verdict.HERE, Verdict.MOVED


def told(
    at: float, text: str | None = "oi", *, kind: Kind = Kind.TEXT, way: str = "inbound", other: float | None = None
) -> Told:
    return Told(f"exported:{at}:{text}:{way}", way, kind, key_of(kind, text), at, other)


def known(
    at: float, text: str | None = "oi", *, type_: str = "text", way: str = "inbound", rank: int = FROM_HISTORY
) -> Known:
    return Known(f"wamid.{at}.{text}.{type_}", way, type_, key_of(type_, text), at, rank)


def verdicts(
    exported: Sequence[Told], here: Sequence[Known], span_s: float = 60, taken: Sequence[str] = ()
) -> list[Verdict]:
    return [decision.verdict for decision in decide(exported, here, span_s=span_s, taken=taken)]


def test_the_same_words_of_the_same_side_in_the_same_minute_are_one_message() -> None:
    assert verdicts([told(60)], [known(107)]) == [HERE]
    assert verdicts([told(60)], [known(107, way="outbound")]) == [NEW]
    assert verdicts([told(60)], [known(107, "olá")]) == [NEW]
    assert verdicts([told(60)], [known(4000)]) == [NEW]


@pytest.mark.parametrize(
    ("exported", "here"),
    [
        ("Olá, tudo bem?", "olá,  tudo\nbem?"),
        ("Fixe \u2764\ufe0f", "Fixe \u2764"),
        ("Ma\u0303e", "Mãe"),
        ("\u200eOlá @\u2068Ana\u2069", "Olá @Ana"),
    ],
)
def test_what_exporting_changes_makes_no_difference(exported: str, here: str) -> None:
    assert verdicts([told(60, exported)], [known(70, here)]) == [HERE]


def test_the_same_words_twice_in_a_minute_are_matched_by_count() -> None:
    assert verdicts([told(60), told(60), told(60)], [known(61), known(110)]) == [HERE, HERE, NEW]
    assert verdicts([told(60)], [known(61), known(110)]) == [HERE]


def test_clocks_go_a_little_wrong() -> None:
    assert verdicts([told(60)], [known(59)]) == [HERE]
    assert verdicts([told(60)], [known(200)]) == [HERE]
    assert verdicts([told(60), told(120)], [known(130)]) == [NEW, HERE], "the better counterpart comes first"


def test_seconds_are_used_where_the_export_has_them() -> None:
    assert verdicts([told(60), told(63)], [known(60), known(63)], span_s=1) == [HERE, HERE]


def test_an_hour_that_came_twice_may_be_the_other_one() -> None:
    assert verdicts([told(3600, other=7200)], [known(7210)]) == [HERE]


def test_files_are_matched_by_kind_whatever_became_of_the_caption() -> None:
    assert verdicts([told(60, "Legenda", kind=Kind.IMAGE)], [known(70, None, type_="image")]) == [HERE]
    assert verdicts([told(60, None, kind=Kind.IMAGE)], [known(70, None, type_="video")]) == [NEW]
    assert verdicts([told(60, None, kind=Kind.OMITTED)], [known(70, "Legenda", type_="image", rank=LIVE)]) == [HERE]
    assert verdicts([told(60, "Legenda")], [known(70, "Legenda", type_="image")]) == [NEW], "a text is no photo"


@pytest.mark.requirement("D10")
def test_a_file_takes_the_place_of_a_placeholder_of_metas() -> None:
    here = [known(70, None, type_="media_placeholder", rank=PLACEHOLDER)]
    decision = decide([told(60, None, kind=Kind.IMAGE)], here, span_s=60)[0]
    assert (decision.verdict, decision.wamid) == (FILL, here[0].wamid)
    assert verdicts([told(60, None, kind=Kind.OMITTED)], here) == [HERE]
    assert verdicts([told(60)], here) == [NEW], "words are no file"


@pytest.mark.requirement("D15")
def test_any_message_takes_the_place_of_one_that_could_not_be_given() -> None:
    here = [known(70, "Open the app", type_="unsupported", rank=UNAVAILABLE)]
    assert verdicts([told(60)], here) == [FILL]
    assert verdicts([told(60, None, kind=Kind.OMITTED)], here) == [NEW]
    assert verdicts([told(60, None, kind=Kind.PHONE_ONLY)], here) == [HERE]


def test_what_was_brought_in_with_another_zone_is_not_brought_in_twice() -> None:
    assert verdicts([told(60)], [], taken=[told(60).wamid]) == [MOVED]


SAID = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["oi", "ok", "sim"]), st.sampled_from(["inbound", "outbound"])),
    max_size=30,
)


@given(SAID, st.integers(0, 59), st.data())
def test_each_message_is_counted_once(said: list[tuple[int, str, str]], second: int, data: st.DataObject) -> None:
    """Of a chat of which we have some messages, exactly the others are new, however often words repeat."""
    minutes = sorted(said)
    spread = [(minute * 300.0, text, way) for minute, text, way in minutes]
    has = [data.draw(st.booleans()) for _ in spread]
    here = [known(at + second, text, way=way) for (at, text, way), is_here in zip(spread, has, strict=True) if is_here]
    found = decide([told(at, text, way=way) for at, text, way in spread], here, span_s=60)
    new = Counter(key for key, decision in zip(spread, found, strict=True) if decision.verdict is NEW)
    assert new == Counter(spread) - Counter(key for key, is_here in zip(spread, has, strict=True) if is_here)


@given(SAID)
def test_a_chat_that_is_here_adds_nothing(said: list[tuple[int, str, str]]) -> None:
    chat = [(minute * 60.0, text, way) for minute, text, way in sorted(said)]
    here = [known(at, text, way=way) for at, text, way in chat]
    assert set(verdicts([told(at, text, way=way) for at, text, way in chat], here)) <= {HERE}
