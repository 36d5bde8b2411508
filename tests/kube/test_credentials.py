"""Finding, reading and refreshing credentials."""

import json
import subprocess
import sys
from datetime import timedelta

import pytest
import yaml

from kaito.kube.clock import SystemClock, rfc3339
from kaito.kube.credentials import Auth, CredentialsError, Material, load, tls_context
from tests.kube.tls import ca_pem, client

pytestmark = pytest.mark.realtime


def kubeconfig(path, *, server="https://api.example:6443", user=None, cluster=None, **top):
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        **top,
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


async def test_a_kubeconfig_says_where_and_who(tmp_path):
    """Server, context, namespace and token; the origin for messages; no secret in its text."""
    path = kubeconfig(tmp_path / "config")

    found = await load(path, None, {}, clock=SystemClock())

    assert (found.server, found.context) == ("https://api.example:6443", "main")
    assert (found.namespace, found.origin) == ("n", path)
    material = await found.auth.material()
    assert material.authorization == "Bearer secret-token"
    assert "secret-token" not in repr(found)
    assert "secret-token" not in repr(material)


async def test_certificates_may_be_files_or_data(tmp_path):
    """Paths are relative to the kubeconfig; both kinds make a working TLS context."""
    cert, key = client("me", tmp_path)
    (tmp_path / "ca.crt").write_text(ca_pem())
    path = kubeconfig(
        tmp_path / "config",
        cluster={"certificate-authority": "ca.crt", "tls-server-name": "api.test"},
        user={"client-certificate": cert.name, "client-key": key.name},
    )

    material = await (await load(path, None, {}, clock=SystemClock())).auth.material()

    assert material.cert_file == str(cert)
    assert material.server_name == "api.test"
    [trusted] = tls_context(material).get_ca_certs()
    assert trusted["subject"][0][0][1] == "test-ca"


async def test_an_unusable_certificate_file_is_named(tmp_path):
    """Whether it is missing or no certificate."""
    path = kubeconfig(tmp_path / "config", cluster={"certificate-authority": "my.crt"})
    with pytest.raises(CredentialsError, match=r"context 'main'.*my\.crt"):
        await load(path, None, {}, clock=SystemClock())

    (tmp_path / "my.crt").write_text("no certificate")
    material = await (await load(path, None, {}, clock=SystemClock())).auth.material()
    with pytest.raises(CredentialsError, match=r"my\.crt"):
        tls_context(material)
    with pytest.raises(CredentialsError, match=r"my\.crt"):
        tls_context(Material(cert_file=str(tmp_path / "my.crt")))


async def test_the_context_can_be_chosen(tmp_path):
    """By name, over the file's current one."""
    contexts = [
        {"name": "main", "context": {"cluster": "c", "user": "u"}},
        {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "o"}},
    ]
    path = kubeconfig(tmp_path / "config", contexts=contexts)

    assert (await load(path, "other", {}, clock=SystemClock())).namespace == "o"
    assert (await load(path, None, {}, clock=SystemClock())).namespace == "default"


async def test_the_order_of_sources(tmp_path):
    """A named file, then $KUBECONFIG, then the pod, then the home directory."""
    clock = SystemClock()
    named = kubeconfig(tmp_path / "named", server="https://named")
    environment = kubeconfig(tmp_path / "environment", server="https://environment")
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    kubeconfig(home / ".kube" / "config", server="https://home")
    (tmp_path / "token").write_text("pod-token")
    (tmp_path / "ca").write_text(ca_pem())
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    files = {"token_file": str(tmp_path / "token"), "ca_file": str(tmp_path / "ca")}
    environ = {"KUBECONFIG": environment, "HOME": str(home), **pod}

    async def server(path=None):
        return (await load(path, None, environ, clock=clock, **files)).server

    assert await server(named) == "https://named"
    assert await server() == "https://environment"
    del environ["KUBECONFIG"]
    assert await server() == "https://10.0.0.1:443"
    for name in pod:
        del environ[name]
    assert await server() == "https://home"


async def test_several_files_are_merged(tmp_path):
    """$KUBECONFIG may list them; the context may be in one and its cluster in another."""
    one = kubeconfig(tmp_path / "one", clusters=[])
    two = kubeconfig(tmp_path / "two", contexts=[], users=[], server="https://two")

    found = await load(None, None, {"KUBECONFIG": f"{one}:{two}"}, clock=SystemClock())

    assert found.server == "https://two"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"current-context": ""}, "no current context.*--context: main"),
        ({"current-context": "x"}, "no context 'x'; it has: main"),
        ({"clusters": []}, "context 'main'.*names no cluster"),
        ({"users": []}, "context 'main'.*names no user"),
        ({"contexts": None}, "has no context 'main'; it has: none"),
    ],
)
async def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path, change, words):
    """Which file, which context, and what there is instead."""
    path = kubeconfig(tmp_path / "config", **change)

    with pytest.raises(CredentialsError, match=words) as caught:
        await load(path, None, {}, clock=SystemClock())
    assert path in str(caught.value)


async def test_without_any_source_the_ways_out_are_named(tmp_path):
    """The first thing a newcomer sees."""
    with pytest.raises(CredentialsError, match="--kubeconfig, or set KUBECONFIG"):
        await load(None, None, {"HOME": str(tmp_path)}, clock=SystemClock())
    with pytest.raises(CredentialsError, match="does not exist"):
        await load(str(tmp_path / "none"), None, {}, clock=SystemClock())


