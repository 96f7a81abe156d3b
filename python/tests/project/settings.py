"""The project under test. TEST_USER_MODEL=people.Person makes its users' keys UUIDs."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "not-the-gatepost-secret-0123456789abcdef"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "project.people",
    "newsroom",
    "gatepost",
    "gatepost.outbox",
]
MIDDLEWARE = [
    "gatepost.middleware.GatepostMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "project.urls"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
AUTH_USER_MODEL = os.environ.get("TEST_USER_MODEL", "auth.User")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"
USE_TZ = True
GATEPOST = {"SECRET": "a-shared-secret-of-at-least-32-bytes"}
