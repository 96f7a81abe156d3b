"""Reads ``settings.GATEPOST`` for checks, which must get by with whatever it holds."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from gatepost import conf


def value(key: str) -> Any:
    """Return a setting; its default where ``GATEPOST`` is no dict, which ``secret`` reports."""
    try:
        return conf.value(key)
    except ImproperlyConfigured:
        return conf.DEFAULTS[key]
