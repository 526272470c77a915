"""As much of a Kubernetes cluster as Helm asks when a template looks something up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = {
    "v1": {
        "services": "Service",
        "serviceaccounts": "ServiceAccount",
        "persistentvolumeclaims": "PersistentVolumeClaim",
    },
    "apps/v1": {"deployments": "Deployment"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"ingresses": "Ingress"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}


def discovery() -> dict[str, Any]:
    """What the cluster says of itself, by path."""
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    }
    for version, kinds in KINDS.items():
        resources = [{"name": name, "kind": kind, "namespaced": True, "verbs": ["get"]} for name, kind in kinds.items()]
        listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        answers[f"/apis/{version}" if "/" in version else f"/api/{version}"] = listed
        if "/" in version:
            group, _, number = version.partition("/")
            named = {"groupVersion": version, "version": number}
            answers["/apis"]["groups"].append({"name": group, "versions": [named], "preferredVersion": named})
    return answers


@contextmanager
def cluster(deployment: str, replicas: int) -> Iterator[str]:
    """Run a cluster that has one Deployment; gives its address."""
    release, _, _ = deployment.rpartition("-")
    metadata = {
        "name": deployment,
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "default"},
    }
    there = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata}
    path = f"/apis/apps/v1/namespaces/default/deployments/{deployment}"
    answers = discovery() | {path: there | {"spec": {"replicas": replicas}}}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "code": 404}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
