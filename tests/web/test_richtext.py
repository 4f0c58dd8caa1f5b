"""Stored text is hostile: whatever it is, only links, emphasis and code come out as HTML."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.web.richtext import marked, plain, rich

ALLOWED = {"a", "b", "i", "s", "code"}
PIECES = (
    *"<>&\"'*_~`() .\n\0aéש\u202e",
    *("```", "http://", "https://x.example/", "javascript:", "www.", "<script>", "</b>", "onload=", "<hx-partial>"),
)


class Seen(HTMLParser):
    """Collects tags, attributes and the text that a browser would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    parser.close()
    return parser


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join))
def test_nothing_but_links_and_emphasis_comes_out(text: str) -> None:
    html = seen(str(rich(text)))
    for tag, attributes in html.tags:
        assert tag in ALLOWED
        if tag != "a":
            assert not attributes
            continue
        assert set(attributes) == {"href", "target", "rel"}
        assert urlsplit(attributes["href"] or "").scheme.lower() in ("http", "https")
        assert "noreferrer" in (attributes["rel"] or "")


@given(st.text(alphabet="ab <>&\"'\n", max_size=60))
def test_plain_text_is_shown_letter_by_letter(text: str) -> None:
    assert seen(str(rich(text))).text == text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* and _italic_ and ~gone~", "<b>bold</b> and <i>italic</i> and <s>gone</s>"),
        ("2*3*4 snake_case_name a~b~c", "2*3*4 snake_case_name a~b~c"),
        ("* not bold*", "* not bold*"),
        ("```x < *y*```", "<code>x &lt; *y*</code>"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
    ],
)
def test_emphasis_is_whatsapps(text: str, html: str) -> None:
    assert str(rich(text)) == html


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("see https://example.com/a?b=1&c=2.", "https://example.com/a?b=1&c=2"),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("www.example.com, please", "https://www.example.com"),
        ('https://example.com/"onmouseover=x', "https://example.com/"),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM"),
    ],
)
def test_links_end_where_the_address_ends(text: str, href: str) -> None:
    (link,) = seen(str(rich(text))).tags
    assert link[1]["href"] == href


@pytest.mark.parametrize("text", ["javascript:alert(1)", "data:text/html,x", "ftp://x.example", "mail@www.example.com"])
def test_other_schemes_are_never_links(text: str) -> None:
    assert seen(str(rich(text))).tags == []


@pytest.mark.parametrize("text", ["http://0[", "http://[x", "see http:///a", "https://x\u2100.example/", "http://@:"])
def test_what_names_no_place_is_text(text: str) -> None:
    html = seen(str(rich(text)))
    assert (html.tags, html.text) == ([], text)


def test_a_link_after_what_is_none_is_one() -> None:
    html = seen(str(rich("*a* http://0[ https://x.example *b*")))
    assert [tag for tag, _ in html.tags] == ["b", "a", "b"]
    assert html.text == "a http://0[ https://x.example b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*Oi* _tudo_ ~mal~ bem, ```código```", "Oi tudo mal bem, código"),
        ("2*3*4 e https://x.example/_a_ *sim*", "2*3*4 e https://x.example/_a_ sim"),
        ("<b>", "<b>"),
    ],
)
def test_a_line_shows_no_signs_of_emphasis(text: str, said: str) -> None:
    assert plain(text) == said


def test_a_snippet_is_escaped_and_marks_what_was_asked() -> None:
    html = str(marked("a" * 100 + "<i>Óculos</i>" + "b" * 200, "<I>óculos"))
    assert "<mark>&lt;i&gt;Óculos</mark>" in html
    assert html.startswith("…")
    assert html.endswith("…")


def test_long_and_odd_texts_take_no_time() -> None:
    for text in ("*" * 60_000, "*a " * 20_000, "http://" * 9_000, "`" * 60_000, "(" * 60_000):
        rich(text)
        plain(text)
