"""What `rungateway` offers once; e2e/test_trust.py has what `gatepost trust` then does."""

import pytest

from gatepost.devserver import plan, trust

LOCAL = "dev, certificate from a local CA in /site/certs"


@pytest.fixture
def decided(settings, tmp_path):
    """A plan whose gateway has a certificate of the local CA, and notes how it is called."""
    settings.BASE_DIR = tmp_path
    return made(tmp_path, LOCAL)


def made(folder, mode):
    binary = folder / "gatepost"
    binary.write_text(
        f'#!/bin/sh\necho "$@" "$GATEPOST_SERVER__LAN" >> \'{folder}/called\'\n'
        f"printf '  mode  {mode}\\n'\n"
    )
    binary.chmod(0o755)
    decided = plan.Plan(binary, folder / "gateway.toml", "127.0.0.1:8000")
    decided.environment["GATEPOST_SERVER__LAN"] = "true"
    return decided


def trusts(decided):
    """The calls of `gatepost trust`."""
    called = (decided.config.parent / "called").read_text().splitlines()
    return [line for line in called if line.startswith("trust")]


class Person:
    """Somebody at the terminal."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, question):
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_who_says_yes_has_it_done_with_the_configuration_of_this_run(decided):
    person = Person("y")
    trust.offer(decided, person)
    assert "gatepost trust" in person.asked[0]
    assert trusts(decided) == [f"trust --config {decided.config} true"]


@pytest.mark.parametrize("answer", ["", "n", "what?", EOFError()])
def test_who_says_anything_else_is_told_how_to_do_it_later(decided, answer):
    trust.offer(decided, Person(answer))
    assert trusts(decided) == []
    assert any("gatepost trust" in note for note in decided.notes)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_it_is_offered_once(decided, answer):
    person = Person(answer)
    for _ in range(2):
        trust.offer(decided, person)
    assert len(person.asked) == 1


def test_a_ctrl_c_at_the_question_ends_the_command_and_is_an_answer(decided):
    person = Person(KeyboardInterrupt())
    with pytest.raises(SystemExit):
        trust.offer(decided, person)
    trust.offer(decided, person)
    assert len(person.asked) == 1
    assert trusts(decided) == []


def test_where_nobody_would_answer_nobody_is_asked_and_it_is_offered_later(decided):
    trust.offer(decided, None)
    person = Person("n")
    trust.offer(decided, person)
    assert len(person.asked) == 1


def test_a_certificate_of_ones_own_needs_no_offer(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    person = Person()
    trust.offer(made(tmp_path, "production, certificate from /etc/site.pem"), person)
    assert person.asked == []
    assert not (tmp_path / ".gatepost").exists()
