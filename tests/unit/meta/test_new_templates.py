"""A template that is to be made: what is refused at which field, and what Meta is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from coexist.meta.new_templates import NewTemplate, body_of, can_copy, check
from coexist.meta.templates import NotFilled

NEW = NewTemplate("order_ready_2", "pt_PT", "UTILITY", "Olá {{1}}, o pedido {{2}} está pronto.",
                  examples={"body.1": "Ana", "body.2": "7", "header.1": "7"})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Order Ready"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a" * 513}, "name"),
        ({"language": "Portuguese"}, "language"),
        ({"category": "AUTHENTICATION"}, "category"),
        ({"header": "a" * 61}, "header"),
        ({"header": "{{1}} and {{2}}", "examples": {**(NEW.examples or {}), "header.2": "x"}}, "header"),
        ({"header": "two\nlines"}, "header"),
        ({"header": "Order {{number}}", "examples": {**(NEW.examples or {}), "header.number": "7"}}, "header"),
        ({"body": " "}, "body"),
        ({"body": "a" * 1_025}, "body"),
        ({"body": "{{1}}, o pedido {{2}} está pronto."}, "body"),
        ({"body": "Olá {{1}}, o pedido {{2}}"}, "body"),
        ({"body": "Olá {{1}} {{2}} está pronto."}, "body"),
        ({"body": "Olá {{1}}, o pedido {{3}} está.", "examples": {"body.1": "a", "body.3": "b"}}, "body"),
        ({"body": "Olá {{1}}, o pedido {{name}} está.", "examples": {"body.1": "a", "body.name": "b"}}, "body"),
        ({"body": "Olá {{FirstName}}!", "examples": {"body.FirstName": "Ana"}}, "body"),
        ({"body": "Olá {{endereço}}!", "examples": {"body.endereço": "Rua 1"}}, "body"),
        ({"body": "Olá {{١}}!", "examples": {"body.١": "Ana"}}, "body"),
        ({"footer": "a" * 61}, "footer"),
        ({"footer": "Até {{1}}"}, "footer"),
        ({"examples": {"body.1": "Ana", "body.2": " "}}, "body.2"),
    ],
)
def test_what_meta_would_refuse_is_told_at_its_field(change: dict[str, Any], field: str) -> None:
    check(NEW)
    with pytest.raises(NotFilled) as refused:
        check(replace(NEW, **change))
    assert list(refused.value.problems) == [field]


def test_a_template_is_asked_for_as_meta_wants_it() -> None:
    check(replace(NEW, header="Pedido {{1}}", footer="Obrigado"))
    assert body_of(replace(NEW, header="Pedido {{1}}", footer="Obrigado")) == {
        "name": "order_ready_2",
        "language": "pt_PT",
        "category": "UTILITY",
        "parameter_format": "POSITIONAL",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Pedido {{1}}", "example": {"header_text": ["7"]}},
            {"type": "BODY", "text": NEW.body, "example": {"body_text": [["Ana", "7"]]}},
            {"type": "FOOTER", "text": "Obrigado"},
        ],
    }


def test_places_may_have_names() -> None:
    new = replace(NEW, body="Olá {{first_name}}!", examples={"body.first_name": "Ana"})
    check(new)
    told = body_of(new)
    assert told["parameter_format"] == "NAMED"
    example = {"body_text_named_params": [{"param_name": "first_name", "example": "Ana"}]}
    assert told["components"] == [{"type": "BODY", "text": "Olá {{first_name}}!", "example": example}]


def test_a_copy_takes_its_buttons_along_and_no_picture() -> None:
    buttons = {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Sim"}]}
    header = {"type": "HEADER", "format": "TEXT", "text": "Old"}
    original = msgspec.json.encode([header, {"type": "BODY", "text": "Old"}, buttons]).decode()
    assert can_copy("UTILITY", original) == ""
    assert body_of(NEW, original)["components"][-1] == buttons
    picture = msgspec.json.encode([{"type": "HEADER", "format": "IMAGE"}]).decode()
    assert "image" in can_copy("UTILITY", picture)
    with pytest.raises(NotFilled):
        body_of(NEW, picture)
    assert can_copy("AUTHENTICATION", original) != ""


@pytest.mark.parametrize("odd", ["null", "7", "[null]", "[7]", "[{}]", '[{"type": null}]', '[{"format": null}]'])
def test_whatever_meta_lists_can_be_asked_whether_it_can_be_copied(odd: str) -> None:
    assert "WhatsApp Manager" in can_copy("UTILITY", odd)
