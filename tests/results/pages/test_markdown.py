"""Any text as Markdown: what a reader of the rendered page sees is the text itself."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from frostline.results.pages.markdown import as_markdown, some_names

ODD = [
    "a|b",
    "<script>alert(1)</script>",
    "<b>bold</b> & &amp;",
    "`code` **bold** _it_ ~~gone~~",
    "[link](javascript:alert(1)) ![picture](x)",
    "\\ backslash \\| \\",
    "# title",
    "- item",
    "-- -",
    "=",
    "שלום",
    "🥭 mango 👩‍🔬",
    "\"double\" and 'single'",
    "key: value",
    "$x$ a@b.example",
]


def shown(markdown: str) -> str:
    """The text that a reader sees of a page, which may hold no element but the paragraph or the table."""
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    assert set(re.findall(r"</?([\w-]+)", page)) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    return html.unescape(re.sub(r"<[^>]+>", "", page)).strip()


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert shown(as_markdown(text)) == text
    assert shown(f"says {as_markdown(text)} so") == f"says {text} so"


@pytest.mark.parametrize("text", ODD)
def test_any_text_stays_in_its_cell_of_a_table(text: str) -> None:
    page = f"| a | b |\n|--|--|\n| {as_markdown(text)} | 1 |"
    assert [line for line in shown(page).splitlines() if line] == ["a", "b", text, "1"]


def test_white_space_and_control_characters() -> None:
    assert as_markdown(" two\r\nlines\u2028and\ta\x00 tab \x1b[0m") == "two lines and a tab \\[0m"
    assert as_markdown("half \udc80") == "half "


def test_names_of_a_sentence() -> None:
    assert some_names(["a|b", "c"]) == "a\\|b, c"
    assert some_names(map(str, range(14))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
