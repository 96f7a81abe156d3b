"""Pages whose data change on the way, kept by one of Django's caches or by none."""

from django.conf import settings
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from django.views.decorators.cache import cache_page, never_cache
from gatepost import Everyone, notify

COUNT = settings.FOLDER / "count"

PAGE = """{% load gatepost cache %}<!doctype html><title>seam</title>
{% if fragment %}{% cache 300 seam %}HEAD{% endcache %}{% else %}HEAD{% endif %}
<script>
  window.got = [];
  const position = document.querySelector("meta[name=gatepost]").content;
  const ws = new WebSocket(`wss://${location.host}/ws/notifications/?position=${position}`);
  ws.onmessage = (event) => window.got.push(JSON.parse(event.data));
</script>""".replace("HEAD", '{% gatepost %}<p id="count">{{ count }}</p>')


def count():
    """What the pages show."""
    return int(COUNT.read_text()) if COUNT.exists() else 0


def page(request, *, fragment=False):
    """Shows the count, and goes on with what is published since."""
    template = engines["django"].from_string(PAGE)
    shown = count() if not fragment else _Late()
    return HttpResponse(template.render({"count": shown, "fragment": fragment}, request))


class _Late:
    """The count at the moment in which the template, or its fragment, is rendered."""

    def __str__(self):
        return str(count())


@never_cache
def bump(request):
    """Counts one up, and says so."""
    now = count() + 1
    # In one step, so that no page sees half of it.
    new = COUNT.with_suffix(".new")
    new.write_text(str(now))
    new.replace(COUNT)
    notify(Everyone, {"n": now})
    return HttpResponse(str(now))


urlpatterns = [
    path("plain/", page),
    path("view/", cache_page(300)(page)),
    path("fragment/", page, {"fragment": True}),
    path("bump/", bump),
]
