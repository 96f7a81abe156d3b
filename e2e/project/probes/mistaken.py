"""The demo's project with one mistake, which PROBE_MISTAKE names: each breaks the auth view."""

import os
import re

from .settings import *  # noqa: F403
from .settings import GATEPOST, MIDDLEWARE

SETTINGS = {
    "host": {"ALLOWED_HOSTS": ["localhost"]},
    "https": {"MIDDLEWARE": MIDDLEWARE[1:], "SECURE_SSL_REDIRECT": True},  # without Gatepost's
    "www": {"PREPEND_WWW": True, "ALLOWED_HOSTS": ["*"]},
    "login": {"MIDDLEWARE": [*MIDDLEWARE, "probes.walls.login_wall"]},
    "language": {
        "ROOT_URLCONF": "probes.translated",
        "MIDDLEWARE": [*MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"],
    },
    "agent": {"DISALLOWED_USER_AGENTS": [re.compile(".")]},
    "secret": {"GATEPOST": GATEPOST | {"SECRET": "another secret of more than thirty-two bytes"}},
    "urls": {"ROOT_URLCONF": "board.urls"},
    "spa": {"ROOT_URLCONF": "probes.single_page"},
    "session": {
        "DEBUG": True,
        "MIDDLEWARE": [name for name in MIDDLEWARE if "Session" not in name],
    },
}

globals().update(SETTINGS[os.environ["PROBE_MISTAKE"]])
