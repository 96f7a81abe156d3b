"""The view that says who a session is; ``batches`` has the one for hundreds of them.

The gateway asks with the browsers' cookies. Both only read: see ``logins``, and
``signing.gateway_view`` for what keeps the middlewares around them from writing.
"""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from gatepost.answering import resolving, session_cookie
from gatepost.answering.answers import JSON, answer
from gatepost.signing.gateway_view import gateway_view, refusal


@gateway_view
@require_GET
def auth(request: HttpRequest) -> HttpResponse:
    """Answer whose session the request carries, to the gateway alone."""
    refused = refusal(request)
    if refused is not None:
        return refused
    login = resolving.resolve(request)
    if login is not None:
        request.user = login.user
    response = JsonResponse(answer(login), json_dumps_params=JSON)
    # Were a cache between us to ignore no-store, it must not give one user's answer to another.
    response["Vary"] = "Cookie"
    session_cookie.add_to(response)
    return response
