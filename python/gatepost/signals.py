"""What happens to sockets when a session ends, or when a user changes.

Connected by :func:`connect`, which ``apps`` calls. The surprise: the end of a session does not wait
for the commit. ``user_logged_out`` comes before the session is flushed, which is the last moment
its key is known, and a logout must hold even if the rest of the request fails.
"""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import m2m_changed, post_delete, post_save

from gatepost import conf
from gatepost.calls import COME_BACK
from gatepost.publishing import recheck, revoke, revoke_now
from gatepost.targets import Session


def connect() -> None:
    """Connect the receivers, those about users to the user model alone.

    A receiver for the deletion of just any model would take from Django its fast deletes:
    ``clearsessions`` would load every session that it deletes.
    """
    user_logged_out.connect(close_sockets, dispatch_uid="gatepost.close_sockets")
    user_logged_in.connect(close_replaced_sockets, dispatch_uid="gatepost.close_replaced_sockets")
    user_model = get_user_model()
    for model in apps.get_models():
        if issubclass(model, user_model):  # Proxies, and models that inherit from it, too.
            post_save.connect(user_saved, sender=model, dispatch_uid="gatepost.user_saved")
            post_delete.connect(user_deleted, sender=model, dispatch_uid="gatepost.user_deleted")
    memberships = getattr(getattr(user_model, "groups", None), "through", None)
    if memberships is not None:
        m2m_changed.connect(
            groups_changed, sender=memberships, dispatch_uid="gatepost.groups_changed"
        )


def close_sockets(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """Receive ``user_logged_out``."""
    session = getattr(request, "session", None)
    if user is None or session is None or not conf.value("REVOKE_ON_LOGOUT"):
        return
    # With SECRET_KEY_FALLBACKS the key may have been cycled in this very request; the sockets
    # are still bound to the one that the browser sent.
    for key in dict.fromkeys((session.session_key, _sent_key(request))):
        if key:
            revoke_now(Session(key), reason="logged out")


def close_replaced_sockets(
    sender: Any, request: Any = None, user: Any = None, **kwargs: Any
) -> None:
    """Receive ``user_logged_in``.

    ``login()`` flushes the session of another user without a word (Django 4.2 to 6.1), and the
    browser's other tabs would go on hearing what is for that user. They are told to come back, as
    who is logged in now. A login of the same user keeps the key, so nothing is closed.
    """
    session = getattr(request, "session", None)
    if session is None or not conf.value("REVOKE_ON_LOGOUT"):
        return
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.signed_cookies":
        # Its key is another one after every write, so a new key tells nothing.
        return
    sent = _sent_key(request)
    if sent and sent != session.session_key:
        revoke_now(Session(sent), code=COME_BACK, reason="another user logged in")


def _sent_key(request: Any) -> str | None:
    """Give the session key that the browser sent, to which its sockets are bound."""
    cookies: dict[str, str] = getattr(request, "COOKIES", {})
    return cookies.get(settings.SESSION_COOKIE_NAME)


def user_saved(
    sender: Any,
    instance: Any = None,
    created: bool = False,
    update_fields: Any = None,
    **kwargs: Any,
) -> None:
    """Receive ``post_save`` of a user: a new password ends sessions, another flag changes groups.

    Every login saves ``last_login``, and nothing else then: that alone tells nothing.
    """
    if created or not conf.value("RECHECK_ON_USER_SAVE"):
        return
    if update_fields is not None and set(update_fields) <= {"last_login"}:
        return
    if getattr(instance, "is_active", True):
        recheck(instance)
    else:
        revoke(instance, reason="account deactivated")


def user_deleted(sender: Any, instance: Any = None, **kwargs: Any) -> None:
    """Receive ``post_delete`` of a user, which still has its key in this moment."""
    if conf.value("RECHECK_ON_USER_SAVE"):
        revoke(instance, reason="account deleted")


def groups_changed(
    sender: Any,
    instance: Any = None,
    action: str = "",
    pk_set: Any = None,
    **kwargs: Any,
) -> None:
    """Receive ``m2m_changed`` of the users' groups, from either side."""
    if not conf.value("RECHECK_ON_USER_SAVE"):
        return
    if isinstance(instance, get_user_model()):
        if action in ("post_add", "post_remove", "post_clear"):
            recheck(instance)
    elif action == "pre_clear":
        # Afterwards nobody knows who was in the group.
        recheck(
            list(
                get_user_model()._base_manager.filter(groups=instance).values_list("pk", flat=True)
            )
        )
    elif action in ("post_add", "post_remove") and pk_set:
        recheck(list(pk_set))
