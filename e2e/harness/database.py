"""A database server of its own for one test, in a folder, reached by a Unix socket only."""

import glob
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .process import Process
from .wait import wait_until


class Sqlite:
    """No server: a file. It is restored by putting the backup in its place."""

    def __init__(self):
        self.folder = _folder()
        self._file = self.folder / "db.sqlite3"
        self._backup = self.folder / "backup.sqlite3"
        self.settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(self._file)}
        self.settings["OPTIONS"] = {"timeout": 20}

    def back_up(self):
        """Copies the file while nobody writes."""
        shutil.copyfile(self._file, self._backup)

    def restore(self):
        """Puts the backup in its place, while nobody has the file open."""
        for name in ("db.sqlite3-journal", "db.sqlite3-wal", "db.sqlite3-shm"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.copyfile(self._backup, self._file)

    def stop(self):
        """Deletes it."""
        shutil.rmtree(self.folder)


class Postgres:
    """A cluster of the newest PostgreSQL that is installed."""

    def __init__(self):
        self.folder = _folder()
        # Debian keeps the server's programs out of PATH; and the server refuses to run as root.
        found = [int(path.split("/")[4]) for path in glob.glob("/usr/lib/postgresql/*/bin")]
        debian = f"/usr/lib/postgresql/{max(found)}/bin" if found else None
        self._bin = Path(debian or Path(shutil.which("initdb")).parent)
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(self.folder, "postgres")
        data = self.folder / "data"
        self._run(*self._as, self._bin / "initdb", "-U", "ledger", "-A", "trust", "-D", data)
        options = ["-D", data, "-k", self.folder, "-c", "listen_addresses=", "-F"]
        self._server = Process(
            "postgres", [*self._as, self._bin / "postgres", *options], self.folder, {}
        )
        self._server.wait_for_line(
            lambda line: "ready to accept connections" in line, "PostgreSQL is ready"
        )
        self._host = ["-h", self.folder, "-U", "ledger"]
        self._run(self._bin / "createdb", *self._host, "ledger")
        self.settings = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "ledger",
            "USER": "ledger",
            "HOST": str(self.folder),
        }

    def back_up(self):
        """Dumps the database."""
        self._run(self._bin / "pg_dump", *self._host, "-f", self.folder / "backup.sql", "ledger")

    def restore(self):
        """Makes the database again from the dump."""
        self._run(self._bin / "dropdb", *self._host, "--force", "ledger")
        self._run(self._bin / "createdb", *self._host, "ledger")
        self._run(self._bin / "psql", *self._host, "-q", "-f", self.folder / "backup.sql", "ledger")

    def stop(self):
        """Ends the server at once."""
        self._server.signal_group(signal.SIGINT)
        self._server.wait()
        shutil.rmtree(self.folder)

    def _run(self, *command):
        _run(*command, folder=self.folder)


class MariaDb:
    """A server of its own; root of the machine is root in it."""

    def __init__(self):
        self.folder = _folder()
        data, socket = self.folder / "data", self.folder / "s"
        user = ["--user=root"] if os.geteuid() == 0 else []
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", *user]
        self._run(*install, "--auth-root-authentication-method=normal")
        options = [f"--datadir={data}", f"--socket={socket}", "--skip-networking", *user]
        options += [f"--pid-file={self.folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0"]
        command = [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", *options]
        self._server = Process("mariadbd", command, self.folder, {})
        self._client = ["--no-defaults", f"--socket={socket}", "-u", "root"]
        wait_until(socket.exists, "MariaDB listens")
        self._sql("CREATE DATABASE ledger CHARACTER SET utf8mb4")
        self.settings = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "ledger",
            "USER": "root",
            "HOST": str(socket),
            "OPTIONS": {"charset": "utf8mb4"},
        }

    def back_up(self):
        """Dumps the database."""
        dump = ["mariadb-dump", *self._client, f"--result-file={self.folder / 'backup.sql'}"]
        self._run(*dump, "ledger")

    def restore(self):
        """Makes the database again from the dump."""
        self._sql("DROP DATABASE ledger; CREATE DATABASE ledger CHARACTER SET utf8mb4")
        self._sql(f"source {self.folder / 'backup.sql'}", "ledger")

    def stop(self):
        """Ends the server at once."""
        self._server.stop()
        shutil.rmtree(self.folder)

    def _sql(self, text, *database):
        self._run("mariadb", *self._client, "-e", text, *database)

    def _run(self, *command):
        _run(*command, folder=self.folder)


def _folder():
    # Not pytest's: its path is too long for a Unix socket, and closed to the server's own user.
    folder = Path(tempfile.mkdtemp(prefix="gp-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def _run(*command, folder):
    ran = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, f"{command[0]}: {ran.stdout}\n{ran.stderr}"
