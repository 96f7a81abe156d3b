"""The recipes of docs/deploy.md for containers: what their files say about each other holds.

`test_docs.py` writes them and has `gatepost check` read each gateway.toml; neither Docker nor
Kubernetes is here.
"""

import secrets
import subprocess

import pytest
import tomllib
import yaml

from harness.guide import DOCS, read
from harness.site import gateway_binary

STEPS = {step.argument: step.text for step in read(DOCS / "deploy.md") if step.verb == "write"}
IMAGE = tomllib.loads(STEPS["one/gateway.toml"])
#: What the gateway has where a file does not say otherwise, and gunicorn gets to end.
DRAIN_TIMEOUT, SERVER_TIMEOUT = 30, 10


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(STEPS["behind/compose.yaml"])


@pytest.fixture(scope="module")
def cluster():
    """The Deployment's pod, the Service's port and the Ingress."""
    found = {it["kind"]: it["spec"] for it in yaml.safe_load_all(STEPS["behind/kubernetes.yaml"])}
    return found["Deployment"]["template"]["spec"], found["Service"]["ports"][0], found["Ingress"]


def test_the_gateway_of_compose_takes_its_variables(services, tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "gateway.toml").write_text(STEPS["one/gateway.toml"])
    variables = {
        name: secrets.token_hex(32) if name == "GATEPOST_SECRET" else str(value)
        for name, value in services["services"]["gateway"]["environment"].items()
    }

    check = subprocess.run(
        [gateway_binary(), "check"],
        cwd=tmp_path,
        env=variables,
        text=True,
        capture_output=True,
        check=False,
    )

    assert check.returncode == 0, check.stderr
    assert "warning" not in check.stderr
    for told in ("Django at http://django:8000", "internal  0.0.0.0:9400"):
        assert told in check.stdout


def test_the_services_of_compose_find_each_other(services):
    django, gateway, proxy = (services["services"][name] for name in ("django", "gateway", "proxy"))
    port = gateway["environment"]["GATEPOST_SERVER__INTERNAL"].rpartition(":")[2]
    assert django["environment"]["GATEPOST_URL"] == f"http://gateway:{port}"
    listens = django["command"].split("--bind 0.0.0.0:")[1].split()[0]
    assert gateway["environment"]["GATEPOST_DJANGO__UPSTREAM"] == f"http://django:{listens}"
    assert proxy["command"].endswith(f"--to gateway:{IMAGE['server']['http']}")
    network = services["networks"]["default"]["ipam"]["config"][0]["subnet"]
    assert IMAGE["server"]["trusted_proxies"] == [network]
    assert [name for name, it in services["services"].items() if "ports" in it] == ["proxy"]
    assert seconds(gateway["stop_grace_period"]) > DRAIN_TIMEOUT
    words = django["command"].split()
    workers, threads = (int(words[words.index(it) + 1]) for it in ("--workers", "--threads"))
    assert gateway["environment"]["GATEPOST_DJANGO__CONCURRENCY"] == workers * threads


def test_kubernetes_asks_and_waits_for_what_the_gateway_says(cluster):
    pod, service, ingress = cluster
    server = tomllib.loads(STEPS["behind/kubernetes.toml"])["server"]
    container = pod["containers"][0]
    probe = container["readinessProbe"]
    assert probe["httpGet"] == {"path": server["health"], "port": int(server["http"])}
    assert container["ports"] == [{"containerPort": service["targetPort"]}]
    assert service["targetPort"] == int(server["http"])
    delay = seconds(server["shutdown_delay"])
    # Three times unready, as Kubernetes does by itself.
    assert delay > 3 * probe["periodSeconds"]
    assert pod["terminationGracePeriodSeconds"] > delay + DRAIN_TIMEOUT + SERVER_TIMEOUT
    assert [rule["host"] for rule in ingress["rules"]] == server["hosts"]
    assert ingress["tls"][0]["hosts"] == server["hosts"]
