"""``manage.py gateway_config``: writes gateway.toml from the settings."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost import state
from gatepost.program import draft, frontend, gateway_toml


class Command(BaseCommand):
    """Writes beside manage.py, or where it is told; what is there already is never overwritten."""

    help = "Writes gateway.toml from Django's settings: hosts, cookie, static files, URLs, outbox."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where to write."""
        parser.add_argument(
            "file",
            nargs="?",
            type=Path,
            help="default: gateway.toml in BASE_DIR, or beside a manage.py above it",
        )
        parser.add_argument("--stdout", action="store_true", help="print it instead")
        parser.add_argument(
            "--no-frontend", action="store_true", help="look for no frontend in package.json"
        )

    def execute(self, *args: Any, **options: Any) -> Any:
        """Part the option from what Django passes on by the same name: where a command prints."""
        options["to_stdout"] = options["stdout"] is True
        if options["to_stdout"]:
            options["stdout"] = None
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, or print it."""
        path: Path = (options["file"] or gateway_toml.place()).absolute()
        found = None if options["no_frontend"] else frontend.find(state.base())
        text = draft.gateway_config(path.parent, found)
        if options["to_stdout"]:
            self.stdout.write(text, ending="")
            return
        write(path, text)
        self.stdout.write(f"Wrote {path}. `gatepost check` says what answers which path.")


def write(path: Path, text: str) -> None:
    """Write a new file; refuse where there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise CommandError(
            f"{path} is there already and was left as it is. --stdout prints what would be"
            " written; to write it again, remove the file."
        ) from error
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
