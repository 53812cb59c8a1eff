"""docker-compose.yml, deploy/Dockerfile and deploy/kubernetes refer only to existing things, and run nothing as root.

`.ci/deployment` validates the manifests with Kubernetes' schemas, and the Dockerfile with hadolint.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError
from django.test import Client
from pytest_django import Settings

from commerce.core.environment import SECRETS, file_variable
from tests.contract.deployment_files import (
    BASE_DIR,
    KUBERNETES,
    KUSTOMIZATION,
    OWN_IMAGE,
    compose_services,
    containers,
    of_kind,
    pod_templates,
)
from tests.contract.settings_document import all_settings
from tests.security.test_key_rotation import NEW, OLD, VALUES, read

COMPONENT = "app.kubernetes.io/component"
ONE_TIME = {"migrate", "topics", "demo"}
"""Services of docker-compose.yml that run once."""
MODULES = {"commerce.serve", "commerce.healthy", "commerce.embedded.sink"}


def own_commands() -> list[list[str]]:
    """All commands that run in the shop's image, of both deployments."""
    compose = [
        service["command"] for service in compose_services().values() if "build" in service and "command" in service
    ]
    checks = [service["healthcheck"]["test"][1:] for service in compose_services().values() if "healthcheck" in service]
    kubernetes = [
        container["command"]
        for _, container in containers()
        if container["image"] == OWN_IMAGE and "command" in container
    ]
    probes = [
        probe["exec"]["command"] for _, container in containers() for probe in probes_of(container) if "exec" in probe
    ]
    return [command for command in (*compose, *checks, *kubernetes, *probes) if command[0] == "python"]


def probes_of(container: dict[str, Any]) -> list[dict[str, Any]]:
    return [container[name] for name in ("startupProbe", "livenessProbe", "readinessProbe") if name in container]


def test_every_command_exists_and_takes_its_arguments() -> None:
    commands = own_commands()
    assert len(commands) > 15
    for command in commands:
        if command[1] == "-m":
            assert command[2] in MODULES, command
            continue
        assert command[1] == "manage.py", command
        parser = known(command[2]).create_parser("manage.py", command[2])
        parser.parse_args(command[3:])


def test_a_command_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(CommandError):
        known("relay_outbox").create_parser("manage.py", "relay_outbox").parse_args(["--metrics-prot", "1"])
    assert "relay_outboxes" not in get_commands()


