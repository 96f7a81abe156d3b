"""How gateway and Django trust each other: signatures, and the digests that name sessions.

Top down: ``gateway_view`` is what the views for the gateway have in common, ``trust`` looks at the
signature of a request, ``signature`` and ``digest`` compute.
"""
