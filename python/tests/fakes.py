"""A gateway's internal listener that records what Django sends and checks its signature."""

import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import vectors

SECRET = "a-shared-secret-of-at-least-32-bytes"


#: Where what is signed stands in a request.
FIELDS = {"host": "Host", "address": "Gatepost-Address", "scheme": "Gatepost-Scheme"}


def signed_fields(method, target, *, body=b"", **named):
    """Return the header fields of a request that the gateway vouches for."""
    fields = {FIELDS[name]: value for name, value in named.items() if name in FIELDS}
    return {**fields, "Gatepost-Signature": sign(method, target, body=body, **named)}


def sign(method, target, *, secret=SECRET, at=None, body=b"", **headers):
    """Return Gatepost-Signature for a request, made from the contract's text.

    ``body=None`` stands for one that streams.
    """
    request = {
        "secret": secret,
        "method": method,
        "target": target,
        "t": int(time.time()) if at is None else at,
        "nonce": headers.get("nonce", ""),
        "host": headers.get("host", ""),
        "address": headers.get("address", ""),
        "scheme": headers.get("scheme", ""),
        "body": body if body is None else body.decode(),
    }
    return vectors.signed(request)["header"]


class Call:
    """One request that the fake gateway got."""

    def __init__(self, method, path, headers, body, connection):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.connection = connection

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def signature_holds(self):
        given = self.headers["Gatepost-Signature"]
        said = dict(part.split("=") for part in given.split(","))
        at, nonce = int(said["t"]), said.get("n", "")
        named = {"at": at, "nonce": nonce, "host": self.headers["Host"]}
        made = sign(self.method, self.path, body=self.body, **named)
        return given == made and abs(at - time.time()) <= 60


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The answer's head and body are two packets; without this the second waits 40 ms for an ACK.
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = Call(self.command, self.path, self.headers, body, id(self.connection))
        self.server.gateway.calls.append(call)
        self.server.gateway.answer(self, call)

    do_GET = do_POST

    def address_string(self):
        return "client"

    def log_message(self, *args):
        pass


class _UnixHandler(_Handler):
    disable_nagle_algorithm = False


class FakeGateway:
    """Answers 202 with one line a publication, unless ``script`` says else."""

    def __init__(self, server):
        self.calls = []
        self.script = []
        self.server = server
        server.gateway = self
        server.daemon_threads = True
        self.thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        self.thread.start()

    @classmethod
    def on_tcp(cls, port=0):
        return cls(_Tcp(("127.0.0.1", port), _Handler))

    @classmethod
    def on_unix(cls, path):
        return cls(_Unix(str(path), _UnixHandler))

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def publications(self):
        return [line for call in self.calls if call.path == "/v1/publish" for line in call.lines]

    @property
    def revocations(self):
        return [json.loads(call.body) for call in self.calls if call.path == "/v1/revoke"]

    def answer(self, handler, call):
        if self.script:
            self.script.pop(0)(handler)
            return
        said = [
            {"id": line.get("id", "-"), "position": "1.1", "sockets": 1, "offline": 0}
            for line in call.lines
        ]
        respond(handler, 202, b"".join(json.dumps(line).encode() + b"\n" for line in said))

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class _Tcp(ThreadingHTTPServer):
    """Cuts its clients when it closes, as a process that ends does."""

    def __init__(self, *args):
        super().__init__(*args)
        self.clients = []

    def process_request(self, request, client_address):
        self.clients.append(request)
        super().process_request(request, client_address)

    def server_close(self):
        for client in self.clients:
            try:
                client.shutdown(2)
            except OSError:
                continue
        super().server_close()


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


def respond(handler, status, body, content_type="application/x-ndjson"):
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def problem(status, detail):
    """Return a script step that answers an RFC 9457 problem."""
    body = json.dumps({"type": "about:blank", "status": status, "detail": detail}).encode()
    return lambda handler: respond(handler, status, body, "application/problem+json")
