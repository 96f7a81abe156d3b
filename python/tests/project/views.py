from django.contrib.auth import logout
from django.http import HttpResponse

from gatepost import Everyone, notify


def home(request):
    return HttpResponse(str(request.user))


def notify_then_fail(request):
    """Says something to everyone, and fails where the query asks for it."""
    notify(Everyone, {"type": "notification"})
    if "fail" in request.GET:
        raise RuntimeError("after notify")
    return HttpResponse("sent")


def log_out(request):
    logout(request)
    return HttpResponse("bye")
