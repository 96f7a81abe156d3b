"""The transactional outbox: ``INSTALLED_APPS += ["gatepost.outbox"]`` and ``"OUTBOX": True``.

What is published is a row of the caller's own transaction: it leaves if, and only if, that commits,
also when no gateway runs at that moment. ``models`` has the rows, ``storing`` writes them,
``numbering`` gives them their order, ``pages`` hands them out to gateways (``views``), ``pruning``
deletes what is old.
"""
