"""Keeps answers that are one person's out of caches.

``topic_tokens`` and the template tags say of a request that its answer is such; ``middleware`` has
the last word on the answer's headers. The surprise: Django's own cache middlewares are told through
an attribute of the request that they keep there themselves, since they look at the answer before
the first of ``MIDDLEWARE`` does.
"""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

_MARK = "_gatepost_private"


def keep_private(request: Any) -> None:
    """Say that the answer to a request is for this visitor alone."""
    keep_out_of_django(request)
    setattr(djangos_own(request), _MARK, True)


def keep_out_of_django(request: Any) -> None:
    """Keep the answer to a request out of ``cache_page`` and the site's cache."""
    djangos_own(request)._cache_update_cache = False


def settle(request: HttpRequest, response: HttpResponseBase) -> None:
    """Tell browsers and proxies what was said of the answer."""
    if getattr(request, _MARK, False):
        patch_cache_control(response, private=True)
        patch_vary_headers(response, ("Cookie",))


def djangos_own(request: Any) -> Any:
    """Return Django's own request; Django REST framework wraps it."""
    inner = getattr(request, "_request", None)
    return inner if isinstance(inner, HttpRequest) else request
