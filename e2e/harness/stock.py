"""A site with a stock Django project behind the gateway: no frontend, no code for Gatepost.

The project has either an auth view of its own, all that Gatepost needs, or the package
(`package=True`); the tests of sessions run on both.
"""

import os

from .site import ROOT, SOCKET, Site

PASSWORD = "correct-horse-4"


class StockSite(Site):
    """Gateway and stock project; people: ann (superuser) and bob (staff)."""

    backend = ROOT / "e2e" / "stock"
    wsgi = "stock.wsgi"
    made = ("stock.sqlite3",)

    def __init__(self, folder, playwright, *, package=False, revalidate="60s", **settings):
        super().__init__(folder, playwright)
        self.settings = settings
        self.package = package
        self._revalidate = revalidate

    @property
    def project(self):
        """The package has tables of its own."""
        return "stock-with-package" if self.package else "stock"

    def make(self):
        """Makes the database and two people."""
        self.manage("migrate", "--verbosity=0")
        for name in ("ann", "bob"):
            self.manage("createsuperuser", "--no-input", f"--username={name}", "--email=a@b.test")

    def restart_django(self, **settings):
        """Stops Django and starts it with other settings."""
        self.django.stop()
        self.settings |= settings
        self.start_django()

    def checks(self):
        """How often Django was asked who a session is, or who many are."""
        paths = ("POST /_gatepost/sessions/", "GET /_gatepost/auth/", "GET /whoami/")
        return sum(self.asked(path) for path in paths)

    def log_in(self, page, name, password=PASSWORD):
        """Through the stock form; ends on the page with a socket."""
        page.goto(f"{self.origin}/login/")
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        page.click("input[type=submit]")
        page.wait_for_url(f"{self.origin}/page/")

    def _django_environment(self):
        varied = {f"STOCK_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {
            "PYTHONPATH": os.pathsep.join(str(path) for path in (self.backend, ROOT / "python")),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SETTINGS_MODULE": "stock.settings",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "STOCK_FOLDER": str(self.folder),
            "STOCK_SECRET_KEY": "only-for-these-tests-" + "x" * 40,
            "STOCK_PACKAGE": "1" if self.package else "",
            "GATEPOST_SECRET": self.secret,
            "GATEPOST_URL": self._internal,
        } | varied

    def _config(self, frontend):
        auth = "" if self.package else 'url = "/whoami/"\nbatch_url = ""'
        return f"""
[server]
https = "127.0.0.1:0"
http = "127.0.0.1:0"
internal = "127.0.0.1:0"
hosts = ["localhost"]
lan = false

[django]
upstream = "http://{self._django_bind}"

[[sockets]]
path = "{SOCKET}"

[auth]
{auth}
revalidate = "{self._revalidate}"

[limits]
drain_spread = "200ms"

[log]
level = "debug"
"""
