"""One Django project for both: with Channels under uvicorn, or with the package under gunicorn.

In one file: `asgi` or `wsgi` for the server, and `publish()` for the process that publishes.
"""

import asyncio
import os
import sys

import django
from asgiref.sync import async_to_sync
from django.conf import settings

CHANNELS = os.environ["BENCH_SITE"] == "channels"
#: What `startproject` writes, without the admin, messages and static files.
INSTALLED = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
if CHANNELS:
    REDIS = {"hosts": [("127.0.0.1", int(os.environ["BENCH_REDIS"]))]}
    LAYER = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": REDIS}
    VARIED = {"INSTALLED_APPS": [*INSTALLED, "channels"], "CHANNEL_LAYERS": {"default": LAYER}}
else:
    VARIED = {
        "INSTALLED_APPS": [*INSTALLED, "gatepost"],
        "MIDDLEWARE": ["gatepost.middleware.GatepostMiddleware", *MIDDLEWARE],
        "GATEPOST": {"URL": os.environ["BENCH_INTERNAL"]},
    }
DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}
settings.configure(
    **{"MIDDLEWARE": MIDDLEWARE} | VARIED,
    SECRET_KEY="only-for-measuring-" + "x" * 40,
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF="project",
    DATABASES={"default": DATABASE},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

#: About 200 bytes as JSON.
FRAME = {"type": "notification", "title": "Order paid", "message": "x" * 140}

if CHANNELS:
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.core.asgi import get_asgi_application
    from django.urls import path

    class Notifications(AsyncJsonWebsocketConsumer):
        """Joins its user's group, and one of everybody, as a broadcast needs."""

        async def connect(self):
            user = self.scope["user"]
            if user.is_anonymous:
                await self.close(code=4001)
                return
            self.joined = [f"user_{user.pk}", "everyone"]
            for group in self.joined:
                await self.channel_layer.group_add(group, self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            for group in getattr(self, "joined", []):
                await self.channel_layer.group_discard(group, self.channel_name)

        async def receive_json(self, content):
            await self.send_json({"type": "pong"})

        async def notification(self, event):
            await self.send_json(event)

    urlpatterns = []
    routes = URLRouter([path("ws/notifications/", Notifications.as_asgi())])
    sockets = AllowedHostsOriginValidator(AuthMiddlewareStack(routes))
    asgi = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": sockets})

    async def atell(user):
        """As a consumer or an asynchronous view does."""
        group = "everyone" if user is None else f"user_{user}"
        await get_channel_layer().group_send(group, FRAME)

    #: As the documentation says for synchronous code.
    tell = async_to_sync(atell)
else:
    from django.core.wsgi import get_wsgi_application
    from django.urls import include, path
    from gatepost import Everyone, anotify, notify

    urlpatterns = [path("_gatepost/", include("gatepost.urls"))]
    wsgi = get_wsgi_application()

    def tell(user):
        """As a view, a task or a command does."""
        notify(Everyone if user is None else user, FRAME)

    async def atell(user):
        """As an asynchronous view does."""
        await anotify(Everyone if user is None else user, FRAME)


def publish():
    """Publishes what each line at the standard input names: primary keys, or `everyone`.

    Where the first word is `async`, in an event loop that stays. Answers each line.
    """
    loop = asyncio.new_event_loop()
    print("ready", flush=True)
    for line in sys.stdin:
        how, *words = line.split() if line.startswith("async") else ("sync", *line.split())
        users = [None if word == "everyone" else int(word) for word in words]
        if how == "async":
            loop.run_until_complete(atell_all(users))
        else:
            for user in users:
                tell(user)
        print("done", flush=True)


async def atell_all(users):
    """One after the other."""
    for user in users:
        await atell(user)


def make_people(number):
    """Makes the database, with people who are logged in; prints their session keys."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        for pk in range(1, number + 1):
            user = User.objects.create(pk=pk, username=f"user{pk}", password="!")
            session = SessionStore()
            session[SESSION_KEY] = str(pk)
            session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
            session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
            session.save()
            print(session.session_key)
