"""The view that gateways pull from.

``gatepost.urls`` includes it where the app is installed. The surprise: a GET that writes. It
numbers what has been committed since the last one; asking twice gives the same items again.
"""

import logging

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from gatepost import conf
from gatepost.outbox.pages import Cursor, PageRequest, page
from gatepost.outbox.pruning import prune_now_and_then
from gatepost.signing.gateway_view import detach, gateway_view, problem, refusal

logger = logging.getLogger("gatepost")

#: The most items of a page.
MOST_ITEMS = 1000

#: Numbers are 64 bits wide.
_LARGEST = 2**63 - 1


@gateway_view
@require_GET
def outbox(request: HttpRequest) -> HttpResponse:
    """Answer what a gateway has not pulled yet."""
    refused = refusal(request, of_many=True)
    if refused is not None:
        return refused
    detach(request)
    asked = _page_request(request)
    if asked is None:
        text = "Ask for after, uid, epoch, limit and size as a gateway does."
        return problem(400, "bad_request", text)
    using = str(conf.value("DATABASE"))
    try:
        said = page(using, asked)
        prune_now_and_then(using)
    except OperationalError as error:
        # Another process writes (SQLite), a deadlock, a database that restarts: the gateway asks
        # again in a moment.
        logger.warning("the transactional outbox cannot be read now: %s", error)
        return problem(503, "database", "The database is busy or cannot be reached.")
    return HttpResponse(said, content_type="application/json")


def _page_request(request: HttpRequest) -> PageRequest | None:
    query = request.GET
    limit, size = _number(query.get("limit", "500")), _number(query.get("size", "262144"))
    if not limit or not size:
        return None
    cursor = None
    if "after" in query:
        after = _number(query["after"])
        if after is None or "epoch" not in query:
            return None
        cursor = Cursor(after, query.get("uid", ""), query["epoch"])
    return PageRequest(cursor, min(limit, MOST_ITEMS), size)


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    number = int(text)
    return number if number <= _LARGEST else None
