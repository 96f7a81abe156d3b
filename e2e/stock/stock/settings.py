"""A stock project: what `startproject` writes, with what the tests vary read from the environment.

It has no code for Gatepost but the auth view of its own; with PACKAGE set it has the package
instead.
"""

import os
from pathlib import Path

FOLDER = Path(os.environ["STOCK_FOLDER"])
SECRET_KEY = os.environ["STOCK_SECRET_KEY"]
SECRET_KEY_FALLBACKS = os.environ.get("STOCK_SECRET_KEY_FALLBACKS", "").split()
ALLOWED_HOSTS = ["localhost"]
PACKAGE = bool(os.environ.get("STOCK_PACKAGE"))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if PACKAGE:
    INSTALLED_APPS.append("gatepost")
    MIDDLEWARE.insert(0, "gatepost.middleware.GatepostMiddleware")
    GATEPOST = {"URL": os.environ["GATEPOST_URL"]}
    if os.environ.get("STOCK_CACHE") == "site":
        MIDDLEWARE.insert(1, "django.middleware.cache.UpdateCacheMiddleware")
        MIDDLEWARE.append("django.middleware.cache.FetchFromCacheMiddleware")
    if os.environ.get("STOCK_CACHE") == "conditional":
        MIDDLEWARE.insert(1, "django.middleware.http.ConditionalGetMiddleware")
else:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

ROOT_URLCONF = "stock.urls"
WSGI_APPLICATION = "stock.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "stock.sqlite3"}}
# Shared by the processes, as a project's cache is.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": FOLDER / "cache",
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSION_ENGINE = f"django.contrib.sessions.backends.{os.environ.get('STOCK_ENGINE', 'db')}"
SESSION_FILE_PATH = str(FOLDER)
SESSION_COOKIE_AGE = int(os.environ.get("STOCK_AGE", 1209600))
SESSION_SAVE_EVERY_REQUEST = bool(os.environ.get("STOCK_SAVE_EVERY_REQUEST"))
LOGIN_REDIRECT_URL = "/page/"
STATIC_URL = "/static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
