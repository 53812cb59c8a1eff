"""Reads docker-compose.yml and deploy/kubernetes as data."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

BASE_DIR = Path(settings.BASE_DIR)
KUBERNETES = BASE_DIR / "deploy" / "kubernetes"
KUSTOMIZATION = BASE_DIR / "deploy" / "kustomization.yaml"
OWN_IMAGE = "commerce-shop"

Resource = dict[str, Any]


@cache
def manifests() -> list[Resource]:
    """All resources in deploy/kubernetes."""
    return [each for path in sorted(KUBERNETES.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> dict[str, Resource]:
    """The resources of a kind, by name."""
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] == kind}


def pod_templates() -> dict[str, Resource]:
    """The pod templates by the name of their workload."""
    templates = {}
    for each in manifests():
        name, spec = each["metadata"]["name"], each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            templates[name] = spec["template"]
    return templates


def containers() -> Iterator[tuple[str, Resource]]:
    """All containers, including init containers, with the name of their workload."""
    for name, template in pod_templates().items():
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield name, container


@cache
def compose_services() -> dict[str, Resource]:
    """The services of docker-compose.yml."""
    services: dict[str, Resource] = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    return services
