"""Meta's error codes in words."""

import pytest

from coexist.meta.errors import MEANINGS, RANGES, Action, ErrorClass, ErrorMeaning, explain


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (131047, ErrorClass.WINDOW),
        (190, ErrorClass.REAUTHORISE),
        (250, ErrorClass.REAUTHORISE),
        (131056, ErrorClass.LIMIT),
        (131026, ErrorClass.PERMANENT),
        (131000, ErrorClass.AMBIGUOUS),
        (1, ErrorClass.AMBIGUOUS),
        (131016, ErrorClass.TRANSIENT),
        (2593109, ErrorClass.NOTICE),
        (2388091, ErrorClass.HUMAN),
        (131204, ErrorClass.PERMANENT),
        (131059, ErrorClass.PERMANENT),
    ],
)
def test_known_codes(code: int, kind: ErrorClass) -> None:
    assert explain(code).kind is kind


@pytest.mark.parametrize("code", [None, 999999999, -1])
def test_a_new_code_is_explained_by_its_details(code: int | None) -> None:
    meaning = explain(code, "the moon is in the wrong place")

    assert meaning.kind is ErrorClass.PERMANENT
    assert meaning.details == "the moon is in the wrong place"
    assert meaning.sentence == "Meta refused the message. See the details below."


@pytest.mark.parametrize("code", [2388020, 2388024, 2388050])
def test_what_is_told_of_a_template_is_not_said_of_the_number(code: int) -> None:
    """They lie between the codes about moving a number, which would stand on the number's page."""
    assert explain(code) == ErrorMeaning(
        code, ErrorClass.PERMANENT, "Meta refused the message.", "See the details below."
    )
    assert explain(code).action is Action.FAIL


def test_every_meaning_is_made_of_sentences() -> None:
    sentences = [text for _, what, next_step in MEANINGS.values() for text in (what, next_step)]
    sentences += [text for _, (_, what, next_step) in RANGES for text in (what, next_step)]

    assert [text for text in sentences if text and not (text[0].isupper() and text.endswith("."))] == []
    assert [text for text in sentences[::2] if not text] == []


def test_the_sentence_has_no_trailing_space_without_a_next_step() -> None:
    assert explain(2593109).sentence == "The business chose not to share its history."
