"""The security headers of Django's middleware, for what the gateway answers itself.

``gateway_config`` writes them where DEBUG is off, ``gateway_check`` compares them.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from gatepost.program import gateway_toml

_DAY = 86_400
#: More the gateway does not take; and what browsers' lists of preloaded names ask for.
_LONGEST = 365 * _DAY

_SECURITY = "django.middleware.security.SecurityMiddleware"
_FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
#: Since Django 6.
_CSP = "django.middleware.csp.ContentSecurityPolicyMiddleware"


def expected() -> dict[str, str]:
    """Return what the settings say, by name; ``X-Content-Type-Options`` the gateway says itself."""
    return dict(_headers())


def hsts() -> str:
    """Return what ``server.hsts`` would be; empty where Django sends none."""
    if _SECURITY not in settings.MIDDLEWARE or not settings.SECURE_HSTS_SECONDS:
        return ""
    seconds = min(int(settings.SECURE_HSTS_SECONDS), _LONGEST)
    said = f"{seconds}s" if seconds % _DAY else f"{seconds // _DAY}d"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        said += "; includeSubDomains"
        if settings.SECURE_HSTS_PRELOAD and seconds == _LONGEST:
            said += "; preload"
    return said


def compare() -> list[CheckMessage]:
    """gatepost.W025: what gateway.toml says differs from the settings."""
    said = gateway_toml.security()
    if settings.DEBUG or said is None:
        return []
    headers, in_server = said
    return [*_differences(headers), *_difference_of_hsts(in_server)]


def _differences(said: Mapping[str, Any]) -> Iterator[CheckMessage]:
    by_name = {name.lower(): value for name, value in said.items()}
    for name, value in expected().items():
        found = by_name.get(name.lower())
        if found != value:
            yield _warning(name, f'"{name}" = {gateway_toml.quoted(value)}', "[headers]", found)


def _difference_of_hsts(said: str) -> Iterator[CheckMessage]:
    value = hsts()
    plain = "; ".join(part.strip() for part in said.split(";"))
    if value and plain.lower() != value.lower():
        yield _warning(
            "Strict-Transport-Security", f"hsts = {gateway_toml.quoted(value)}", "[server]", said
        )


def _warning(name: str, line: str, section: str, found: object) -> CheckMessage:
    other = f"{found!r}" if found else "nothing"
    return Warning(
        f"Django's answers say {name}, and gateway.toml says {other} for files, errors and"
        " redirects, which the gateway answers itself.",
        hint=f"In {section} of gateway.toml: {line}",
        id="gatepost.W025",
    )


def _headers() -> Iterator[tuple[str, str]]:
    if _CSP in settings.MIDDLEWARE and (policy := _policy()):
        yield "Content-Security-Policy", policy
    if _FRAMES in settings.MIDDLEWARE and settings.X_FRAME_OPTIONS:
        yield "X-Frame-Options", str(settings.X_FRAME_OPTIONS).upper()
    if _SECURITY not in settings.MIDDLEWARE:
        return
    if referrer := settings.SECURE_REFERRER_POLICY:
        several = referrer.split(",") if isinstance(referrer, str) else referrer
        yield "Referrer-Policy", ",".join(part.strip() for part in several)
    if settings.SECURE_CROSS_ORIGIN_OPENER_POLICY:
        yield "Cross-Origin-Opener-Policy", str(settings.SECURE_CROSS_ORIGIN_OPENER_POLICY)


def _policy() -> str:
    """Return SECURE_CSP as a field, without nonces, which a file cannot have."""
    build: Callable[[Mapping[str, Any]], str] = import_module("django.utils.csp").build_policy
    return build(settings.SECURE_CSP or {})
