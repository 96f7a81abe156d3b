"""``{% load gatepost %}``: ``{% topics order "news" %}`` and ``{% gatepost %}``.

The first is ``topic_token`` for templates. The second hands the page the position of its data:
what is published after the page was rendered, and before its socket is open, is then not missed.
A page that a cache keeps, keeps its position, which has to be older than its data and is. Where the
data stand in a ``{% cache %}`` fragment, the tag belongs into that fragment.
"""

from typing import Any

from django import template
from django.utils.html import format_html

from gatepost.answering import caching
from gatepost.answering.topic_tokens import topic_token

register = template.Library()

#: What no gateway takes for a position of its own: a page that names it is told to fetch its data.
_UNKNOWN = "unknown.0"


@register.simple_tag(takes_context=True)
def topics(
    context: template.Context, *objects: Any, within: str | None = None, public: bool = False
) -> str:
    """Write a token for objects and free names, or keep it: ``{% topics order as token %}``."""
    return topic_token(_request(context, "topics"), *objects, within=within, public=public)


@register.simple_tag(takes_context=True)
def gatepost(context: template.Context) -> str:
    """Write ``<meta name="gatepost" content="…">``."""
    request = _request(context, "gatepost")
    position = getattr(getattr(request, "gatepost", None), "position", None)
    if position is None:
        # No gateway is in front. From a cache it would reach those who do come through one; where a
        # fragment is kept all the same, it must not look like a page that misses nothing.
        caching.keep_out_of_django(request)
        position = _UNKNOWN
    return format_html('<meta name="gatepost" content="{}">', position)


def _request(context: template.Context, tag: str) -> Any:
    request = context.get("request") or getattr(context, "request", None)
    if request is None:
        raise template.TemplateSyntaxError(
            f"{{% {tag} %}} needs the request: render the template with render(request, …), or"
            " give it request="
        )
    return request
