"""``@gatepost.socket``: Django's own view of a socket's path says who may listen there.

The gateway asks it at the handshake, and again from time to time. Its answer is what the auth view
says of the session, and the topics of ``listen``. To anybody else there is nothing at the path.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from gatepost.answering import caching, questions, session_cookie
from gatepost.answering.answers import JSON, answer
from gatepost.answering.listening import Listen
from gatepost.marks import MARK, SocketOptions
from gatepost.signing.gateway_view import detach, exempt

_View = TypeVar("_View", bound=Callable[..., Any])


def socket(view: Any = None, *, anonymous: bool = False) -> Any:
    """Make a view of one that returns ``listen(…)``: it answers the gateway alone.

    Without a login a client is refused (401), unless ``anonymous``. What keeps a user from a page
    (``get_object_or_404``, ``permission_required``, a mixin) keeps them from the socket.
    """
    options = SocketOptions(anonymous=anonymous)
    return _decorated(view, options) if view is not None else lambda one: _decorated(one, options)


def _decorated(view: _View, options: SocketOptions) -> _View:
    made = _asynchronous(view, options) if iscoroutinefunction(view) else _plain(view, options)
    setattr(made, MARK, options)
    return exempt(made)


def _plain(view: Any, options: SocketOptions) -> Any:
    @wraps(view)
    def ask(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = caching.djangos_own(request)
        refused = _refusal(asked, options)
        if refused is not None:
            return refused
        return _answer(asked, view(request, *args, **kwargs))

    return ask


def _asynchronous(view: Any, options: SocketOptions) -> Any:
    @wraps(view)
    async def ask(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = caching.djangos_own(request)
        refused = await sync_to_async(_refusal)(asked, options)
        if refused is not None:
            return refused
        response = await view(request, *args, **kwargs)
        return await sync_to_async(_answer)(asked, response)

    return markcoroutinefunction(ask)


def _refusal(request: HttpRequest, options: SocketOptions) -> HttpResponse | None:
    if not questions.is_question(request):
        raise Http404("only the gateway may ask here")
    questions.make_read_only(request)
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    if questions.login_of(request) is None and not options.anonymous:
        return HttpResponse(status=401)
    return None


def _answer(request: HttpRequest, response: Any) -> HttpResponseBase:
    if not isinstance(response, Listen):
        return _passed_on(response)
    wanted = request.META.get(questions.FRAMES, True)
    said = answer(questions.login_of(request), frames=wanted and response.frames is None)
    if wanted and response.frames is not None:
        said["frames"] = response.frames
    said["topics"] = response.topics
    if response.expires is not None:
        said["topics_expire"] = response.expires
    answered = JsonResponse(said, json_dumps_params=JSON)
    for name, value in response.items():
        if name not in answered:
            answered[name] = value  # What the view's own decorators added.
    add_never_cache_headers(answered)
    patch_vary_headers(answered, ("Cookie",))
    session_cookie.add_to(answered)
    if not hasattr(request, "gatepost"):
        detach(request)  # Without the middleware nothing else removes the cookies.
    return answered


def _passed_on(response: Any) -> HttpResponseBase:
    """Return a refusal of the view's own as it is."""
    if isinstance(response, HttpResponseBase) and not 200 <= response.status_code < 300:
        return response
    raise TypeError(
        f"a view of @gatepost.socket returns gatepost.listen(…), not {type(response).__name__}"
    )
