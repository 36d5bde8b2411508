"""What `kubectl apply -k` would install, and the image it runs."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
import yaml

from kaito import __version__
from kaito.api.validation import validate_object
from kaito.planning.decision import Plan
from kaito.settings import azure_settings
from tests.deploy.kustomize import build

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("deploy", "deploy/azure")
KUSTOMIZATIONS = sorted(ROOT.glob("deploy/**/kustomization.yaml")) + sorted(
    ROOT.glob("config/**/kustomization.yaml")
)

SAMPLES = sorted(DEPLOY.glob("samples/[!k]*.yaml"))


def documents(path: Path) -> list[dict]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


@pytest.fixture(params=OVERLAYS)
def installed(request) -> list[dict]:
    return build(ROOT / request.param)


def one(found: list[dict], kind: str) -> dict:
    (document,) = [document for document in found if document["kind"] == kind]
    return document


def names(found: list[dict]) -> list[tuple[str, str]]:
    """Kinds and names; of generated names without the hash of the content."""
    return sorted(
        (one["kind"], re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"])) for one in found
    )


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_named_is_there(path: Path) -> None:
    """A kustomization names files and folders that exist, and every YAML beside it is named."""
    (found,) = documents(path)
    generators = [env for one in found.get("configMapGenerator", ()) for env in one["envs"]]
    patches = [one["path"] for one in found.get("patches", ())]
    named = [*found.get("resources", ()), *found.get("components", ()), *patches, *generators]
    for name in named:
        target = path.parent / name
        assert target.is_file() or (target / "kustomization.yaml").is_file(), name
    beside = {one.name for one in path.parent.glob("*.yaml")} - {"kustomization.yaml"}
    assert beside <= set(named)


@pytest.mark.realtime
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_kubectl_builds_it_offline(path: Path) -> None:
    """`kubectl kustomize` needs no network, and makes what the tests below look at."""
    (kustomization,) = documents(path)
    if kustomization["kind"] == "Component":
        pytest.skip("built as part of an overlay")
    done = subprocess.run(
        ["kubectl", "kustomize", str(path.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]

    if path.parent in (DEPLOY, DEPLOY / "azure"):
        assert names(built) == names(build(path.parent))


@pytest.mark.realtime
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
def test_components_add_scraping(tmp_path: Path) -> None:
    """An overlay of one's own takes either component: annotations, or a PodMonitor."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    mine = tmp_path / "deploy/mine"
    mine.mkdir()
    overlay = {
        "resources": ["../azure"],
        "components": ["../components/podmonitor", "../components/scrape"],
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    done = subprocess.run(
        ["kubectl", "kustomize", str(mine)], capture_output=True, text=True, check=True
    )
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    deployment, monitor = one(built, "Deployment"), one(built, "PodMonitor")
    template = deployment["spec"]["template"]
    ports = {port["name"]: port for port in template["spec"]["containers"][0]["ports"]}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in ports
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= template["metadata"]["labels"].items()
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"]["containerPort"])


def test_the_pod_passes_the_restricted_standard(installed) -> None:
    """The rules of Pod Security's `restricted`, which its own namespace enforces."""
    pod = one(installed, "Deployment")["spec"]["template"]["spec"]
    labels = one(installed, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod)
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in port for port in container["ports"])


def test_probes_and_scrapes_find_their_ports(installed) -> None:
    """Ports that flags open, probes ask, and the NetworkPolicy lets in are the same."""
    deployment = one(installed, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"--metrics-bind-address=:{ports['metrics']}" in container["args"]
    assert f"--health-probe-bind-address=:{ports['probes']}" in container["args"]
    for probe, path in (("liveness", "/healthz"), ("readiness", "/readyz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "probes"}
    (rule,) = one(installed, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == set(ports)


def test_the_program_takes_its_arguments(installed) -> None:
    """The image's entry point is the program, and each argument is one it knows."""
    from kaito.cli.root import root

    (container,) = one(installed, "Deployment")["spec"]["template"]["spec"]["containers"]
    command_name, *arguments = container["args"]
    command = root.get_command(click.Context(root), command_name)
    assert command is not None
    command.make_context(command_name, list(arguments))
    assert 'ENTRYPOINT ["kaito"]' in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_selectors_select_the_pod(installed) -> None:
    """Deployment, budget, policy and spread all mean the operator's pods."""
    deployment = one(installed, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    for selector in (
        deployment["selector"],
        spread["labelSelector"],
        one(installed, "PodDisruptionBudget")["spec"]["selector"],
        one(installed, "NetworkPolicy")["spec"]["podSelector"],
    ):
        assert selector["matchLabels"].items() <= labels


def test_two_replicas_have_a_lease(installed) -> None:
    """More than one replica, or one during a roll-out, must never both spend money."""
    (container,) = one(installed, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--leader-elect" in container["args"]


def test_it_outlives_its_own_grace(installed) -> None:
    """The kubelet waits longer than the operator gives running reconciles."""
    from kaito.settings import OperatorSettings

    pod = one(installed, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > OperatorSettings().grace_seconds


def test_the_account_of_the_pod_has_the_roles(installed) -> None:
    """Every binding is for the account the pod runs as, in the namespace it runs in."""
    deployment = one(installed, "Deployment")
    me = {
        "kind": "ServiceAccount",
        "name": deployment["spec"]["template"]["spec"]["serviceAccountName"],
        "namespace": deployment["metadata"]["namespace"],
    }
    bindings = [found for found in installed if found["kind"].endswith("RoleBinding")]
    assert bindings
    assert all(found["subjects"] == [me] for found in bindings)


def test_the_image_has_the_version_of_the_source(installed) -> None:
    """Installing from a checkout runs what was checked out."""
    (kustomization,) = documents(DEPLOY / "base/kustomization.yaml")
    (image,) = kustomization["images"]
    assert image["newTag"] == __version__


def test_azure_env_is_what_the_settings_read() -> None:
    """Every variable the operator wants is in azure.env, and none that it ignores."""
    text = (DEPLOY / "azure/azure.env").read_text(encoding="utf-8")
    env = dict(line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    assert azure_settings(env).cluster == env["AZURE_CLUSTER_NAME"]
    assert set(env) == {
        *("ARM_SUBSCRIPTION_ID", "ARM_RESOURCE_GROUP", "AZURE_CLUSTER_NAME"),
        "AZURE_CLIENT_ID",
    }


def test_azure_runs_with_a_workload_identity() -> None:
    """Label, annotation and flag: without any of them the pod has no identity."""
    built = build(DEPLOY / "azure")
    template = one(built, "Deployment")["spec"]["template"]
    account = one(built, "ServiceAccount")
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert "azure.workload.identity/client-id" in account["metadata"]["annotations"]
    assert "--cloud=azure" in template["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid_and_planned(path: Path) -> None:
    """A sample that would be refused teaches nothing."""
    from kaito.cli.workspaces import planned

    for document in documents(path):
        assert validate_object(document) == []
    assert [type(item.decision) for item in planned((str(path),), "default")] == [Plan]


def test_the_image_is_made_of_what_is_let_in() -> None:
    """Each file that the Dockerfile copies from here exists and passes .dockerignore."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    assert "USER 65532:65532" in dockerfile
    assert "--require-hashes -r requirements.lock" in dockerfile


@pytest.mark.realtime
def test_the_package_has_its_data(tmp_path: Path) -> None:
    """The image installs a wheel: what modules read beside them must be in it."""
    pytest.importorskip("hatchling", reason="make dev installs it")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    data = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert data <= inside
