"""A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler.

    with ControlPlane(programs, state) as plane:
        plane.url, plane.kubeconfig("admin")

Two users exist: `admin` (system:masters) and `operator` (no rights until RBAC gives it some); the
bearer token is the name. There is no kubelet: pods are bound, and never run unless something plays
one. `python -m tests.controlplane.controlplane [--port N]` runs one until interrupted.
"""

import argparse
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.controlplane import programs

USERS = ("admin", "operator")
_PATIENCE_SECONDS = 240
_STOP_SECONDS = 2
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# Nodes are played by tests, which send no heartbeats: nobody may declare them lost.
_LEFT_OUT = (
    "node-lifecycle-controller",
    "node-ipam-controller",
    "service-lb-controller",
    "node-route-controller",
)

# The only server of its cluster has nobody to tell that it lives, which it would write twice in ten
# seconds: a list that comes after would be of a later version than the last thing that was done.
_ALONE = "APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false"


class DidNotStart(Exception):
    """Some part exited or was not ready in time; the message names its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to run, and how."""

    port: int = 0
    """Of the API server; 0 takes a free one."""
    controllers: bool = True
    scheduler: bool = True
    accounts: bool = False
    """Pods must have a ServiceAccount, which the controllers make soon after each namespace."""
    audit: bool = False
    """Write one JSON line per request to `audit.log` in the state folder."""
    unlimited: bool = False
    """Lift the server's own flow control."""


