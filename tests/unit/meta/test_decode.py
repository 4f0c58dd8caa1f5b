"""The tolerant road from JSON to wire types."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexist.meta import wire
from coexist.meta.decode import clean, compact, members, mended, merged, packed, read, unwrapped


def test_an_ordinary_body_is_not_touched() -> None:
    body = '{"a":"é \\ud83d\\ude00 😀 \\\\u0000"}'.encode()

    assert clean(b'{"a":1}') == b'{"a":1}'
    assert json.loads(clean(body)) == json.loads(body)


@pytest.mark.parametrize(
    ("given_json", "expected"),
    [
        (rb'"a\u0000b"', "ab"),
        (rb'"a\\u0000b"', r"a\u0000b"),
        (rb'"a\\\u0000b"', "a\\b"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\uD83D\uDE00"', "😀"),
        (rb'"\ud83d!"', "\ufffd!"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\\ud83d\ude00"', "\\ud83d\ufffd"),
        (rb'"\ud83d\n\ude00"', "\ufffd\n\ufffd"),
    ],
)
def test_unfit_escapes_are_mended(given_json: bytes, expected: str) -> None:
    assert json.loads(mended(given_json)) == expected


@given(st.text(st.characters(categories=None), max_size=30))
@settings(max_examples=300)
def test_mending_leaves_every_other_sign_as_it_was(text: str) -> None:
    whole = text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    mended_text = json.loads(clean(json.dumps(text).encode()).replace(b"\\u0000", b""))

    assert json.loads(mended(json.dumps(text).encode())) == whole
    assert "\x00" not in mended_text


def test_bytes_that_are_no_utf8_become_marks() -> None:
    assert json.loads(clean(b'{"a":"\xff\x00b"}')) == {"a": "\ufffdb"}


def test_numbers_stay_as_they_were_written() -> None:
    big = b'{ "price": 59.80, "id": 123456789012345678901234567890, "e": 1e2 }'

    assert compact(big) == b'{"price":59.80,"id":123456789012345678901234567890,"e":1e2}'


def test_a_part_that_is_no_json_is_kept_as_text() -> None:
    assert json.loads(compact(b'{"a":"\x01')) == {"malformed": '{"a":"\x01'}


def test_what_is_readable_of_a_broken_object_is_kept() -> None:
    message = read(b'{"id":"w","type":7,"text":{"body":"hi"},"context":[]}', wire.Message)

    assert (message.id, message.text and message.text.body) == ("w", "hi")
    assert message.flaw is not None
    assert "type" in message.flaw
    assert "context" in message.flaw


def test_a_broken_item_of_a_list_leaves_its_neighbours_in_place() -> None:
    value = read(b'{"messages":[{"id":"a"},5,{"id":"b","type":[]}]}', wire.MessagesValue)

    assert [message.id for message in value.messages] == ["a", None, "b"]
    assert [message.flaw is None for message in value.messages] == [True, False, False]
    assert value.flaw is None


def test_a_half_pair_costs_nothing_else() -> None:
    message = read(rb'{"id":"w","text":{"body":"a\ud83d"}}', wire.Message)

    assert message.flaw is None
    assert message.text is not None
    assert message.text.body == "a\ufffd"


@pytest.mark.parametrize(
    ("body", "count"), [(b"{}", 1), (b" [{},{}]", 2), (b"[]", 1), (b"[{}", 1), (b"nothing", 1), (b"", 1)]
)
def test_bodies_are_taken_out_of_an_array(body: bytes, count: int) -> None:
    assert len(unwrapped(body)) == count


def test_members_and_merging() -> None:
    def raw(value: Any) -> Any:
        return read(json.dumps({"value": value}).encode(), wire.Change).value

    assert [bytes(part) for part in members(raw([1, "b"])).values()] == [b"1", b'"b"']
    assert {name: bytes(part) for name, part in members(raw({"a": 1})).items()} == {"a": b"1"}
    assert members(raw(7)) == {}
    assert json.loads(bytes(merged(raw({"a": 1}), "b", raw(2)))) == {"a": 1, "b": 2}
    assert bytes(merged(raw(7), "b", raw(2))) == b"7"
    assert packed(a=raw(None), b=wire.NOTHING) is None
    assert packed(a=raw([1, 2]), b=wire.NOTHING) == b'{"a":[1,2]}'
