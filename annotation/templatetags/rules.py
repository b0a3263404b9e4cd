"""Links from the review card to the rule that matters: to the heading of the guidelines that names it."""

from typing import Any

from django import template
from django.urls import reverse

from xinstruct_site.people import markdown
from xinstruct_site.people.models import Language

register = template.Library()


@register.inclusion_tag("annotation/rule_link.html", takes_context=True)
def rule_link(context: dict[str, Any], name: str, label: str = "") -> dict[str, str]:
    """A link to the rule of this name, or nothing where the guidelines have none. `rating_text` is the rule `text`."""
    language: Language = context["language"]
    anchor = markdown.anchor(name.removeprefix("rating_"))
    if not language.guidelines or anchor not in markdown.anchors(language.guidelines):
        return {}
    return {"address": f"{reverse('guidelines', args=[language.code])}#{anchor}", "label": label}
