"""The gateway's program and its gateway.toml, as far as Django knows them.

``binary`` finds the program, ``gateway_toml`` reads the file, ``draft`` writes one from Django's
settings (with ``frontend``, ``static_files`` and ``asgi_routes``), ``probe`` tries a gateway out.
"""