class ControlPlane:
    """Running between `__enter__` and `__exit__`."""

    def __init__(self, folder: Path, state: Path, options: Options = Options()) -> None:
        self._folder = folder
        self.state = state
        self._options = options
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._logs: list[IO[bytes]] = []
        self._held: list[socket.socket] = []
        self._port = options.port or self._free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self._etcd = ""
        self.audit_log = state / "audit.log"

    def __enter__(self) -> Self:
        (self.state / "logs").mkdir(parents=True, exist_ok=True)
        try:
            self._start_servers()
            self._start_controllers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def kubeconfig(self, user: str) -> Path:
        """The path of a kubeconfig for one of `USERS`."""
        path = self.state / f"{user}.kubeconfig"
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "real",
            "clusters": [{"name": "real", "cluster": cluster}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": user}}],
            "users": [{"name": user, "user": {"token": user}}],
        }
        # In one step: a part that starts may be reading the one from before.
        written = path.with_suffix(".new")
        written.write_text(json.dumps(document))
        written.replace(path)
        return path

    def dead(self) -> str | None:
        """The name of a part that has exited by itself, if any."""
        return next((name for name, one in self._processes if one.poll() is not None), None)

    def pids(self) -> list[int]:
        """The process ids of its parts."""
        return [process.pid for _, process in self._processes]

    def forget(self) -> None:
        """Compact the store: history before now is gone, but for what the API server caches."""
        now = self._ask_etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._ask_etcd("/v3/kv/compaction", {"revision": now, "physical": True})

    def _ask_etcd(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        connection = HTTPConnection(self._etcd, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def stop(self) -> None:
        """End every part at once; one that lingers is killed.

        An API server lingers: it lets its watches run on.
        """
        for _, process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for _, process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        while self._held:
            self._held.pop().close()
        for log in self._logs:
            log.close()
        self._logs.clear()

    def _start(self, name: str, **flags: object) -> None:
        log = (self.state / "logs" / f"{name}.log").open("ab")
        self._logs.append(log)
        words = [f"--{flag.replace('_', '-')}={_text(value)}" for flag, value in flags.items()]
        command = [str(self._folder / name), *words]
        self._processes.append((name, subprocess.Popen(command, stdout=log, stderr=log)))

    def _start_servers(self) -> None:
        etcd, peer = (f"http://127.0.0.1:{self._free_port()}" for _ in range(2))
        self._etcd = etcd.removeprefix("http://")
        self._start(
            "etcd",
            data_dir=self.state / "etcd",
            listen_client_urls=etcd,
            advertise_client_urls=etcd,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"default={peer}",
            unsafe_no_fsync=True,
        )
        key = self.state / "service-accounts.key"
        _write_key(key)
        tokens = self.state / "tokens.csv"
        tokens.write_text('admin,admin,1,"system:masters"\noperator,operator,2\n')
        self._start(
            "kube-apiserver",
            etcd_servers=etcd,
            bind_address="127.0.0.1",
            secure_port=self._port,
            cert_dir=self.state / "apiserver",
            token_auth_file=tokens,
            authorization_mode="Node,RBAC",
            service_cluster_ip_range="10.96.0.0/16",
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=key,
            service_account_signing_key_file=key,
            allow_privileged=True,
            endpoint_reconciler_type="none",
            feature_gates=_ALONE,
            **self._server_extras(),
        )
        self._wait_ready()

    def _server_extras(self) -> dict[str, object]:
        extras: dict[str, object] = {}
        if not self._options.accounts:
            extras["disable_admission_plugins"] = "ServiceAccount"
        if self._options.audit:
            policy = self.state / "audit-policy.json"
            policy.write_text(json.dumps(_AUDIT_POLICY))
            extras |= {"audit_policy_file": policy, "audit_log_path": self.audit_log}
        if self._options.unlimited:
            extras["enable_priority_and_fairness"] = False
            extras |= {"max_requests_inflight": 0, "max_mutating_requests_inflight": 0}
        return extras

    def _start_controllers(self) -> None:
        common = {
            "kubeconfig": self.kubeconfig("admin"),
            "leader_elect": False,
            "bind_address": "127.0.0.1",
        }
        if self._options.controllers:
            self._start(
                "kube-controller-manager",
                **common,
                secure_port=self._free_port(),
                cert_dir=self.state / "kcm",
                service_account_private_key_file=self.state / "service-accounts.key",
                use_service_account_credentials=False,
                controllers=",".join(["*", *(f"-{name}" for name in _LEFT_OUT)]),
                kube_api_qps=500,
                kube_api_burst=1000,
            )
        if self._options.scheduler:
            ports = {"secure_port": self._free_port(), "cert_dir": self.state / "scheduler"}
            self._start("kube-scheduler", **common, **ports)

    def _free_port(self) -> int:
        """One that stays ours: Linux gives no other socket a port that is bound, but lets a program
        listen on it that asks for this very one."""
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        if sys.platform == "linux":
            self._held.append(probe)
        else:
            probe.close()
        return port

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            exited = self.dead()
            if exited:
                log = self.state / "logs" / f"{exited}.log"
                raise DidNotStart(f"{exited} exited; see {log}")
            if self._ready():
                return
            time.sleep(0.1)
        raise DidNotStart(f"not ready in {_PATIENCE_SECONDS} s; see {self.state / 'logs'}")

    def _ready(self) -> bool:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection("127.0.0.1", self._port, context=trust, timeout=2)
        try:
            connection.request("GET", "/readyz", headers={"Authorization": "Bearer admin"})
            return connection.getresponse().read() == b"ok"
        except OSError:
            return False
        finally:
            connection.close()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def main() -> int:
    """Run one in the foreground; print the admin's kubeconfig when it is ready."""
    parser = argparse.ArgumentParser(description="run a real control plane until interrupted")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--audit", action="store_true")
    given = parser.parse_args()
    folder = programs.find()
    if folder is None:
        print("no programs: run `make controlplane` first", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        state = given.state or Path(scratch)
        options = Options(
            port=given.port, audit=given.audit, controllers=programs.has_controllers(folder)
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        with ControlPlane(folder, state, options) as plane:
            print(plane.kubeconfig("admin"), flush=True)
            while plane.dead() is None:
                time.sleep(0.5)
            print(f"{plane.dead()} exited; see {state / 'logs'}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    os.chdir(programs.HERE.parents[1])
    sys.exit(main())
