"""Topics: which users get whose tokens, and whether the gateway may ask again."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost import conf
from gatepost.checks import templates
from gatepost.checks.declared import value

_TENANTS = ("django_tenants", "tenant_schemas")
_CALLS = ("topic_token", "atopic_token")

#: How a model's topics are written in ``TOPICS``.
_KEY = ":<pk>"


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E040: TOPICS or TOPIC_MAX_AGE cannot be what they are."""
    said = value("TOPICS")
    wrong = list(_wrong(said)) if isinstance(said, dict) else ["TOPICS must be a dict."]
    try:
        conf.topic_max_age()
    except ImproperlyConfigured as error:
        wrong.append(f"{error}.")
    hint = "TOPICS = {'shop.order:<pk>': 'shop.live.may_follow'}; TOPIC_MAX_AGE in seconds."
    return [Error(f"GATEPOST: {text}", hint=hint, id="gatepost.E040") for text in wrong]


def _wrong(said: dict[Any, Any]) -> Iterator[str]:
    for key, function in said.items():
        label = str(key).removesuffix(_KEY).rpartition("/")[2]
        if not str(key).endswith(_KEY) or not _is_model(label):
            yield f"TOPICS names {key!r}, and no model is called so."
        if function is None or callable(function):
            continue
        try:
            found = callable(import_string(function))
        except (ImportError, TypeError, AttributeError):
            found = False
        if not found:
            yield f"TOPICS[{key!r}] is {function!r}, which is no function that can be imported."


def _is_model(label: str) -> bool:
    try:
        return bool(apps.get_model(label)._meta.label_lower == label)
    except (LookupError, ValueError):
        return False


def check_fragments(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W040: a token in a fragment that Django keeps for everybody."""
    found = {tag.template for tag in _tokens() if _is_of_everybody(tag)}
    return [
        Warning(
            f"{name}: {{% topics %}} stands in {{% cache %}}: a user who gets another's fragment"
            " gets that user's token, which the gateway refuses.",
            hint=(
                "Put {% topics %} outside of {% cache %}, or let the fragment vary:"
                " {% cache 300 name request.user.pk %}."
            ),
            id="gatepost.W040",
        )
        for name in sorted(found)
    ]


def _tokens() -> Iterator[templates.Tag]:
    for tag in templates.tags():
        if tag.name == "topics" and "public" not in tag.node.kwargs:
            yield tag


def _is_of_everybody(tag: templates.Tag) -> bool:
    varies = [str(one) for fragment in tag.fragments for one in fragment.vary_on]
    return bool(tag.fragments) and not any("user" in one or "session" in one for one in varies)


def check_tenants(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W041: tenants whose objects have the same names."""
    tenants = next((name for name in _TENANTS if apps.is_installed(name)), None)
    if tenants is None:
        return []
    return [
        Warning(
            f"{tenants} is installed: objects of several tenants have the same keys, and so the"
            " same topics; a listener to one tenant's order 17 would hear of another's.",
            hint=(
                "Name the tenant wherever a topic is named: Topic(order, within=tenant),"
                " topic_token(…, within=tenant) and {% topics order within=tenant %}; then silence"
                " this check."
            ),
            id="gatepost.W041",
        )
    ]


def check_asked_again(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W042: models whose topics are granted by tokens, and never asked about again."""
    said = value("TOPICS")
    named = set(said) if isinstance(said, dict) else set()
    granted = {*_in_templates(), *_in_code()}
    unasked = sorted(label for label in granted if f"{label}{_KEY}" not in named)
    if not unasked:
        return []
    return [
        Warning(
            f"Tokens let pages listen to {', '.join(unasked)}, and Django is not asked again: users"
            " who may no longer see such an object hear of it for as long as the page is open.",
            hint=(
                f"Say who may: GATEPOST['TOPICS'] = {{'{unasked[0]}{_KEY}': 'path.to.may_follow'}},"
                " a function (user_ids, pk) -> set of ids; or None in its place, where revoke() and"
                " recheck() do."
            ),
            id="gatepost.W042",
        )
    ]


def _in_templates() -> Iterator[str]:
    for tag in _tokens():
        for one in tag.node.args:
            lookups = getattr(one.var, "lookups", None)
            if lookups:
                yield from _models_called(lookups[-1], tag.template)


def _models_called(name: str, template: str = "") -> Iterator[str]:
    """Yield the models that a variable is likely called after; ``object`` is the template's own."""
    app, _, file = template.rpartition("/")
    wanted = file.partition("_")[0] if name == "object" else name.replace("_", "").lower()
    for model in apps.get_models():
        meta = model._meta
        if meta.model_name == wanted and (name != "object" or meta.app_label == app):
            yield str(meta.concrete_model._meta.label_lower)


def _in_code() -> Iterator[str]:
    for path in _sources():
        source = path.read_bytes()
        if b"topic_token" not in source:
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in _CALLS:
                public = any(keyword.arg == "public" for keyword in node.keywords)
                for argument in () if public else node.args[1:]:
                    yield from _models_called(_name(argument))


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _sources() -> Iterator[Path]:
    """Yield the project's own modules: those of its apps, and those beside its URLs."""
    folders = [Path(config.path) for config in apps.get_app_configs()]
    try:
        urls = import_module(settings.ROOT_URLCONF).__file__
        folders += [Path(urls).parent] if urls else []
    except (ImportError, AttributeError, TypeError):
        pass
    for folder in dict.fromkeys(folders):
        if not {"site-packages", "dist-packages"}.intersection(folder.parts):
            yield from folder.rglob("*.py")
