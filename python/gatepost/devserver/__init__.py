"""What ``rungateway`` runs beside Django's own ``runserver``.

``ports`` chooses where everything listens, ``frontend`` finds a dev server, ``plan`` puts together
what the gateway is told, ``companion`` is one process, ``terminal`` is where all of them write.
"""
