"""What Django sees of a request, and bodies to compare by hash."""

import hashlib
import select
import time
from pathlib import Path

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page
from gatepost import Everyone, notify

CHUNK = 64 * 1024


def request_as_seen(request):
    """The request's headers as WSGI has them, and what Django concludes from them."""
    return JsonResponse(
        {
            "meta": {
                name: value for name, value in request.META.items() if name.startswith("HTTP_")
            },
            "remote_addr": request.META["REMOTE_ADDR"],
            "host": request.get_host(),
            "secure": request.is_secure(),
            "cookies": request.COOKIES,
        }
    )


@csrf_exempt
def upload(request):
    """Hash and size of the request's body, and the length that WSGI was told."""
    digest, size = hashlib.sha256(), 0
    while chunk := request.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    told = request.META.get("CONTENT_LENGTH", "")
    return JsonResponse({"sha256": digest.hexdigest(), "size": size, "content_length": told})


def content(size):
    """The bytes of a download: anybody can compute them, no two chunks are equal."""
    for start in range(0, size, CHUNK):
        block = hashlib.sha256(str(start).encode()).digest() * (CHUNK // 32)
        yield block[: min(CHUNK, size - start)]


def lines():
    """50 KiB of HTML."""
    return "<!doctype html>\n" + "".join(f"<p>line {n} of {n * n}</p>\n" for n in range(2_000))


@conditional_page
def text(request):
    """A page that nobody in particular gets, with an ETag."""
    return HttpResponse(lines())


@gzip_page
def gzipped(request):
    """The same, compressed by Django."""
    return HttpResponse(lines())


def pieces(request):
    """One piece, and the next as soon as the file `until` is there."""

    def written():
        yield "<p>one</p>"
        while not Path(request.GET["until"]).exists():
            time.sleep(0.02)
        yield "<p>two</p>"

    return StreamingHttpResponse(written())


def download(request):
    """`?size=N`, with a Content-Length (`&length=1`) or streamed without one."""
    size = int(request.GET["size"])
    if request.GET.get("length"):
        return HttpResponse(b"".join(content(size)), content_type="application/octet-stream")
    return StreamingHttpResponse(content(size), content_type="application/octet-stream")


def slow(request):
    """Keeps a worker for 50 ms, and says who asked."""
    time.sleep(0.05)
    return JsonResponse({"user": request.user.get_username()})


def patient(request):
    """Works for `?seconds=`, or until nobody is at the other end: 204 then.

    Looks at its own socket to know, as servers of ASGI do for every view.
    """
    print("begun", flush=True)
    connection = request.META["gunicorn.socket"]
    has_left, _, _ = select.select([connection], [], [], float(request.GET["seconds"]))
    return HttpResponse(status=204 if has_left else 200)


@csrf_exempt
def tell(request):
    """Takes a while, and then publishes on its answer."""
    print("begun", flush=True)
    time.sleep(0.3)
    notify(Everyone, {"told": request.GET["word"]})
    return HttpResponse("told")


def cookies(request):
    """Three cookies, one with a comma in its date: they must arrive as three lines."""
    answer = HttpResponse("cookies")
    answer.set_cookie("first", "1")
    answer.set_cookie("second", "2", expires="Wed, 21 Oct 2037 07:28:00 GMT")
    answer.set_cookie("third", "3", httponly=True)
    return answer


def strict(request):
    """A page that allows neither scripts nor styles."""
    answer = HttpResponse("<!doctype html><title>strict</title><p>strict</p>")
    answer["Content-Security-Policy"] = "default-src 'none'"
    return answer
