"""Gateway and Django understand each other through runserver, which each Django brings along.

Through the other servers they do so in ``servers/``, with the newest Django.
"""

import threading

import pytest
import serving
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from project.wsgi import application


@pytest.fixture
def runserver():
    """The very server and handler of manage.py runserver."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield serving.over_tcp(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def test_runserver(runserver):
    serving.answers_the_gateway(runserver)
    serving.believes_its_questions(runserver)
    for target in ("/seen/", "/seen/a%20b/%C3%A4?q=%c3%a4&r=%7E"):
        serving.believes_the_gateway(runserver, target)
    serving.believes_any_spelling(runserver)
    serving.leads_to_the_login(runserver)
    serving.believes_nobody_else(runserver)
