"""The auth view that a project writes itself, a page that shows its socket, and one that writes."""

from django.contrib.auth import logout
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect

PAGE = """<!doctype html><title>page</title>
<p id="socket" data-phase="connecting">The socket of this page</p>
<script>
  const shown = document.querySelector("#socket").dataset;
  const ws = new WebSocket(`wss://${location.host}/ws/notifications/`);
  ws.onopen = () => { shown.phase = "open"; };
  ws.onclose = (event) => {
    Object.assign(shown, { phase: "closed", code: event.code, reason: event.reason });
  };
</script>"""


def whoami(request):
    """All that Gatepost needs of a project."""
    user = request.user
    return JsonResponse({"user": str(user.pk) if user.is_authenticated else None})


def page(request):
    """A page with a socket."""
    return HttpResponse(PAGE)


def write(request):
    """Writes the session; with signed cookies that is a new cookie."""
    request.session["writes"] = request.session.get("writes", 0) + 1
    return HttpResponse(str(request.session["writes"]))


def end_soon(request):
    """Lets the session end in three seconds, as "log me out soon" does."""
    request.session.set_expiry(3)
    return HttpResponse("soon")


def namesake(request):
    """Sets or deletes another cookie of the session cookie's name, as sites do that moved it."""
    response = HttpResponse(request.user.username)
    where = {"path": request.GET["path"]}
    if value := request.GET.get("value"):
        response.set_cookie("sessionid", value, **where)
    else:
        response.delete_cookie("sessionid", **where)
    return response


def leave(request):
    """Logs out by a plain link, and goes on to another page."""
    logout(request)
    return redirect("/bye/")


def bye(request):
    """Where a logout leads."""
    return HttpResponse("<!doctype html><title>bye</title><h1>You have left</h1>")
