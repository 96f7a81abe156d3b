"""Everything that differs between the runs comes from LEDGER, a JSON object."""

import json
import os

LEDGER = json.loads(os.environ["LEDGER"])
SECRET_KEY = "only-for-these-tests-" + "x" * 40
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "gatepost",
    "gatepost.outbox",
    "ledger",
]
MIDDLEWARE = [
    "gatepost.middleware.GatepostMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "ledger.urls"
DATABASES = {"default": LEDGER["database"]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
GATEPOST = {"OUTBOX": True, "URL": LEDGER["gateways"]}
