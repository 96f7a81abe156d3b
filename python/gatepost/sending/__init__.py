"""What leaves for the gateway: notifications, revocations, rechecks, and questions who is online.

Top down: ``asynchronous``, ``changes`` (with ``relevance``) and ``operations`` use ``publishing``
and ``presence``; these describe what they send by ``targets``, ``frames`` and ``calls``; ``commit``
holds it back until the transaction commits and passes it to one of ``gatepost.backends``, or to
``piggyback``, which puts it on a response; ``client`` (with ``breaker``) makes the HTTP calls.
"""
