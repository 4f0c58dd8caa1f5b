"""The bubble of a template: its buttons as the customer sees them, and what can be done when it was not sent."""

from __future__ import annotations

from typing import Any

import pytest

from coexist.meta import templates as forms
from coexist.meta.filled_templates import values_of
from coexist.meta.model import STATUS_RANK
from coexist.web.sent_templates import sent_template_of
from coexist.web.template_words import preview_of
from tests.support.templates import listed
from tests.web.test_bubbles import html_of, ours, shown

BUTTONS: list[dict[str, Any]] = [
    {"type": "QUICK_REPLY", "text": "Confirmo"},
    {"type": "URL", "text": "Ver", "url": "https://otica.example.com/m/8842"},
    {"type": "PHONE_NUMBER", "text": "Ligar", "phone": "+351210559000"},
    {"type": "COPY_CODE", "text": "Copiar código", "code": "INVERNO20"},
    {"type": "URL", "text": "<b>", "url": "javascript:alert(1)"},
]


def sent(code: int | None = None, *, type_: str = "template", by_status: bool = False, **template: Any) -> Any:
    """A message with a template; one that failed with ``code``, in the answer or by a status."""
    content = {"template": {"name": "order_ready", "language": "pt_PT", "buttons": BUTTONS, **template}}
    told: dict[str, Any] = {"status": STATUS_RANK["delivered"], "outbox_state": "accepted"}
    if code is not None:
        told = {"status": STATUS_RANK["failed"], "errors": [{"code": code, "title": "As told"}]}
        told |= {"outbox_state": "accepted"} if by_status else {"outbox_state": "failed", "wamid": None}
    return ours(type=type_, text="Olá Rui", content=content, **told)


def test_the_buttons_stand_below_the_text_and_only_addresses_are_links() -> None:
    html = html_of(sent())
    assert html.index("Olá Rui") < html.index("Confirmo")
    assert '<a href="https://otica.example.com/m/8842" target="_blank"' in html
    assert html.count("<a ") == 1
    for words in ("Confirmo", "+351210559000", "INVERNO20", "&lt;b&gt;"):
        assert words in html
    assert '<span title="order_ready, Portuguese (PT)">template</span>' in html


@pytest.mark.parametrize(
    "content",
    [
        None, {}, {"template": 5}, {"template": {}}, {"template": {"name": 1}},
        {"template": {"name": "x", "language": 7, "buttons": {"a": 1}, "file": [1]}},
        {"template": {"name": "x", "buttons": [None, {"type": 3, "text": 4, "url": 5}]}},
    ],
)  # fmt: skip
def test_content_of_another_shape_breaks_nothing(content: Any) -> None:
    assert "Olá" in html_of(ours(type="template", text="Olá", content=content))


def test_a_file_is_named_until_meta_has_it() -> None:
    one = sent(file={"media_id": "1", "mime_type": "image/png", "file_name": "offer.png"})
    template = sent_template_of(one)
    assert template is not None
    assert template.head == ("image", "offer.png")
    assert "offer.png" in html_of(one)


def test_the_place_at_the_head_is_named() -> None:
    place = {"latitude": "38.71", "longitude": "-9.14", "name": "Ótica <Duarte>"}
    page = html_of(sent(place=place))
    assert "Ótica &lt;Duarte&gt;" in page
    assert "38.71, -9.14" in html_of(sent(place={"latitude": "38.71", "longitude": "-9.14"}))


@pytest.mark.parametrize("by_status", [False, True])
@pytest.mark.parametrize(
    ("code", "may_retry", "has_copy"),
    [
        (132000, False, False), (132001, True, False), (132005, False, False), (132012, False, False),
        (132015, True, False), (132016, False, True), (132018, False, False),
    ],
)  # fmt: skip
def test_what_a_template_failed_with_leads_back_to_it(
    code: int, may_retry: bool, has_copy: bool, by_status: bool
) -> None:
    one = sent(code, by_status=by_status)
    problem = shown(one).problem
    assert problem is not None
    assert problem.can_retry is may_retry
    html = html_of(one)
    assert 'hx-get="/conversations/3/templates?again=7"' in html
    assert "Choose the template again" in html
    assert ('href="/inboxes/1/templates"' in html) is has_copy
    assert ("> Retry</button>" in html) is may_retry


