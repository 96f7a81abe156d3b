"""What ``rungateway`` runs: the gateway, Django's own ``runserver``, and a frontend's dev server.

``ports`` chooses where everything listens, ``frontend`` finds a dev server, ``plan`` puts together
what the gateway is told, ``runserver`` is Django (and ``standin`` what answers while it does not
start), ``companion`` is one process beside it, ``terminal`` is where all of them write.
"""
