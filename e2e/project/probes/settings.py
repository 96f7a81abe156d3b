"""The demo's project with a few more views to look through, and quick password hashing."""

from demosite.settings import *  # noqa: F403

ROOT_URLCONF = "probes.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
