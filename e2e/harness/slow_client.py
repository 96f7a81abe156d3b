"""Clients that take and send what a test says and not a byte more, over HTTP/1.1 and HTTP/2."""

import socket
import ssl

import h2.config
import h2.connection
import h2.settings

# Streams of one HTTP/2 connection; the gateway takes 100.
STREAMS = 50
# What an HTTP/2 client may send before it is told anything new.
WINDOW = 1024 * 1024


def connect(site, *, address="127.0.0.1", protocol="http/1.1"):
    """A connection from this address whose kernel takes few bytes by itself."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(30)
    plain.bind((address, 0))
    plain.connect(("127.0.0.1", site.https_port))
    context = site.tls()
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(plain, server_hostname="localhost")


class Http1:
    """A connection for each request."""

    def __init__(self, site, address="127.0.0.1"):
        self._site, self._address = site, address
        self.connections = []

    def begin(self, method, path, *, length=None, body=b""):
        """Sends a head, and this much of the body of which it announces `length` bytes."""
        connection = connect(self._site, address=self._address)
        self.connections.append(connection)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{self._site.https_port}\r\n"
        if length is not None:
            head += f"Content-Length: {length}\r\n"
        connection.sendall(head.encode() + b"\r\n" + body)

    def close(self):
        for connection in self.connections:
            connection.close()


class Http2:
    """Many requests on a connection; no window is ever opened again."""

    def __init__(self, site, address="127.0.0.1"):
        self._site, self._address = site, address
        self.connections = []

    def begin(self, method, path, *, length=None, body=b""):
        """Sends a head, and this much of the body of which it announces `length` bytes."""
        if not self.connections or self._streams == STREAMS:
            self._connect()
        self._streams += 1
        authority = f"localhost:{self._site.https_port}"
        fields = [(":method", method), (":scheme", "https"), (":authority", authority)]
        fields += [(":path", path)]
        if length is not None:
            fields += [("content-length", str(length))]
        stream = self._speaks.get_next_available_stream_id()
        self._speaks.send_headers(stream, fields, end_stream=not length)
        if body:
            self._speaks.send_data(stream, body)
        self.connections[-1].sendall(self._speaks.data_to_send())

    def _connect(self):
        self.connections.append(connect(self._site, address=self._address, protocol="h2"))
        self._streams = 0
        self._speaks = h2.connection.H2Connection(h2.config.H2Configuration())
        self._speaks.initiate_connection()
        small = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1024}
        self._speaks.update_settings(small)
        self.connections[-1].sendall(self._speaks.data_to_send())
        # The first thing that the gateway says is how much it may be sent.
        while self._speaks.outbound_flow_control_window < WINDOW:
            self._speaks.receive_data(self.connections[-1].recv(4096))

    def close(self):
        for connection in self.connections:
            connection.close()


def sip(clients, size=16 * 1024):
    """Takes at most `size` bytes on each connection where something waits."""
    for connection in clients.connections:
        connection.settimeout(0.01)
        try:
            connection.recv(size)
        except (TimeoutError, ssl.SSLError, OSError):
            continue
