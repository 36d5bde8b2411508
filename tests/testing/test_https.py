"""The fixture over HTTPS: for kubectl, for the example as a program, for other frameworks."""

import asyncio
import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import yaml

from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, DEPLOYMENTS
from kaito.testing.api import embedded_api as in_process_api
from tests.testing.example import FILE, FOLDER, PAGE_FILE, website

pytestmark = pytest.mark.realtime

HELLO = ObjectKey("default", "hello")
KUBECTL = shutil.which("kubectl")


def kubectl(kubeconfig, *arguments, text=""):
    return subprocess.run(
        [KUBECTL, "--kubeconfig", str(kubeconfig), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    ).stdout


@contextmanager
def running(file, kubeconfig):
    """A program of an operator, its definitions applied first."""
    program = [sys.executable, str(file)]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(FOLDER.parents[1] / "src"), *sys.path]),
    }
    crds = subprocess.run([*program, "--crds"], capture_output=True, env=environ, check=True)
    kubectl(kubeconfig, "apply", "-f", "-", text=crds.stdout.decode())
    options = ["--kubeconfig", str(kubeconfig), "--leader-elect"]
    process = subprocess.Popen([*program, *options], env=environ, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on this machine")
def test_the_example_works_as_a_program_for_a_user_of_kubectl(served_api):
    """Definitions from --crds, a site by `kubectl apply`, a child that is served; then SIGTERM."""
    with running(FILE, served_api.kubeconfig) as process:
        kubectl(served_api.kubeconfig, "apply", "-f", str(FOLDER / "website.yaml"))
        served_api.run(lambda api: api.wait(DEPLOYMENTS, HELLO))
        kubectl(served_api.kubeconfig, "wait", "website/hello", "--for=condition=Ready=false")
        told = kubectl(served_api.kubeconfig, "get", "site,configmap")
        assert "website.example.com/hello" in told
        assert "configmap/hello" in told
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on this machine")
def test_the_forty_lines_as_their_page_shows_them(served_api):
    """The commands of docs/framework.md, and the table that kubectl prints there."""
    with running(PAGE_FILE, served_api.kubeconfig):
        kubectl(served_api.kubeconfig, "apply", "-f", str(FOLDER / "page.yaml"))
        served_api.run(lambda api: api.wait(DEPLOYMENTS, HELLO))
        counts = {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}
        served_api.run(
            lambda api: api.client.merge_patch(
                DEPLOYMENTS, HELLO, {"status": counts}, subresource="status"
            )
        )
        kubectl(served_api.kubeconfig, "wait", "page/hello", "--for=condition=Ready")
        told = kubectl(served_api.kubeconfig, "get", "pages")
    text = (FOLDER.parents[1] / "docs" / "framework.md").read_text(encoding="utf-8")
    shown = text.split("$ kubectl get pages\n")[1].split("```")[0]
    assert [line.split()[:-1] for line in told.splitlines()] == [
        line.split()[:-1] for line in shown.splitlines()
    ]


async def test_a_client_of_another_library_needs_the_kubeconfig_alone(served_api):
    """kubernetes-asyncio, the official client's twin: it writes, lists, and follows a watch."""
    from kubernetes_asyncio import client, config, watch

    configuration = client.Configuration()
    await config.load_kube_config(
        config_file=str(served_api.kubeconfig), client_configuration=configuration
    )
    async with client.ApiClient(configuration) as connection:
        core = client.CoreV1Api(connection)
        body = {"metadata": {"name": "a"}, "data": {"k": "v"}}
        made = await core.create_namespaced_config_map("default", body)
        listed = await core.list_namespaced_config_map("default")
        assert [item.metadata.uid for item in listed.items] == [made.metadata.uid]
        async with watch.Watch() as watching:
            events = watching.stream(
                core.list_namespaced_config_map,
                "default",
                resource_version=listed.metadata.resource_version,
                timeout_seconds=30,
            )
            await core.delete_namespaced_config_map("a", "default")
            event = await anext(events)
    assert (event["type"], event["object"].metadata.name) == ("DELETED", "a")


async def test_a_dropped_connection_is_dropped_on_the_wire(tmp_path, served_api):
    """Any client meets the faults, as broken connections."""
    from random import Random

    from kaito.kube.client import Client
    from kaito.kube.errors import TransportError
    from kaito.kube.https import HttpsTransport
    from kaito.testing.faults import Which

    credentials = await load(str(served_api.kubeconfig), None, {}, clock=SystemClock())
    transport = HttpsTransport(credentials)
    client = Client(transport, clock=SystemClock(), random=Random(1), user_agent="me")
    try:
        listed = await client.list(CONFIGMAPS)
        served_api.call(lambda api: api.faults.drop(Which(methods=frozenset({"POST"}))))
        with pytest.raises(TransportError):
            await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
        watching = client.watch(
            CONFIGMAPS,
            resource_version=listed.resource_version,
            timeout_seconds=60,
            idle_timeout=180,
        )
        async with watching as events:
            await asyncio.to_thread(
                served_api.call, lambda api: api.faults.cut_watches(Which(agent="me"))
            )
            with pytest.raises(TransportError):
                async for _ in events:
                    pass
    finally:
        await transport.close()
    assert served_api.call(lambda api: len(api.requests.of(agent="me"))) >= 2


def test_the_kubeconfig_is_private_and_complete(served_api):
    """Nothing but the file is needed, and nobody else can read it."""
    config = yaml.safe_load(served_api.kubeconfig.read_text(encoding="utf-8"))
    assert config["clusters"][0]["cluster"]["server"] == served_api.url
    assert served_api.kubeconfig.stat().st_mode & 0o077 == 0


async def test_a_server_on_https_starts_fast(tmp_path):
    """Starting costs no more processor time than 0.3 s, certificates included; imports are paid
    once per process, by the first."""
    spent = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        began = time.process_time()
        async with in_process_api() as api, api.https(folder):
            spent.append(time.process_time() - began)
    assert spent[1] <= 0.3


async def test_an_operator_of_kopf_runs_against_it(served_api, monkeypatch):
    """Another framework's operator is tested with the same fixture, through its kubeconfig."""
    kopf = pytest.importorskip("kopf", reason="kopf is not installed here; make dev installs it")
    monkeypatch.setenv("KUBECONFIG", str(served_api.kubeconfig))
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs):
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.create("example.com", "v1", "websites", registry=registry)
    def created(spec, patch, **_):
        patch.status["said"] = spec["message"]

    document = copy.deepcopy(website.CRD)
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] = True
    served_api.run(lambda api: api.install(document))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            kopf.operator(registry=registry, clusterwide=True, standalone=True, stop_flag=stop)
        )
        site = yaml.safe_load((FOLDER / "website.yaml").read_text(encoding="utf-8"))
        site["metadata"]["namespace"] = "default"

        def said(api):
            return api.wait(
                website.WEBSITES, HELLO, lambda s: s.get("status", "said") == "Hello, world."
            )

        try:
            await asyncio.to_thread(
                served_api.run, lambda api: api.client.create(website.WEBSITES, site)
            )
            await asyncio.to_thread(served_api.run, said)
        finally:
            stop.set()
