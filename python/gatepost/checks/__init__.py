"""What ``manage.py check`` says before the gateway or a browser has to.

One module a subject; every message has an id, ``gatepost.E001`` to ``gatepost.W046``, and a hint
that says what to write. ``apps`` calls :func:`register_all`. A stock project with the
few lines of the quick start gets no message at all, with DEBUG on or off, which a test proves.

GZipMiddleware and ConditionalGetMiddleware, which are often blamed, are harmless here.
"""

from django.core.checks import Tags, register

from gatepost.checks import (
    apps,
    caching,
    consumers,
    cookies,
    hosts,
    https,
    middleware,
    secret,
    sessions,
    sockets,
    topics,
    urls,
)


def register_all() -> None:
    """Hand every check to Django."""
    register(secret.check_secret, Tags.security)
    register(secret.check_keys, Tags.security)
    register(urls.check_urls, Tags.urls)
    register(hosts.check_hosts, Tags.security)
    register(hosts.check_on_demand, Tags.security)
    register(https.check_scheme, Tags.security)
    register(https.check_hsts, Tags.security)
    register(https.check_url, Tags.security, deploy=True)
    register(cookies.check_cookies, Tags.security)
    register(cookies.check_secure, Tags.security, deploy=True)
    register(sessions.check_sessions, Tags.security)
    register(sessions.check_resolver, Tags.security)
    register(middleware.check_first, Tags.security)
    register(middleware.check_login_required, Tags.security)
    register(apps.check_commands, Tags.compatibility)
    register(apps.check_auth, Tags.models)
    register(apps.check_outbox, Tags.models)
    register(apps.check_tables, Tags.database)
    register(consumers.check_consumers, Tags.compatibility)
    register(topics.check_settings, Tags.security)
    register(topics.check_fragments, Tags.templates)
    register(topics.check_tenants, Tags.security)
    register(topics.check_asked_again, Tags.security)
    register(sockets.check_views, Tags.urls)
    register(caching.check_cache_times, Tags.caches)
