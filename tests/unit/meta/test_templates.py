"""What a template asks for, the body it is sent with, and what the customer reads."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.meta import templates
from coexist.meta.templates import NotFilled, Takes, check, fill, form_of, said

BODY = {"type": "BODY", "text": "Olá {{1}}, pedido {{2}}.", "example": {"body_text": [["Ana", "7"]]}}
OTP_URL = "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"


def form(*components: dict[str, Any], **other: Any) -> templates.Form:
    return form_of(msgspec.json.encode(components), **other)


def test_places_of_a_body_are_filled_in_the_order_of_their_numbers() -> None:
    read = form({"type": "BODY", "text": "{{2}} before {{1}}, {{ 2 }} again"})
    assert [(each.key, each.name) for each in read.fields] == [("body.1", "1"), ("body.2", "2")]
    values = {"body.1": "one", "body.2": "two"}
    parameters = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert fill(read, values) == [{"type": "body", "parameters": parameters}]
    assert said(read, values) == "two before one, two again"


def test_more_than_nine_places_keep_their_order() -> None:
    read = form({"type": "BODY", "text": " ".join(f"{{{{{n}}}}}" for n in range(1, 12))})
    assert [each.name for each in read.fields] == [str(n) for n in range(1, 12)]


def test_a_named_place_goes_out_with_its_name() -> None:
    example = {"body_text_named_params": [{"param_name": "first_name", "example": "Ana"}]}
    read = form({"type": "BODY", "text": "Olá {{first_name}}!", "example": example}, parameter_format="NAMED")
    (field,) = read.fields
    assert (field.key, field.label, field.example) == ("body.first_name", "First name", "Ana")
    wanted = [{"type": "text", "parameter_name": "first_name", "text": "Rui"}]
    assert fill(read, {field.key: "Rui"}) == [{"type": "body", "parameters": wanted}]


def test_header_body_footer_and_buttons_are_read_and_said() -> None:
    header = {"type": "HEADER", "format": "TEXT", "text": "Pedido {{1}}", "example": {"header_text": ["7"]}}
    buttons = [
        {"type": "QUICK_REPLY", "text": "Sim"},
        {"type": "URL", "text": "Ver", "url": "https://loja.example/p/{{1}}", "example": ["https://loja.example/p/7"]},
        {"type": "COPY_CODE", "text": "Copiar", "example": "VERAO10"},
        {"type": "PHONE_NUMBER", "text": "Ligar", "phone_number": "+351210559000"},
    ]
    read = form(header, BODY, {"type": "FOOTER", "text": "Obrigado"}, {"type": "BUTTONS", "buttons": buttons})
    assert [(each.key, each.example) for each in read.fields] == [
        ("header.1", "7"), ("body.1", "Ana"), ("body.2", "7"), ("button.1", "7"), ("button.2", "VERAO10"),
    ]  # fmt: skip
    values = {"header.1": "42", "body.1": "Rui", "body.2": "42", "button.1": "42", "button.2": "X1"}
    assert check(read, values) == values
    assert said(read, values) == "Pedido 42\n\nOlá Rui, pedido 42.\n\nObrigado"
    assert fill(read, values)[2:] == [
        {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "42"}]},
        {
            "type": "button", "sub_type": "copy_code", "index": "2",
            "parameters": [{"type": "coupon_code", "coupon_code": "X1"}],
        },
    ]  # fmt: skip
    told = templates.buttons_said(read, values)
    assert [each.get("url") or each.get("code") or each.get("phone") for each in told] == [
        None, "https://loja.example/p/42", "X1", "+351210559000",
    ]  # fmt: skip


def with_button(button: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"type": "BODY", "text": "Obrigado."}, {"type": "BUTTONS", "buttons": [{"text": "Ver", **button}]}


URL_END: Final = {"type": "URL", "url": "https://loja.example/p?n={{1}}"}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Gonçalves", "Gon%C3%A7alves"),
        ("New York", "New%20York"),
        ("x:key|9", "x%3Akey%7C9"),
        ("7/itens?cor=azul&q=10%25#fim", "7/itens?cor=azul&q=10%25#fim"),
        ("100%", "100%25"),
    ],
)
def test_the_end_of_an_address_goes_out_encoded(typed: str, sent: str) -> None:
    read = form(*with_button(URL_END))
    values = check(read, {"button.0": typed})
    assert fill(read, values)[0]["parameters"] == [{"type": "text", "text": sent}]
    assert templates.buttons_said(read, values)[0]["url"] == f"https://loja.example/p?n={sent}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_whatever_is_typed_into_an_address_goes_out_as_ascii_and_fits(typed: str) -> None:
    read = form(*with_button(URL_END))
    try:
        values = check(read, {"button.0": typed})
    except NotFilled:
        return
    end = values["button.0"]
    assert end.isascii()
    assert not set(end) & set(' :|<>"{}\\^`'), "Meta refuses the address otherwise"
    assert unquote(end) == unquote(typed.replace("\0", "").strip())
    assert check(read, values) == values, "and once more it is the same"
    assert len(end) <= read.fields[0].chars_max == 2_000 - len("https://loja.example/p?n=")


def test_an_address_is_measured_as_it_goes_out() -> None:
    read = form(*with_button(URL_END))
    with pytest.raises(NotFilled) as refused:
        check(read, {"button.0": "ç" * 400})
    assert "this has 2,400" in refused.value.problems["button.0"]


@pytest.mark.parametrize(("place", "name"), [("customer_name", {"parameter_name": "customer_name"}), ("1", {})])
def test_a_named_place_in_an_address_goes_out_with_its_name(place: str, name: dict[str, str]) -> None:
    url = f"https://loja.example/p?n={{{{{place}}}}}"
    read = form(*with_button({"type": "URL", "url": url}), parameter_format="named")
    assert fill(read, {"button.0": "7"})[0]["parameters"] == [{"type": "text", **name, "text": "7"}]


@pytest.mark.parametrize("button", [{"type": "OTP", "otp_type": "COPY_CODE"}, {"type": "URL", "url": OTP_URL}])
def test_a_code_is_typed_once_and_goes_out_twice(button: dict[str, Any]) -> None:
    buttons = {"type": "BUTTONS", "buttons": [{**button, "text": "Copiar"}]}
    read = form({"type": "BODY", "text": "*{{1}}* é o código."}, buttons, category="AUTHENTICATION")
    assert [each.key for each in read.fields] == ["body.1"]
    body, copied = fill(read, {"body.1": "123456"})
    assert body["parameters"] == copied["parameters"] == [{"type": "text", "text": "123456"}]
    assert (copied["sub_type"], copied["index"]) == ("url", "0")


def test_a_file_and_a_place_stand_at_the_head() -> None:
    picture = form({"type": "HEADER", "format": "IMAGE"}, BODY)
    assert picture.fields[0].takes is Takes.IMAGE
    header = fill(picture, {"header.file": "77", "body.1": "a", "body.2": "b"})[0]
    assert header == {"type": "header", "parameters": [{"type": "image", "image": {"id": "77"}}]}
    document = fill(
        form({"type": "HEADER", "format": "DOCUMENT"}, BODY),
        {"header.file": "77", "body.1": "a", "body.2": "b"},
        "a.pdf",
    )
    assert document[0]["parameters"] == [{"type": "document", "document": {"id": "77", "filename": "a.pdf"}}]
    place = form({"type": "HEADER", "format": "LOCATION"}, BODY)
    values = {"header.latitude": "38.7", "header.longitude": "-9.1", "body.1": "a", "body.2": "b"}
    assert check(place, values) == values
    told = {"latitude": "38.7", "longitude": "-9.1"}
    assert templates.place(place, values) == told
    assert templates.place(picture, {"header.file": "77"}) == {}
    assert fill(place, values)[0] == {"type": "header", "parameters": [{"type": "location", "location": told}]}


@pytest.mark.parametrize(
    ("values", "field", "said_of_it"),
    [
        ({"body.2": "7"}, "body.1", "missing"),
        ({"body.1": "  \0 ", "body.2": "7"}, "body.1", "missing"),
        ({"body.1": "a\nb", "body.2": "7"}, "body.1", "line breaks"),
        ({"body.1": "a\tb", "body.2": "7"}, "body.1", "tabs"),
        ({"body.1": "a     b", "body.2": "7"}, "body.1", "4 spaces"),
        ({"body.1": "a" * 1_025, "body.2": "7"}, "body.1", "1,024"),
        ({"body.1": "a" * 1_000, "body.2": "b" * 30}, "body.1", "too long"),
    ],
)
def test_a_value_that_does_not_fit_is_told_at_its_field(values: dict[str, str], field: str, said_of_it: str) -> None:
    with pytest.raises(NotFilled) as refused:
        check(form(BODY), values)
    assert said_of_it in refused.value.problems[field]
    assert list(refused.value.problems) == [field]


@pytest.mark.parametrize("is_authentication", [True, False])
def test_a_code_to_be_copied_is_short(is_authentication: bool) -> None:
    if is_authentication:
        read, key = form({"type": "BODY", "text": "*{{1}}* é o código."}, category="AUTHENTICATION"), "body.1"
    else:
        read, key = form(*with_button({"type": "COPY_CODE", "example": "VERAO10"})), "button.0"
    assert check(read, {key: "0" * 15}) == {key: "0" * 15}
    with pytest.raises(NotFilled) as refused:
        check(read, {key: "0" * 16})
    assert "15 characters at most; this has 16" in refused.value.problems[key]


def test_what_is_longest_and_fits_goes_out() -> None:
    read = form(BODY)
    around = len(said(read, {"body.1": "", "body.2": "7"}))
    assert check(read, {"body.1": "a" * (1_024 - around), "body.2": "7"})
    with pytest.raises(NotFilled):
        check(read, {"body.1": "a" * (1_025 - around), "body.2": "7"})
    assert check(read, {"body.1": "a    b", "body.2": "7", "nobody.asked": "x"}) == {"body.1": "a    b", "body.2": "7"}


@pytest.mark.parametrize("value", ["", "north", "91", "nan", "1_0", "٣٨", "1e1", "38,7"])
def test_a_place_on_earth_has_degrees(value: str) -> None:
    read = form({"type": "HEADER", "format": "LOCATION"}, {"type": "BODY", "text": "Here"})
    with pytest.raises(NotFilled) as refused:
        check(read, {"header.latitude": value, "header.longitude": "0"})
    assert list(refused.value.problems) == ["header.latitude"]


@pytest.mark.parametrize(
    "component",
    [
        {"type": "CAROUSEL", "cards": []},
        {"type": "LIMITED_TIME_OFFER"},
        {"type": "HEADER", "format": "HOLOGRAM"},
        {"type": "BUTTONS", "buttons": [{"type": "CATALOG", "text": "See"}]},
        {},
    ],
)
def test_a_part_that_cannot_be_filled_in_here_is_told(component: dict[str, Any]) -> None:
    assert "WhatsApp Manager" in form(BODY, component).why_not
    assert form(BODY).why_not == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8) | st.sampled_from(["BODY", "{{1}}", "IMAGE"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "text", "format", "buttons", "example", "url", "body_text"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_meta_lists_makes_a_form(told: Any) -> None:
    read = form_of(msgspec.json.encode(told))
    values = {each.key: "1" for each in read.fields}
    assert isinstance(fill(read, values), list)
    assert isinstance(said(read, values), str)
