"""Streams that views hand over, and pages that listen: by hand, with htmx and with Datastar."""

import json
from datetime import timedelta
from pathlib import Path

import gatepost
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

PACKAGES = Path(__file__).parents[2] / "frontend" / "node_modules"
ASSETS = {
    "htmx.js": PACKAGES / "htmx.org" / "dist" / "htmx.min.js",
    "sse.js": PACKAGES / "htmx-ext-sse" / "dist" / "sse.js",
}
PAGES = {
    "plain": """
<p id="progress"></p><p id="over"></p>
<script>
  window.opened = 0;
  const source = new EventSource("../events/");
  source.onopen = () => { window.opened += 1; };
  source.addEventListener("progress", (event) => { progress.innerHTML = event.data; });
  source.addEventListener("close", (event) => {
    over.textContent = event.data;
    source.close();
  });
</script>""",
    "htmx": """
<script src="/api/assets/htmx.js"></script><script src="/api/assets/sse.js"></script>
<div id="stream" hx-ext="sse" sse-connect="../events/" sse-close="close">
  <p id="progress" sse-swap="progress"></p>
</div>
<script>
  window.ends = [];
  document.body.addEventListener("htmx:sseClose", (event) => ends.push(event.detail.type));
</script>""",
    "htmx-open": """
<script src="/api/assets/htmx.js"></script><script src="/api/assets/sse.js"></script>
<div hx-ext="sse" sse-connect="../events/"><p id="progress" sse-swap="progress"></p></div>""",
    "datastar": """
<script type="module" src="/static/datastar.js"></script>
<p id="progress" data-on-load="@get('/api/jobs/JOB/events/?of=datastar')"></p>""",
}


def events(request, job):
    """What a job says, to anybody."""
    if job.endswith("-over"):
        return HttpResponse(status=204)
    first = ("0", "datastar") if request.GET.get("of") == "datastar" else ("0", None)
    return gatepost.stream(f"jobs/{job}", first=[said(*first)])


@login_required
def mine(request, job):
    """The same to who is logged in."""
    return gatepost.stream(f"jobs/{job}", first=[{"of": request.user.get_username()}])


def brief(request, job):
    """The same, a moment at a time: browsers come back again and again."""
    return gatepost.stream(f"jobs/{job}", expires=timedelta(seconds=0.2))


def said(value, client=None):
    """A step of a job, as a client of this kind takes it."""
    if client == "datastar":
        html = f'<p id="progress"><b>{value}</b></p>'
        return gatepost.Text(f"fragments {html}", event="datastar-merge-fragments")
    return gatepost.Text(f"<b>{value}</b>\n", event="progress")


@csrf_exempt
def say(request, job):
    """Publishes what a job says."""
    asked = json.loads(request.body)
    text = said(asked["value"], asked.get("client"))
    options = {"text": text.text, "event": text.event, "end": asked.get("end", False)}
    gatepost.notify(gatepost.Topic(f"jobs/{job}"), **options)
    return JsonResponse({})


def page(request, job, client):
    """A page that listens to a job."""
    return HttpResponse("<!doctype html><title>job</title>" + PAGES[client].replace("JOB", job))


def asset(request, name):
    """A package's file as it is."""
    return FileResponse(ASSETS[name].open("rb"), content_type="text/javascript")