def known(name: str) -> BaseCommand:
    app = get_commands()[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def test_the_settings_are_settings_and_are_accepted(tmp_path: Path) -> None:
    given = dict(of_kind("ConfigMap")["shop-settings"]["data"])
    files = {name for name in given if name.endswith("_FILE")}
    of_files = {file_variable(name) for name in SECRETS}
    known_settings = {each.name for each in all_settings()}
    assert files <= of_files
    assert set(given) - files <= known_settings
    own = {each["name"] for _, container in containers() for each in container.get("env", ())}
    assert own <= known_settings
    for name in files:
        secret = name.removesuffix("_FILE")
        assert given[name] == f"/run/secrets/shop/{secret}"
        (tmp_path / secret).write_text(VALUES[secret])
        given[name] = str(tmp_path / secret)
    accepted = read({"SECRET_KEY": "", "DATABASE_URL": "", **given})
    assert (accepted["SECRET_KEY"], accepted["SECRET_KEY_FALLBACKS"]) == (OLD, [NEW])
    assert accepted["KAFKA_SECURITY"]["security.protocol"] == "SASL_SSL"


def test_the_page_makes_the_secrets_that_are_named() -> None:
    given = of_kind("ConfigMap")["shop-settings"]["data"]
    page = (BASE_DIR / "docs" / "deployment.md").read_text()
    named = {name.removesuffix("_FILE") for name in given if name.endswith("_FILE")}
    assert set(re.findall(r"--from-(?:literal|file)=([A-Z_]+)=", page)) == named


@pytest.mark.django_db
def test_probes_use_paths_that_accept_a_pods_address(settings: Settings) -> None:
    """The kubelet sends the pod's IP address as Host, and uses http although clients use https."""
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["shop.example"], True
    asked = {
        probe["httpGet"]["path"]
        for _, container in containers()
        for probe in probes_of(container)
        if "httpGet" in probe
    }
    assert asked == {"/livez", "/readyz"}
    for path in asked:
        assert Client().get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200, path
    assert Client().get("/api/products", headers={"Host": "10.1.2.3:8000"}).status_code != 200


def test_probes_and_services_name_ports_that_are_open() -> None:
    for name, container in containers():
        ports = {port["name"] for port in container.get("ports", ())}
        for probe in probes_of(container):
            if "exec" not in probe:
                assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports, name
                continue
            address = probe["exec"]["command"][-1]
            port = container["command"][container["command"].index("--metrics-port") + 1]
            assert address == f"http://127.0.0.1:{port}/metrics", name
    for name, service in of_kind("Service").items():
        open_ports = {
            port["name"] for container in pod_templates()[name]["spec"]["containers"] for port in container["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports


def test_every_deployment_has_probes_a_budget_and_two_pods() -> None:
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]["minReplicas"]
        for each in of_kind("HorizontalPodAutoscaler").values()
    }
    for name, deployment in of_kind("Deployment").items():
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert "livenessProbe" in container, name
        assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == {COMPONENT: name}
        assert deployment["spec"].get("replicas", scaled.get(name)) >= 2
        assert deployment["spec"]["selector"]["matchLabels"] == {COMPONENT: name}
    assert set(scaled) <= set(of_kind("Deployment"))


def test_every_selector_selects_something() -> None:
    labels = [template["metadata"]["labels"] for template in pod_templates().values()]

    def selects(wanted: dict[str, str]) -> bool:
        return any(wanted.items() <= each.items() for each in labels)

    for service in of_kind("Service").values():
        assert selects(service["spec"]["selector"])
    policies = of_kind("NetworkPolicy")
    for policy in policies.values():
        assert selects(policy["spec"]["podSelector"].get("matchLabels", {}))
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                assert "podSelector" not in peer or selects(peer["podSelector"]["matchLabels"])
    assert policies["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_no_container_is_root_or_can_become_it() -> None:
    for name, template in pod_templates().items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in pod_templates()[name]["spec"]["volumes"]}, name


def test_new_code_waits_for_its_migrations() -> None:
    for name, deployment in of_kind("Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        if pod["containers"][0]["image"] == OWN_IMAGE:
            [before] = pod["initContainers"]
            assert before["command"][1:] == ["manage.py", "migrate", "--check"], name
    assert "migrate" in of_kind("Job")


def test_the_kustomization_names_every_manifest_and_gateway_file() -> None:
    import yaml

    named = yaml.safe_load(KUSTOMIZATION.read_text())
    assert set(named["resources"]) == {f"kubernetes/{path.name}" for path in KUBERNETES.glob("*.yaml")}
    assert OWN_IMAGE in {image["name"] for image in named["images"]}
    [gateway] = named["configMapGenerator"]
    there = {f"gateway/{path.name}" for path in (BASE_DIR / "deploy" / "gateway").glob("*.conf")}
    assert set(gateway["files"]) == there


# --- The image and docker-compose.yml ---------------------------------------------------------------------------------


def test_the_image_is_not_root_and_verifies_hashes() -> None:
    text = (BASE_DIR / "deploy" / "Dockerfile").read_text()
    assert text.count("\nFROM ") == 3
    last = text.rpartition("\nFROM ")[2]
    [user] = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert f"USER {user}" in last
    assert {
        template["spec"]["securityContext"]["runAsUser"]
        for name, template in pod_templates().items()
        if name != "gateway"
    } == {int(user)}
    assert "--require-hashes" in text
    assert "--only-binary=:all:" in text
    # The image contains neither pip nor its downloads.
    assert "pip" not in last


def of_the_shop() -> dict[str, Any]:
    """The services of docker-compose.yml without the monitoring."""
    return {name: each for name, each in compose_services().items() if each.get("profiles") != ["monitoring"]}


@pytest.mark.parametrize("name", of_the_shop())
def test_every_service_of_compose_has_a_check_of_its_own(name: str) -> None:
    service = compose_services()[name]
    assert ("healthcheck" in service) == (name not in ONE_TIME)
    if "build" in service or name == "gateway":
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    if "--metrics-port" in service.get("command", ()):
        port = service["command"][service["command"].index("--metrics-port") + 1]
        assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}/metrics"


def test_compose_publishes_the_gateway_alone_before_two_web_servers() -> None:
    assert [name for name, service in of_the_shop().items() if "ports" in service] == ["gateway"]
    assert compose_services()["web"]["deploy"] == {"replicas": 2}
    assert "./deploy/gateway:/etc/gateway:ro" in compose_services()["gateway"]["volumes"]