@pytest.mark.parametrize("text", ["a: [", "- 1", "text", ""])
async def test_what_is_no_kubeconfig_is_refused(tmp_path, text):
    """Not YAML, or YAML of something else."""
    (tmp_path / "config").write_text(text)

    with pytest.raises(CredentialsError, match="is not a kubeconfig"):
        await load(str(tmp_path / "config"), None, {}, clock=SystemClock())


async def test_a_service_account_without_token_is_explained(tmp_path):
    """The usual cause is a pod that does not mount it."""
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}

    with pytest.raises(CredentialsError, match="automountServiceAccountToken"):
        await load(None, None, environ, clock=SystemClock(), token_file=str(tmp_path / "none"))


class Advancing:
    """A clock that is moved by hand; the loop under it is real."""

    def __init__(self):
        self.base, self.passed = SystemClock(), 0.0

    def wall(self):
        return self.base.wall() + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.base.monotonic() + self.passed

    async def sleep(self, seconds):
        self.passed += seconds


async def test_s78_a_token_file_is_read_again_every_minute(tmp_path):
    """The kubelet replaces it long before it expires."""
    token = tmp_path / "token"
    token.write_text("first")
    path = kubeconfig(tmp_path / "config", user={"tokenFile": str(token)})
    clock = Advancing()
    auth = (await load(path, None, {}, clock=clock)).auth
    token.write_text("second")

    assert (await auth.material()).authorization == "Bearer first"
    clock.passed += 61
    assert (await auth.material()).authorization == "Bearer second"


async def test_a_token_file_that_vanishes_leaves_the_old_token(tmp_path):
    """It may still do; the server decides."""
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca").write_text("x")
    environ = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
    files = {"token_file": str(tmp_path / "token"), "ca_file": str(tmp_path / "ca")}
    clock = Advancing()
    found = await load(None, None, environ, clock=clock, **files)
    (tmp_path / "token").unlink()
    clock.passed += 61

    assert (await found.auth.material()).authorization == "Bearer first"
    assert found.server == "https://[::1]:443"


def plugin(folder, *, expires=None, fail=False):
    """An exec plugin that counts its runs; its token is the count."""
    status = {"token": "TOKEN"}
    if expires is not None:
        status["expirationTimestamp"] = expires
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    script = folder / "plugin.sh"
    body = f"echo x >> {folder}/runs\n"
    body += "echo 'log in first' >&2; exit 1\n" if fail else ""
    body += f"cat <<END | sed s/TOKEN/run-$(wc -l < {folder}/runs | tr -d ' ')/\n"
    body += f"{json.dumps(answer)}\nEND\n"
    script.write_text(f"#!/bin/sh\n{body}")
    script.chmod(0o700)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(script),
            "interactiveMode": "Never",
        }
    }


async def test_s78_an_exec_credential_is_kept_until_it_expires(tmp_path):
    """The plugin runs once, then a minute before the end, and when the server refuses."""
    clock = Advancing()
    expires = rfc3339(clock.wall() + timedelta(hours=1))
    path = kubeconfig(tmp_path / "config", user=plugin(tmp_path, expires=expires))
    auth = (await load(path, None, {}, clock=clock)).auth

    for _ in range(3):
        assert (await auth.material()).authorization == "Bearer run-1"
        clock.passed += 1000
    refused = await auth.material()
    assert await auth.renew(refused)
    assert (await auth.material()).authorization == "Bearer run-2"


async def test_an_exec_credential_without_end_is_kept_until_it_is_refused(tmp_path):
    """And several requests refused at once run the plugin once."""
    clock = Advancing()
    path = kubeconfig(tmp_path / "config", user=plugin(tmp_path))
    auth = (await load(path, None, {}, clock=clock)).auth
    clock.passed += 1e6

    refused = await auth.material()
    assert refused.authorization == "Bearer run-1"
    assert await auth.renew(refused)
    assert await auth.renew(refused)
    assert (await auth.material()).authorization == "Bearer run-2"


@pytest.mark.filterwarnings("ignore")
async def test_a_plugin_that_fails_is_named_with_what_it_said(tmp_path):
    """To the person at the terminal, who can log in; and one that is missing, too."""
    failing = kubeconfig(tmp_path / "failing", user=plugin(tmp_path, fail=True))
    with pytest.raises(CredentialsError, match=r"plugin\.sh.*context 'main'.*log in first"):
        await load(failing, None, {}, clock=SystemClock())

    user = plugin(tmp_path)
    user["exec"]["command"] = "no-such-login-helper"
    missing = kubeconfig(tmp_path / "missing", user=user)
    with pytest.raises(CredentialsError, match="needs the command 'no-such-login-helper'"):
        await load(missing, None, {}, clock=SystemClock())


async def test_a_failed_renewal_is_not_tried_again_at_once():
    """A server that refuses everything does not make us hammer the plugin."""
    reads = []

    async def read(force):
        reads.append(force)
        return Material(authorization="Bearer same", valid_for=None)

    auth = Auth(read, clock=SystemClock())
    refused = await auth.material()

    for _ in range(5):
        assert not await auth.renew(refused)

    assert reads == [False, True]


def test_the_library_is_imported_only_when_it_is_needed():
    """It takes longer to import than most commands take to run."""
    program = "import sys, kaito.kube.credentials; print('kubernetes_asyncio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_env()
    )

    assert done.stdout.strip() == "False"


def _env():
    import os

    return {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
