"""Turns people's Markdown into HTML that is safe to show: guidelines, agreements. Raw HTML never passes.

Headings get anchors, so that a page can link to the rule that matters: `## Flags` is #rule-flags, and a heading in any
language names a rule by `{#flags}` at its end.
"""

from functools import lru_cache
from itertools import pairwise

import nh3
import regex
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
HEADINGS = {"h1", "h2", "h3", "h4"}
NAMED = regex.compile(r"\s*\{#([\w-]+)\}\s*$")
BETWEEN_WORDS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def render(source: str) -> SafeString:
    return _rendered(source)[0]


def anchors(source: str) -> frozenset[str]:
    """The anchors that the headings have."""
    return _rendered(source)[1]


def anchor(name: str) -> str:
    """The anchor of a heading that says `name`. The prefix keeps it apart from the ids of our own pages."""
    return f"rule-{BETWEEN_WORDS.sub('-', name.casefold()).strip('-')}"


@lru_cache(maxsize=64)  # every review card asks which rules there are
def _rendered(source: str) -> tuple[SafeString, frozenset[str]]:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    references: dict[str, object] = {}
    tokens = markdown.parse(source, references)
    given: set[str] = set()
    for opening, text in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag in HEADINGS and (name := _name(text)):
            if name not in given:
                opening.attrSet("id", name)
            given.add(name)
    html = markdown.renderer.render(tokens, markdown.options, references)
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}, **{heading: {"id"} for heading in HEADINGS}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    return mark_safe(clean), frozenset(given)  # noqa: S308 - nh3 has just cleaned it


def _name(heading: Token) -> str:
    """The heading's anchor. A name in braces is taken out of what is shown."""
    if not (pieces := heading.children):
        return ""
    if pieces[-1].type == "text" and (named := NAMED.search(pieces[-1].content)):
        pieces[-1].content = pieces[-1].content[: named.start()]
        return anchor(named[1])
    name = anchor("".join(piece.content for piece in pieces))
    return "" if name == anchor("") else name
