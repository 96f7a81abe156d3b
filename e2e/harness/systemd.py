"""Runs service units without systemd: their own lines, variables and folders, and nothing else.

`reader` calls it for what a guide tells `systemctl` to do. The verifier of systemd itself reads the
units first, where this machine has it; users and sandboxing are left to the real one.
"""

import configparser
import os
import shlex
import shutil
import subprocess

from .process import Process

#: What a program says when it serves.
_SERVES = (" ready ", '"ready"', "Listening at")


class Units:
    """The units in one folder; `run` stands for `/run`."""

    def __init__(self, folder, run):
        self._folder = folder
        self._run = run
        self._running = {}

    def obey(self, line):
        """Does what one line with `systemctl` says."""
        command, *words = shlex.split(line)
        assert command == "systemctl", line
        verb, *names = (word for word in words if not word.startswith("--"))
        if verb == "daemon-reload":
            return
        assert verb in ("enable", "restart"), line
        for name in names:
            if verb == "enable":
                self._verify(name)
            else:
                self._running.pop(name).stop()
            self._start(name)

    def lines(self):
        """What each running unit has said."""
        return [process.lines for process in self._running.values()]

    def stop(self):
        """Ends all, the last one that was started first."""
        while self._running:
            self._running.popitem()[1].stop()

    def _verify(self, name):
        if shutil.which("systemd-analyze"):
            verify = ["systemd-analyze", "verify", "--man=no", self._path(name)]
            ran = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
            own = [line for line in ran.stderr.splitlines() if f"{name}.service" in line]
            assert not own, "\n".join(own)

    def _start(self, name):
        unit = self._read(name)
        service = unit["Service"]
        for required in ("User", "ExecStart", "WorkingDirectory"):
            assert required in service, f"{name} has no {required}"
        if folder := service.get("RuntimeDirectory"):
            (self._run / folder).mkdir(parents=True, exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
        for path in filter(None, service.get("EnvironmentFile", "").splitlines()):
            with open(path) as file:
                environment |= dict(line.strip().split("=", 1) for line in file if "=" in line)
        where = service["WorkingDirectory"]
        if before := service.get("ExecStartPre"):
            ended = Process(name, shlex.split(before), where, {}, exactly=environment)
            assert ended.wait() == 0, ended.output()
        command = shlex.split(service["ExecStart"])
        process = Process(name, command, where, {}, exactly=environment)
        self._running[name] = process
        process.wait_for_line(lambda line: any(said in line for said in _SERVES), "it serves")

    def _path(self, name):
        return self._folder / f"{name}.service"

    def _read(self, name):
        unit = configparser.ConfigParser(strict=False, interpolation=None, dict_type=_Repeatable)
        unit.optionxform = str
        unit.read(self._path(name))
        return unit


class _Repeatable(dict):
    """A key that stands twice in a unit has two values; configparser reads them as lists."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)