@pytest.mark.requirement("E10")
def test_what_was_not_sent_for_its_template_leads_back_to_it() -> None:
    """Nobody at Meta has refused it: the template had other words by then, or its file was gone."""
    errors = [{"code": None, "title": "This template was changed at WhatsApp."}]
    failed = {"status": STATUS_RANK["failed"], "outbox_state": "failed", "wamid": None, "errors": errors}
    content = {"template": {"name": "order_ready", "language": "pt_PT"}}
    page = html_of(ours(type="template", text="Olá", content=content, **failed))
    assert "Choose the template again" in page
    assert f"/templates?again={ours().id}" in page
    assert "Choose" not in html_of(ours(text="Olá", **failed))


@pytest.mark.parametrize("by_status", [False, True])
def test_what_came_too_late_leads_to_the_templates(by_status: bool) -> None:
    html = html_of(sent(131047, type_="text", by_status=by_status))
    assert 'hx-get="/conversations/3/templates" hx-target="#picker"' in html
    assert "Choose a template</a>" in html


@pytest.mark.parametrize("code", [131026, 131049, 132012])
def test_other_failures_of_a_text_lead_to_no_template(code: int) -> None:
    assert "/templates" not in html_of(sent(code, type_="text"))


# ── the text as it will be read ───────────────────────────────────────────────────────────────────────────


def form(**told: Any) -> forms.Form:
    one = listed(**told)
    return forms.form_of(bytes(one.components), category=one.category, parameter_format=one.parameter_format)


def test_a_preview_keeps_emphasis_around_places_and_is_safe() -> None:
    text = "*Olá {{1}}*, <i>veja</i> https://x.example.com/{{2}}?a=1 \ue000"
    preview = preview_of(form(components=[{"type": "BODY", "text": text}]), {"body.1": "<b>Rui</b>"})
    assert "<b>Olá <span" in preview.body
    assert ">&lt;b&gt;Rui&lt;/b&gt;</span></b>" in preview.body
    assert "&lt;i&gt;veja" in preview.body
    assert "<a " not in preview.body
    assert 'data-place="body.2" data-label="Value 2" class="slot is-open">Value 2</span>?a=1' in preview.body
    assert preview.body.count("<span") == 2


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"components": [{"type": "BODY", "text": "Sem nada"}]},
        {
            "parameter_format": "NAMED",
            "components": [
                {"type": "HEADER", "format": "TEXT", "text": "Para {{name}}"},
                {"type": "BODY", "text": "Olá {{name}}, até {{day}}"},
                {
                    "type": "BUTTONS",
                    "buttons": [
                        {"type": "QUICK_REPLY", "text": "Sim"},
                        {"type": "URL", "text": "Ver", "url": "https://x.example.com/{{1}}"},
                        {"type": "COPY_CODE", "text": "Copiar"},
                    ],
                },
            ],
        },
        {"components": [{"type": "HEADER", "format": "LOCATION"}, {"type": "BODY", "text": "Aqui"}]},
        {
            "category": "AUTHENTICATION",
            "components": [
                {"type": "BODY", "text": "{{1}} é o código."},
                {"type": "BUTTONS", "buttons": [{"type": "OTP", "text": "Copiar"}]},
            ],
        },
    ],
)
def test_what_was_filled_in_is_read_again(told: Any) -> None:
    made = form(**told)
    values = {each.key: "12" if each.takes is forms.Takes.NUMBER else f"of {each.key}" for each in made.fields}
    assert values_of(made, forms.fill(made, values)) == values
    assert values_of(form(components=[{"type": "BODY", "text": "Outro"}]), forms.fill(made, values)) == {}


def test_files_are_left_out_of_what_was_filled_in() -> None:
    made = form(components=[{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Olá {{1}}"}])
    assert values_of(made, forms.fill(made, {"header.file": "808", "body.1": "Rui"})) == {"body.1": "Rui"}
    assert values_of(made, None) == {}
