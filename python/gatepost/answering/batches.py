"""The view that answers hundreds of questions at once, to the gateway alone.

They are about sessions (two queries for all of them), about sessions and paths (each goes through
the project's own view, see ``in_process``), and about topics that tokens granted (see
``following``). Answering stops when half of the gateway's patience is spent, so that what is known
by then still arrives; the rest is asked again.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, parse_cookie
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from gatepost.answering import following, in_process, resolving, session_cookie
from gatepost.answering.answers import JSON, answer
from gatepost.answering.logins import find_logins
from gatepost.signing.gateway_view import detach, gateway_view, problem, refusal

logger = logging.getLogger("gatepost")

#: How many sessions, with and without a path, one question may be about; and how many topics.
MOST_SESSIONS = 500
MOST_TOPICS = 500

#: How many seconds the gateway waits where it does not say.
PATIENCE = 2.0

_LATER = {"later": True}

_FORM = (
    'The body must be {"sessions":[Cookie headers, or {"cookie":…,"path":…}]}, at most'
    f' {MOST_SESSIONS}, perhaps with "topics":[{{"topic":…,"users":[…]}}], at most {MOST_TOPICS}.'
)


@dataclass(frozen=True)
class _Pair:
    cookie: str
    path: str


@dataclass(frozen=True)
class _Followed:
    topic: str
    users: list[str]


@dataclass(frozen=True)
class _Question:
    sessions: list[str | _Pair]
    frames: bool = True
    timeout: float = PATIENCE
    #: None: the question has no such member.
    topics: list[_Followed] | None = None
    since: float = field(default_factory=time.monotonic)

    def is_late(self) -> bool:
        return time.monotonic() - self.since > self.timeout / 2


@csrf_exempt
@gateway_view
@require_POST
def sessions(request: HttpRequest) -> HttpResponse:
    """Answer the questions of a batch."""
    try:
        refused = refusal(request, of_many=True)
    except RequestDataTooBig:
        detach(request)
        return problem(413, "too_large", "Ask for fewer sessions at once.")
    if refused is not None:
        return refused
    detach(request)
    question = _read(request.body)
    if question is None:
        return problem(400, "bad_request", _FORM)
    texts = [one for one in question.sessions if isinstance(one, str)]
    if not resolving.is_by_session() and (texts or (not question.sessions and not question.topics)):
        text = "GATEPOST['USER_RESOLVER'] needs a request for each session: ask one by one."
        return problem(501, "not_in_batches", text)
    said: dict[str, Any] = {"sessions": _sessions(request, question, texts)}
    if question.topics is not None:
        said["topics"] = _in_time(question, question.topics, _followed)
    response = JsonResponse(said, json_dumps_params=JSON)
    session_cookie.add_to(response)
    return response


def _sessions(request: HttpRequest, question: _Question, texts: list[str]) -> list[Any]:
    """Return the answers to what was asked about sessions, in order."""
    by_text = iter(_answers([_session_key(one) for one in texts], question.frames))
    pairs = [one for one in question.sessions if isinstance(one, _Pair)]
    by_pair = iter(_by_paths(request, question, pairs))
    return [next(by_text if isinstance(one, str) else by_pair) for one in question.sessions]


def _by_paths(request: HttpRequest, question: _Question, pairs: list[_Pair]) -> list[Any]:
    if not pairs:
        return []
    with in_process.asking(request, frames=question.frames) as ask:
        return _in_time(question, pairs, lambda pair: ask(pair.cookie, pair.path))


def _in_time(question: _Question, items: Iterable[Any], say: Callable[[Any], Any]) -> list[Any]:
    return [_LATER if question.is_late() else say(one) for one in items]


def _followed(one: _Followed) -> Any:
    try:
        users = following.who_may(one.topic, one.users)
    except Exception:
        logger.exception("cannot say who may still listen to %s", one.topic)
        return None
    return {"users": users} if users is not None else {"listed": False}


def _answers(keys: list[str | None], frames: bool) -> list[dict[str, Any] | None]:
    """Return an answer for each session; None where the project's code failed over it.

    The gateway asks about that one alone, and the others still get their answers.
    """
    if not keys:
        return []
    try:
        return [answer(login, frames=frames) for login in find_logins(keys)]
    except (OperationalError, InterfaceError):
        raise  # The database is away, for all of them.
    except Exception:
        if len(keys) == 1:
            logger.exception("cannot say whose a session is")
            return [None]
        half = len(keys) // 2
        return _answers(keys[:half], frames) + _answers(keys[half:], frames)


def _session_key(cookies: str) -> str | None:
    return parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)


# What is asked


def _read(body: bytes) -> _Question | None:
    """Return what a body asks; None where it is no question."""
    try:
        said: Any = json.loads(body)
        timeout = said.get("timeout")
        return _Question(
            [_session(one) for one in _listed(said["sessions"], MOST_SESSIONS)],
            said.get("frames", True) is not False,
            PATIENCE if timeout is None else max(float(timeout), 0),
            _topics(said["topics"]) if "topics" in said else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _listed(said: Any, most: int) -> list[Any]:
    if not isinstance(said, list) or len(said) > most:
        raise ValueError
    return said


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError
    return said


def _session(said: Any) -> str | _Pair:
    if isinstance(said, str):
        return said
    pair = _Pair(_text(said["cookie"]), _text(said["path"]))
    if not in_process.is_path(pair.path):
        raise ValueError
    return pair


def _topics(said: Any) -> list[_Followed]:
    return [
        _Followed(_text(one["topic"]), [_text(user) for user in _listed(one["users"], 10_000)])
        for one in _listed(said, MOST_TOPICS)
    ]
