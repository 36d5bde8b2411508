"""The tuning walk-through, command by command, with the words that people will read."""

import pytest

from tests.e2e.kubectl import SEED

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

NAME = "workspace-tuning-phi-3"
REGISTRY = "myregistry.azurecr.io"
COLUMNS = ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY"]
PLACEHOLDERS = {
    "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1": f"{REGISTRY}/phi-3-dolly:0.0.1",
    "ACR_REGISTRY_SECRET_HERE": "my-registry",
}


def filled_in():
    text = SEED.read_text()
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text


def conditions(kubectl):
    status = kubectl.json("workspace", NAME)["status"]
    return {one["type"]: one for one in status["conditions"]}


def test_the_seed_command_by_command(kubectl, operator, world, troubles):
    """Every command of the walk-through does on a real API server what it promises."""
    applied_as_printed(kubectl)
    filled_in_it_runs(kubectl)
    the_columns(kubectl)
    the_service(kubectl)
    the_question(kubectl)
    deleted(kubectl, world)


def applied_as_printed(kubectl):
    """Accepted, with a warning for each placeholder; nothing is paid for; the cause is told."""
    applied = kubectl("apply", "-f", SEED)

    assert applied.out == f"workspace.kaito.sh/{NAME} created\n"
    for placeholder in PLACEHOLDERS:
        assert sum(f'"{placeholder}"' in line for line in applied.warnings) == 1
    retired = [line for line in applied.warnings if "Azure retired Standard_NC6s_v3" in line]
    assert len(retired) == 1
    assert len(applied.warnings) == len(PLACEHOLDERS) + 1

    kubectl.wait("--for=condition=Stalled", f"workspace/{NAME}", seconds=120)
    found = conditions(kubectl)
    assert found["Ready"]["status"] == "False"
    assert found["Ready"]["reason"] == "OutputNotPushable"
    for line in ("tuning.output.image", "tuning.output.imagePushSecret"):
        assert line in found["Ready"]["message"]
    assert kubectl.names("nodeclaims") == []


def filled_in_it_runs(kubectl):
    """With the two values replaced it is configured, and goes on to its end."""
    kubectl(
        *("create", "secret", "docker-registry", "my-registry"),
        *(f"--docker-server={REGISTRY}", "--docker-username=me", "--docker-password=secret"),
    )
    assert kubectl("apply", "-f", "-", stdin=filled_in()).out.endswith(" configured\n")
    assert kubectl("apply", "-f", "-", stdin=filled_in()).out.endswith(" unchanged\n")

    kubectl.wait("--for=condition=Ready", f"workspace/{NAME}")


def the_columns(kubectl):
    """The table in both versions, and wide; names that are none are not found."""
    header, row = kubectl("get", "workspaces.v1alpha1.kaito.sh").rows
    assert header == [*COLUMNS, "AGE"]
    assert row[:5] == [NAME, "Standard_NC6s_v3", "True", "True", "True"]

    header, row = kubectl("get", "workspace").rows
    assert header == [*COLUMNS, "REASON", "AGE"]
    assert row[:5] == [NAME, "Standard_NC6s_v3", "True", "True", "True"]

    header, row = kubectl("get", "workspace", NAME, "-o", "wide").rows
    assert header == [
        *(*COLUMNS, "REASON", "AGE"),
        *("JOBSTARTED", "NODES", "STATE", "ENGINE", "MESSAGE"),
    ]

    for words in (("workspace", "kaito_workspace_tuning_phi_3.yaml"), ("svc", "workspace_tuning")):
        missing = kubectl.try_("get", *words)
        assert missing.code == 1
        assert "(NotFound)" in missing.err


def the_service(kubectl):
    header, row = kubectl("get", "svc", NAME).rows
    assert header == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert row[:2] == [NAME, "ClusterIP"]
    assert row[3:5] == ["<none>", "80/TCP,29500/TCP"]


def the_question(kubectl):
    """A curl pod asks the tuned adapter; its output is read from the node, and it is gone."""
    address = kubectl("get", "svc", NAME, "-o", "jsonpath={.spec.clusterIPs[0]}").out
    asked = kubectl.try_(
        *("run", "-it", "--rm", "--restart=Never", "curl", "--image=curlimages/curl", "--"),
        *("curl", "-X", "POST", f"http://{address}/chat"),
        *("-H", "accept: application/json", "-H", "Content-Type: application/json"),
        *("-d", '{"prompt":"YOUR QUESTION HERE"}'),
    )
    assert asked.code == 0, asked
    # Without attach kubectl prints the logs: once, or twice if it had read them before it tried.
    assert asked.out.startswith('{"Result":')
    assert "phi-3-dolly:0.0.1" in asked.out
    assert asked.out.endswith('pod "curl" deleted from default namespace\n')
    assert kubectl.names("pods", "--field-selector=metadata.name=curl") == []


def deleted(kubectl, world):
    """Nothing is left that costs money, and nothing that was made for the Workspace."""
    kubectl("delete", "workspace", NAME, "--timeout=180s")
    assert world.pools() == {}
    assert kubectl.names("nodeclaims") == []
    kubectl("delete", "secret", "my-registry")
