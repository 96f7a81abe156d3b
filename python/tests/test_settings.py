import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from gatepost import conf, environment


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch, settings, tmp_path):
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    monkeypatch.delenv("GATEPOST_SECRET_PREVIOUS", raising=False)
    monkeypatch.delenv("GATEPOST_URL", raising=False)
    settings.BASE_DIR = tmp_path / "project" / "backend"
    settings.BASE_DIR.mkdir(parents=True)


@pytest.fixture
def secret_file(settings):
    """What a gateway beside the project makes."""

    def make(folder=settings.BASE_DIR.parent, text="f" * 64 + "\n"):
        (folder / ".gatepost").mkdir()
        path = folder / ".gatepost" / "secret"
        path.write_text(text)
        return path

    return make


def said(id):
    return [message for message in run_checks() if message.id == id]


def test_settings_come_before_the_environment(settings, monkeypatch):
    monkeypatch.setenv("GATEPOST_SECRET", "e" * 32)
    settings.GATEPOST = {}
    assert conf.secret() == b"e" * 32
    settings.GATEPOST = {"SECRET": ""}
    assert conf.secret() == b"e" * 32
    settings.GATEPOST = {"SECRET": "s" * 32}
    assert conf.secret() == b"s" * 32


def test_the_previous_secret_is_believed_but_never_signs(settings, monkeypatch):
    monkeypatch.setenv("GATEPOST_SECRET_PREVIOUS", "p" * 32)
    settings.GATEPOST = {"SECRET": b"s" * 32}
    assert conf.secrets() == [b"s" * 32, b"p" * 32]
    settings.GATEPOST = {"SECRET": b"s" * 32, "SECRET_PREVIOUS": "q" * 32}
    assert conf.secrets() == [b"s" * 32, b"q" * 32]


def test_with_debug_the_gateways_file_is_found(settings, secret_file):
    settings.GATEPOST = {}
    settings.DEBUG = True
    with pytest.raises(conf.SecretMissingError, match="GATEPOST_SECRET"):
        conf.secret()
    secret_file()  # The gateway may well start later.
    assert conf.secret() == b"f" * 64
    secret_file(settings.BASE_DIR, "n" * 64)
    assert conf.secret() == b"n" * 64


def test_without_debug_no_file_is_read(settings, secret_file):
    secret_file()
    settings.GATEPOST = {}
    settings.DEBUG = False
    with pytest.raises(conf.SecretMissingError):
        conf.secret()


def test_somebody_elses_file_is_not_believed(settings, secret_file, monkeypatch):
    settings.GATEPOST = {}
    settings.DEBUG = True
    secret_file()
    stranger = SimpleNamespace(st_uid=os.geteuid() + 1)
    monkeypatch.setattr(Path, "stat", lambda self: stranger)
    assert conf.find_secret() == b""


def test_without_base_dir_the_current_folder_is_looked_at(settings, secret_file, monkeypatch):
    secret_file()
    monkeypatch.chdir(settings.BASE_DIR)
    settings.GATEPOST = {}
    settings.DEBUG = True
    del settings.BASE_DIR
    assert conf.secret() == b"f" * 64


def test_defaults(settings):
    del settings.GATEPOST
    assert conf.value("URL") == "http://127.0.0.1:9400"
    assert conf.value("TIMEOUT") == 1.0
    assert conf.function("GROUPS") is None


def test_rungateway_tells_django_the_url_where_the_project_names_none(settings, monkeypatch):
    monkeypatch.setenv("GATEPOST_URL", "http://127.0.0.1:9444")
    settings.GATEPOST = {}
    assert conf.value("URL") == "http://127.0.0.1:9444"
    settings.GATEPOST = {"URL": "unix:/run/gatepost.sock"}
    assert conf.value("URL") == "unix:/run/gatepost.sock"


@pytest.mark.parametrize("named", [42, "gatepost.conf.DEFAULTS"])
def test_a_setting_that_should_be_callable_must_be(settings, named):
    settings.GATEPOST = {"GROUPS": named}
    with pytest.raises(ImproperlyConfigured, match="'GROUPS'"):
        conf.function("GROUPS")


# Checks


def test_a_good_secret_passes():
    assert said("gatepost.E001") == said("gatepost.E010") == []


def test_a_missing_secret_is_an_error_but_while_developing(settings, monkeypatch):
    monkeypatch.setattr(environment, "is_testing", lambda: False)
    settings.GATEPOST = {}
    (message,) = said("gatepost.E001")
    assert message.is_serious()
    assert "Set GATEPOST['SECRET']" in message.hint
    settings.DEBUG = True  # Then the gateway makes one, and `migrate` need not alarm anybody.
    assert said("gatepost.E001") == []


def test_a_projects_own_tests_need_no_secret(settings, monkeypatch):
    """They have DEBUG off, and nothing of them leaves: `manage.py test` must not end in a check."""
    monkeypatch.setattr(environment, "is_testing", lambda: True)
    settings.GATEPOST = {}
    assert said("gatepost.E001") == []


def test_a_short_secret_is_an_error(settings):
    settings.GATEPOST = {"SECRET": "ü" * 15}
    (message,) = said("gatepost.E001")
    assert message.is_serious()
    assert "30 bytes" in message.msg
    assert "token_hex" in message.hint


def test_a_secret_with_a_line_end_is_an_error(settings):
    """The gateway strips what it reads from a file."""
    settings.GATEPOST = {"SECRET": "s" * 32 + "\n"}
    (message,) = said("gatepost.E001")
    assert "white space" in message.msg


def test_secret_key_is_no_secret_of_gateposts(settings):
    settings.GATEPOST = {"SECRET": settings.SECRET_KEY}
    (message,) = said("gatepost.E001")
    assert message.is_serious()
    assert settings.SECRET_KEY not in str(message)


def test_an_unknown_key_names_the_nearest(settings):
    settings.GATEPOST = {**settings.GATEPOST, "Secrets": "x", "COLOUR": 1}
    near, far = said("gatepost.E010")
    assert near.msg == "GATEPOST['Secrets'] is unknown."
    assert near.hint == "Did you mean 'SECRET'?"
    assert "Known keys: BACKEND, DATABASE," in far.hint


def test_settings_of_another_type_are_an_error(settings):
    settings.GATEPOST = "secret"
    (message,) = said("gatepost.E010")
    assert "must be a dict" in message.msg


def test_the_module_explains_every_key():
    """Beside it; test_reference.py has what the documentation says."""
    source = Path(conf.__file__).read_text(encoding="utf-8")
    for key in conf.DEFAULTS:
        assert re.search(rf'^    # .*\n    "{key}": ', source, re.MULTILINE), key
