"""What the gateway is told about a session: on its request, and on responses.

``views`` answer its questions; ``resolving``, ``logins`` and ``sessions`` find out who a session
is, ``answers`` says it as JSON. ``identity`` puts the same answer on responses to browsers.
"""
