"""``stream``: a view ends its work, and the gateway goes on with the response.

The view's own permission check is the grant. ``middleware`` calls :func:`finish`, since what leaves
is signed for the request that it answers: a description as JSON, which the gateway takes in.
Whether a gateway is in front is known where the view calls ``stream``, because only then the
middleware collects what the request publishes.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers

from gatepost import conf
from gatepost.answering import identity, questions
from gatepost.answering.answers import answer
from gatepost.answering.listening import moment, topic_names
from gatepost.sending import frames, piggyback
from gatepost.sending.calls import encode
from gatepost.sending.frames import Text
from gatepost.signing import trust
from gatepost.signing.digest import session_digest
from gatepost.signing.topics import mac

HEADER = "Gatepost-Stream"

#: The gateway takes a description of so many bytes; the rest is for the identity.
LARGEST_DESCRIPTION = 1024 * 1024
_FOR_IDENTITY = 128 * 1024

#: What a stream may be made of, and what clients call it.
FORMS: Final = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}

_NO_GATEWAY = (
    "This response is a stream, which Gatepost goes on with; but the request did not come through"
    " it. Open the page at the gateway's address (and let GatepostMiddleware be the first of"
    " MIDDLEWARE).\n"
)


class Stream(HttpResponse):
    """What :func:`stream` returns: by itself nothing that a browser could use."""

    def __init__(
        self, topics: list[str], first: list[dict[str, Any]], expires: int | None, form: str | None
    ) -> None:
        in_front = piggyback.is_collecting()
        super().__init__(
            b"" if in_front else _NO_GATEWAY,
            status=200 if in_front else 501,
            content_type="application/json" if in_front else "text/plain; charset=utf-8",
        )
        self["Content-Encoding"] = "identity"  # So that no middleware compresses it.
        add_never_cache_headers(self)
        #: The names of the topics that it hears.
        self.topics = topics
        #: What is sent first, as the gateway takes it.
        self.first = first
        #: When it ends, as unix seconds.
        self.expires = expires
        self.form = form


def stream(
    *topics: Any,
    first: Iterable[Any] = (),
    expires: datetime | timedelta | float | None = None,
    form: str | None = None,
) -> Stream:
    """Hand the response over to the gateway, which sends on it what topics hear.

    ``first`` are frames, or ``Text(…)``, that come before all else. It ends at ``expires`` (a
    moment, or as long from now), with the session, by a revocation, or behind
    ``notify(…, end=True)``. ``form`` is "sse" or "ndjson"; without it the request's ``Accept``
    says. Without the gateway in front the answer is 501.
    """
    if form is not None and form not in FORMS:
        raise ValueError(f"form is one of {', '.join(map(repr, FORMS))}, not {form!r}")
    said = _first(first)
    names = topic_names(topics)
    size = len(encode([names, said]).encode())
    if size > LARGEST_DESCRIPTION - _FOR_IDENTITY:
        raise ValueError(
            f"what a stream begins with has {size} bytes, and"
            f" {LARGEST_DESCRIPTION - _FOR_IDENTITY} are allowed: let the page fetch it"
        )
    return Stream(names, said, moment(expires), form)


def _first(given: Iterable[Any]) -> list[dict[str, Any]]:
    if isinstance(given, str | bytes | dict | Text):
        raise TypeError(f"first takes a list of frames and texts, not {type(given).__name__}")
    said: list[dict[str, Any]] = []
    for one in given:
        if isinstance(one, Text):
            event = {"event": one.event} if one.event is not None else {}
            said.append({"text": one.text, **event})
        else:
            frames.frame(one)  # What is wrong with it is wrong here.
            said.append({"frame": one})
    return said


def finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Describe and sign a stream for the request that it answers; return others as they are."""
    if not isinstance(response, Stream) or response.status_code != 200:
        return response
    if request.method not in ("GET", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    body = encode(_description(request, response)).encode()
    response.content = body
    response["Content-Length"] = str(len(body))
    lines = (str(request.method), trust.target(request), request.headers.get("X-Request-ID", ""))
    digest = hashlib.sha256(body).hexdigest()
    response[HEADER] = f"v1,{mac(conf.secret(), 'gatepost-stream', *lines, digest)}"
    return response


def _description(request: HttpRequest, response: Stream) -> dict[str, Any]:
    cookie = identity.cookie_after(request, response)
    return {
        **answer(questions.login_of(request), frames=False),
        "session": session_digest(conf.secret(), cookie) if cookie else None,
        "topics": response.topics,
        "topics_expire": response.expires,
        "form": response.form or _form(request),
        "first": response.first,
    }


def _form(request: HttpRequest) -> str:
    """Return what a client asks for: the first form that its ``Accept`` names."""
    for accepted in request.accepted_types:
        for form, media_type in FORMS.items():
            if str(accepted).partition(";")[0].strip() == media_type:
                return form
    return next(iter(FORMS))
