"""A site behind other proxies: real nginx, HAProxy and Caddy, alone and in a row."""

import os
import shutil
import subprocess

from .guide import DOCS, read
from .process import Process
from .site import Site
from .wait import free_port, listens, wait_until

#: What the proxies connect from, so that they and their clients can be told apart.
FRONT, INNER = "127.0.0.3", "127.0.0.4"


class BehindProxies(Site):
    """A site that trusts its proxies; `keys` are those of `[server]`, in place of the usual."""

    def __init__(self, folder, playwright, *, keys, ends_tls):
        super().__init__(folder, playwright)
        self._keys = keys
        self._ends_tls = ends_tls
        self.proxies = []
        self.port = None

    def start(self):
        self._certificate = make_certificate(self.folder) if self._ends_tls else None
        return super().start()

    def _config(self, frontend):
        config = super()._config(frontend)
        for key in ("https", "http"):
            if key in self._keys:
                config = config.replace(f'{key} = "127.0.0.1:0"\n', "")
        keys = "\n".join(f"{key} = {value}" for key, value in self._keys.items())
        config = config.replace("[log]\n", '[log]\naccess = "json"\n')
        return config.replace("[server]\n", f"[server]\n{keys}\n")

    @property
    def door(self):
        """The Unix socket at which plain HTTP is served, where there is one."""
        return self.folder / "http.sock"

    @property
    def origin(self):
        return f"https://localhost:{self.port or self.https_port}"

    @property
    def ca_file(self):
        return self.folder / "front" / "ca.pem" if self._ends_tls else super().ca_file

    def stop(self):
        """Ends everything; the proxies before the gateway."""
        for proxy in reversed(self.proxies):
            proxy.stop()
        super().stop()

    # The proxies, the last one first: each returns the port at which it listens.

    def nginx(self, to, *, address, tls=True, listen="", scheme="$scheme"):
        """nginx as its own documentation says it, in front of `to`."""
        port = free_port()
        secure = f"ssl_certificate {self._pem}; ssl_certificate_key {self._key};" if tls else ""
        bind = "" if to.startswith("http://unix:") else f"proxy_bind {address};"
        real_ip = f"set_real_ip_from {FRONT}; real_ip_header proxy_protocol;" if listen else ""
        return self._nginx(
            port,
            f"""
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port} {"ssl" if tls else ""} {listen};
        {secure}
        {real_ip}
        location / {{
            proxy_pass {to};
            {bind}
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto {scheme};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
""",
        )

    def nginx_of_the_guide(self):
        """nginx as docs/deploy.md says it, at places of this site's."""
        port = free_port()
        steps = read(DOCS / "deploy.md")
        text = next(step.text for step in steps if step.argument == "behind/nginx.conf")
        for theirs, ours in {
            "listen 80": f"listen 127.0.0.1:{free_port()}",
            "listen 443": f"listen 127.0.0.1:{port}",
            "/run/mysite-gateway/http.sock": self.door,
            "/etc/mysite/tls/site.pem": self._pem,
            "/etc/mysite/tls/site.key": self._key,
        }.items():
            assert theirs in text, f"the guide has no {theirs}"
            text = text.replace(theirs, str(ours))
        return self._nginx(port, text)

    def _nginx(self, port, text):
        folder = self.folder / f"nginx-{port}"
        folder.mkdir()
        (folder / "nginx.conf").write_text(f"""
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{text}
}}
""")
        return self._started("nginx", ["nginx", "-p", folder, "-c", folder / "nginx.conf"], port)

    def haproxy(self, to, *, mode="http", server="", rules=(), address=FRONT):
        """HAProxy in front of `to`, `127.0.0.1:PORT`."""
        port = free_port()
        folder = self.folder / f"haproxy-{port}"
        folder.mkdir()
        secure = f"ssl crt {self._both} alpn h2,http/1.1" if mode == "http" else ""
        lines = [
            "defaults",
            f"mode {mode}",
            "timeout connect 5s",
            "timeout client 60s",
            "timeout server 60s",
            "timeout tunnel 60s",
            "listen front",
            f"bind 127.0.0.1:{port} {secure}",
            *rules,
            f"server gateway {to} source {address} {server}",
        ]
        (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
        return self._started("haproxy", ["haproxy", "-db", "-f", folder / "haproxy.cfg"], port)

    def caddy(self, to):
        """Caddy in front of `to`, with a certificate of this site's."""
        port = free_port()
        folder = self.folder / f"caddy-{port}"
        folder.mkdir()
        (folder / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    skip_install_trust
    storage file_system {folder}
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {self._pem} {self._key}
    reverse_proxy {to}
}}
""")
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
        return self._started("caddy", command, port)

    def _started(self, name, command, port):
        # Debian keeps them where only root looks.
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
        command[0] = shutil.which(name, path=path)
        assert command[0], f"{name} is missing: scripts/install-proxies.sh"
        process = Process(name, command, self.folder, {})
        self.proxies.append(process)
        wait_until(lambda: listens(port) or not process.running(), f"{name} listens")
        assert process.running(), process.output()
        self.port = port
        return port

    @property
    def _pem(self):
        return self._certificate / "site.pem"

    @property
    def _key(self):
        return self._certificate / "site.key"

    @property
    def _both(self):
        return self._certificate / "both.pem"


def make_certificate(folder):
    """A CA and a certificate for localhost: `ca.pem`, `site.pem`, `site.key`, `both.pem`."""
    folder = folder / "front"
    folder.mkdir()

    def openssl(*arguments):
        command = ["openssl", *(str(argument) for argument in arguments)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"]
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    name = ["-subj", "/CN=Front CA"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", *name, *ca)
    name = ["-subj", "/CN=localhost"]
    openssl("req", *key, "-keyout", "site.key", "-out", "site.csr", *name)
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    openssl("x509", "-req", "-in", "site.csr", "-out", "site.pem", "-days", "30", *signed)
    both = (folder / "site.pem").read_text() + (folder / "site.key").read_text()
    (folder / "both.pem").write_text(both)
    return folder
