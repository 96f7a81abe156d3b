"""What happens to sockets when users and their groups change.

``apps`` connects the receivers. When a group changes, the gateway is given its name alone, since it
knows which connections are in it: a hundred thousand members are one call. Only where the project's
own function (``GROUPS``) decides who is in a group are the members named.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import QuerySet
from django.db.models.signals import (
    m2m_changed,
    post_delete,
    post_init,
    post_save,
    pre_delete,
    pre_save,
)

from gatepost import conf
from gatepost.sending import relevance
from gatepost.sending.publishing import recheck, revoke
from gatepost.sending.targets import Group, has_named_groups


def connect() -> None:
    """Connect the receivers, each to its models alone.

    A receiver for the deletion of just any model would take from Django its fast deletes:
    ``clearsessions`` would load every session that it deletes.
    """
    user_model = get_user_model()
    _each(user_model, post_init, user_loaded)
    _each(user_model, pre_save, user_is_saved)
    _each(user_model, post_save, user_saved)
    _each(user_model, post_delete, user_deleted)
    relation = _relation()
    if relation is None:
        return
    _each(relation.related_model, pre_save, group_is_saved)
    _each(relation.related_model, post_save, group_saved)
    _each(relation.related_model, pre_delete, group_is_deleted)
    through = relation.remote_field.through
    _one(through, m2m_changed, groups_changed)
    if not through._meta.auto_created:
        _one(through, post_save, membership_changed)
        _one(through, post_delete, membership_changed)


def _each(model: Any, signal: Any, receiver: Any) -> None:
    """Connect a model with its proxies, and with the models that inherit from it."""
    for one in apps.get_models():
        if issubclass(one, model):
            _one(one, signal, receiver)


def _one(model: Any, signal: Any, receiver: Any) -> None:
    signal.connect(receiver, sender=model, dispatch_uid=f"gatepost.{receiver.__name__}")


def _relation() -> Any:
    """Return the user model's field ``groups``, where it is a relation to many."""
    try:
        field = get_user_model()._meta.get_field("groups")
    except FieldDoesNotExist:
        return None
    return field if field.many_to_many and hasattr(field, "m2m_field_name") else None


def _is_on() -> bool:
    return conf.value("RECHECK_ON_USER_SAVE") is not False


# Users


def user_loaded(sender: Any, instance: Any = None, **kwargs: Any) -> None:
    """Receive ``post_init`` of a user."""
    relevance.remember(instance)


def user_is_saved(sender: Any, instance: Any = None, **kwargs: Any) -> None:
    """Receive ``pre_save`` of a user: one that was made by hand may overwrite a row."""
    if instance._state.adding:
        relevance.forget(instance)


def user_saved(
    sender: Any,
    instance: Any = None,
    created: bool = False,
    update_fields: Any = None,
    **kwargs: Any,
) -> None:
    """Receive ``post_save`` of a user: a new password ends sessions, a flag may change groups."""
    is_changed = not created and _is_on() and relevance.is_changed(instance, update_fields)
    relevance.remember(instance)
    if created or not _is_on():
        return
    if getattr(instance, "is_active", True):
        if is_changed:
            recheck(instance)
    elif is_changed or update_fields is None or "is_active" in update_fields:
        revoke(instance, reason="account deactivated")


def user_deleted(sender: Any, instance: Any = None, **kwargs: Any) -> None:
    """Receive ``post_delete`` of a user, which still has its key in this moment."""
    if _is_on():
        revoke(instance, reason="account deleted")


# Who is in a group


def groups_changed(
    sender: Any,
    instance: Any = None,
    action: str = "",
    pk_set: Any = None,
    **kwargs: Any,
) -> None:
    """Receive ``m2m_changed`` of the users' groups, from either side."""
    if not _is_on():
        return
    if isinstance(instance, get_user_model()):
        if action in ("post_add", "post_remove", "post_clear"):
            recheck(instance)
    elif action == "pre_clear":
        # Afterwards it is unknown who was in the group.
        _recheck_members(instance, _stored_name(instance))
    elif action in ("post_add", "post_remove") and pk_set:
        recheck(list(pk_set))


def membership_changed(
    sender: Any, instance: Any = None, origin: Any = None, **kwargs: Any
) -> None:
    """Receive ``post_save`` and ``post_delete`` of a project's own model between them."""
    cascades = (get_user_model(), _relation().related_model)
    source = origin.model if isinstance(origin, QuerySet) else type(origin)
    if not _is_on() or issubclass(source, cascades):
        return  # It goes with its user or its group, whose own receivers act.
    field = sender._meta.get_field(_relation().m2m_field_name())
    user = getattr(instance, field.attname)
    if user is not None:
        recheck(user)


# Groups themselves


def group_is_saved(
    sender: Any, instance: Any = None, raw: bool = False, update_fields: Any = None, **kwargs: Any
) -> None:
    """Receive ``pre_save`` of a group: the last moment in which its old name is known.

    One that was made by hand, with a key that is stored, is an update too.
    """
    is_same = update_fields is not None and "name" not in update_fields
    known = _is_on() and not raw and not is_same and instance.pk is not None
    instance._state.gatepost_name = _stored_name(instance) if known else None


def group_saved(sender: Any, instance: Any = None, created: bool = False, **kwargs: Any) -> None:
    """Receive ``post_save`` of a group: the members of one that was renamed are in another."""
    before = getattr(instance._state, "gatepost_name", None)
    if created or before is None or before == getattr(instance, "name", None):
        return
    _recheck_members(instance, before)


def group_is_deleted(sender: Any, instance: Any = None, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of a group, which has its members in this moment."""
    if _is_on():
        _recheck_members(instance, _stored_name(instance))


def _stored_name(group: Any) -> str | None:
    rows = type(group)._base_manager.using(group._state.db).filter(pk=group.pk)
    names = rows.values_list("name", flat=True) if hasattr(group, "name") else rows.none()
    found: str | None = names.first()
    return found


def _recheck_members(group: Any, name: str | None) -> None:
    user_model = get_user_model()
    if conf.value("GROUPS") is None and has_named_groups(user_model):
        if name:
            recheck(Group(name))
        return
    members = user_model._base_manager.using(group._state.db).filter(groups=group.pk)
    recheck(members.values_list("pk", flat=True))
