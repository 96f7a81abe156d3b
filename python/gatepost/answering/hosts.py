"""The view that says which further names the gateway may have certificates for.

The gateway asks where ``[tls.acme] names = "django"``, once for each name that a client asks for,
and again when the name's certificate is to be renewed. The answers: 204 yes, 404 no; whatever else
comes of it (an exception, a refused signature) is neither, and the gateway asks again later.
"""

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from gatepost import conf
from gatepost.signing.gateway_view import detach, gateway_view, problem, refusal

#: What is answered where the project does not say; the gateway's log quotes it.
UNSAID = (
    "GATEPOST['HOSTS'] is not set, so no name is allowed: let it be a function, or its dotted path,"
    " that is given a name and returns whether it is one of this site's"
)


@gateway_view
@require_GET
def hosts(request: HttpRequest) -> HttpResponse:
    """Answer whether a name is one of this site's, to the gateway alone."""
    refused = refusal(request)
    if refused is not None:
        return refused
    detach(request)
    name = request.GET.get("name", "").lower()
    if not name:
        return problem(400, "bad_request", "Ask for a name as a gateway does: ?name=shop.example")
    is_allowed = conf.function("HOSTS")
    if is_allowed is None:
        return problem(404, "hosts_not_set", UNSAID)
    if iscoroutinefunction(is_allowed):
        # What it returns is true, whatever it would say.
        raise ImproperlyConfigured("GATEPOST['HOSTS'] must be a plain function, no coroutine")
    if is_allowed(name):
        return HttpResponse(status=204)
    return problem(404, "not_allowed", "GATEPOST['HOSTS'] does not allow this name.")
