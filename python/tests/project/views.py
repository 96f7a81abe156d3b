from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.middleware.security import SecurityMiddleware
from django.utils.decorators import decorator_from_middleware

from gatepost import Everyone, notify


def home(request):
    return HttpResponse(str(request.user))


def notify_then_fail(request):
    """Says something to everyone, and fails where the query asks for it."""
    notify(Everyone, {"type": "notification"})
    if "fail" in request.GET:
        raise RuntimeError("after notify")
    return HttpResponse("sent")


def seen(request):
    """Says what Django takes a request for; a POST gets so far only past the CSRF check."""
    said = {
        "secure": request.is_secure(),
        "url": request.build_absolute_uri("/"),
        "address": request.META.get("REMOTE_ADDR"),
        "trusted": request.gatepost.trusted,
        "posted": request.POST.get("x"),
    }
    notify(Everyone, said)
    return JsonResponse(said)


class HttpsOnly(SecurityMiddleware):
    """SECURE_SSL_REDIRECT, for one view."""

    def __init__(self, get_response):
        super().__init__(get_response)
        self.redirect = True


@decorator_from_middleware(HttpsOnly)
@login_required
def members(request):
    return HttpResponse("welcome")


def log_out(request):
    logout(request)
    return HttpResponse("bye")
