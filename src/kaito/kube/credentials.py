"""Who we are to which API server: kubeconfig, context, service account.

Reading and refreshing is kubernetes-asyncio's work; it is imported only when it is needed (0.6 s),
so that commands without a cluster stay fast. What is added here: when to refresh, errors that say
which file and context they are about, and that no secret is ever printed.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from kaito.kube.clienttls import client_context
from kaito.kube.clock import Clock
from kaito.kube.errors import KubeError
from kaito.kube.objects import Json

_log = logging.getLogger(__name__)

_REREAD = 60.0
"""Seconds between two looks at a token file, as client-go has it; tokens live for an hour."""
_EXPIRY_MARGIN = 60.0
"""Seconds before its end at which a credential is replaced (a quarter of its life, if shorter)."""
_RENEW_PAUSE = 5.0
"""Seconds after a renewal within which a further refusal is taken for the server's last word."""

_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
_CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class CredentialsError(KubeError):
    """There are no usable credentials. The message names the source and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What one reading of the credentials gave. Never printed."""

    authorization: str | None = field(default=None, repr=False)
    """The value of the Authorization header."""
    ca_file: str | None = None
    ca_pem: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    valid_for: float | None = _REREAD
    """Seconds until it is read again; None for never."""


Loader = Callable[[bool], Awaitable[Material]]
"""Reads the material; with True, although what was read before has not expired."""


@final
class Auth:
    """The present material, read again when it is due or was refused."""

    def __init__(self, load: Loader, *, clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._material: Material | None = None
        self._due: float | None = None
        self._renewed = float("-inf")

    async def material(self) -> Material:
        """Raises CredentialsError only if there never were any: old ones may still do."""
        if self._material is not None and not self._is_due():
            return self._material
        async with self._lock:
            if self._material is None:
                return await self._read(force=False)
            if self._is_due():
                await self._try(force=False)
            return self._material

    async def renew(self, refused: Material) -> bool:
        """After the server refused `refused`: whether there is something else to try."""
        async with self._lock:
            if self._material != refused:
                return True
            if self._clock.monotonic() - self._renewed < _RENEW_PAUSE:
                return False
            self._renewed = self._clock.monotonic()
            await self._try(force=True)
            return self._material != refused

    def _is_due(self) -> bool:
        return self._due is not None and self._clock.monotonic() >= self._due

    async def _read(self, *, force: bool) -> Material:
        self._material = material = await self._load(force)
        lasts = material.valid_for
        self._due = None if lasts is None else self._clock.monotonic() + lasts
        return material

    async def _try(self, *, force: bool) -> None:
        try:
            await self._read(force=force)
        except CredentialsError as error:
            # The text may hold what a plugin printed, which is for the one at the terminal.
            _log.warning("credentials cannot be refreshed: %s", type(error.__cause__).__name__)
            self._due = self._clock.monotonic() + _REREAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One identity at one server."""

    server: str
    """URL, with a path prefix where the server lies behind one."""
    context: str
    """The kubeconfig's context, or `in-cluster`."""
    origin: str
    """The file or files it was read from, for messages."""
    namespace: str
    """Where commands act that name no namespace."""
    auth: Auth = field(repr=False)


def tls_context(material: Material) -> ssl.SSLContext:
    """A context that trusts what the material says and presents its certificate."""
    try:
        context = client_context(cafile=material.ca_file, cadata=material.ca_pem)
    except OSError as error:
        source = material.ca_file or "the one given"
        raise CredentialsError(
            f"the certificate authority {source} cannot be used: {error}"
        ) from error
    if not material.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    present_certificate(context, material)
    return context


def present_certificate(context: ssl.SSLContext, material: Material) -> None:
    """Use the material's client certificate for the handshakes to come."""
    if not material.cert_file:
        return
    try:
        context.load_cert_chain(material.cert_file, material.key_file)
    except OSError as error:
        raise CredentialsError(
            f"the client certificate {material.cert_file} cannot be used: {error}"
        ) from error


def static(
    server: str, *, clock: Clock, ca_pem: str | None = None, token: str | None = None
) -> Credentials:
    """Credentials that are given, not read."""
    material = Material(
        authorization=f"Bearer {token}" if token else None, ca_pem=ca_pem, valid_for=None
    )

    async def load(_force: bool) -> Material:
        return material

    return Credentials(
        server=server.rstrip("/"),
        context="static",
        origin="given",
        namespace="default",
        auth=Auth(load, clock=clock),
    )


async def load(
    kubeconfig: str | None,
    context: str | None,
    environ: Mapping[str, str],
    *,
    clock: Clock,
    token_file: str = _TOKEN_FILE,
    ca_file: str = _CA_FILE,
    namespace_file: str = _NAMESPACE_FILE,
) -> Credentials:
    """Find and read credentials: `kubeconfig`, else `$KUBECONFIG`, else the pod's service
    account, else `~/.kube/config`; the order of controller-runtime.

    Raises CredentialsError.
    """
    if kubeconfig is None and not environ.get("KUBECONFIG"):
        if environ.get("KUBERNETES_SERVICE_HOST") and context is None:
            return await _in_cluster(environ, clock, token_file, ca_file, namespace_file)
        kubeconfig = _home_kubeconfig(environ)
    return await _from_kubeconfig(kubeconfig or environ["KUBECONFIG"], context, clock)


def _home_kubeconfig(environ: Mapping[str, str]) -> str:
    path = Path(environ.get("HOME") or "/") / ".kube" / "config"
    if not path.is_file():
        raise CredentialsError(
            f"no cluster to talk to: {path} does not exist, KUBECONFIG is not set, and this is not "
            "a pod; pass --kubeconfig, or set KUBECONFIG"
        )
    return str(path)


async def _in_cluster(
    environ: Mapping[str, str], clock: Clock, token_file: str, ca_file: str, namespace_file: str
) -> Credentials:
    from kubernetes_asyncio.config.config_exception import ConfigException
    from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

    async def read(_force: bool) -> Material:
        loader = InClusterConfigLoader(token_file, ca_file, environ=dict(environ))
        configuration = _configuration()
        try:
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as error:
            raise CredentialsError(
                f"the pod's service account cannot be used: {error}; is "
                f"automountServiceAccountToken off? ({token_file})"
            ) from error
        return _material(configuration, _REREAD)

    auth = Auth(read, clock=clock)
    await auth.material()
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "")
    return Credentials(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        context="in-cluster",
        origin=token_file,
        namespace=_read_text(namespace_file) or "default",
        auth=auth,
    )


async def _from_kubeconfig(paths: str, context: str | None, clock: Clock) -> Credentials:
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

    merger = _merged(paths)
    chosen = _choose(merger.config.value, paths, context)

    def keep(_: Any) -> None:
        # An OIDC provider may replace the refresh token at each use; kubectl saves it too.
        merger.save_changes()

    loader = KubeConfigLoader(
        merger.config,
        active_context=chosen.context,
        config_base_path=None,
        config_persister=keep,
    )
    auth = Auth(_KubeconfigReader(loader, chosen, clock), clock=clock)
    await auth.material()
    return Credentials(
        server=chosen.server,
        context=chosen.context,
        origin=paths,
        namespace=chosen.namespace,
        auth=auth,
    )


def _merged(paths: str) -> Any:
    """The library's merger of all files that `paths` names and that exist."""
    import yaml
    from kubernetes_asyncio.config.kube_config import (
        ENV_KUBECONFIG_PATH_SEPARATOR,
        KubeConfigMerger,
    )

    files = [Path(path).expanduser() for path in paths.split(ENV_KUBECONFIG_PATH_SEPARATOR) if path]
    if not any(file.is_file() for file in files):
        raise CredentialsError(f"kubeconfig {paths} does not exist; name another by --kubeconfig")
    try:
        return KubeConfigMerger(paths)
    except OSError as error:
        raise CredentialsError(f"kubeconfig {paths} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise CredentialsError(f"kubeconfig {paths} is not a kubeconfig{line}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """What a kubeconfig says about one context, without its secrets."""

    paths: str
    context: str
    server: str
    namespace: str
    plugin: str | None
    """The command that makes the user's credentials, if one does."""

    def error(self, cause: BaseException) -> CredentialsError:
        """`cause`, told so that a person knows where to look."""
        where = f"context {self.context!r} of kubeconfig {self.paths}"
        if self.plugin and isinstance(cause, FileNotFoundError):
            return CredentialsError(f"{where} needs the command {self.plugin!r}; install it")
        if self.plugin:
            return CredentialsError(f"the command {self.plugin!r} of {where} failed: {cause}")
        return CredentialsError(f"{where} cannot be used: {cause}")


def _choose(config: Json, paths: str, context: str | None) -> _Chosen:
    contexts = _by_name(config, "contexts", "context")
    name = context or config.get("current-context")
    known = ", ".join(sorted(contexts)) or "none"
    if not name:
        raise CredentialsError(
            f"kubeconfig {paths} has no current context; choose one by --context: {known}"
        )
    if name not in contexts:
        raise CredentialsError(f"kubeconfig {paths} has no context {name!r}; it has: {known}")
    where = f"context {name!r} of kubeconfig {paths}"
    cluster = _by_name(config, "clusters", "cluster").get(contexts[name].get("cluster", ""))
    if cluster is None or not cluster.get("server"):
        raise CredentialsError(f"{where} names no cluster that has a server")
    user_name = contexts[name].get("user", "")
    user = _by_name(config, "users", "user").get(user_name)
    if user is None and (user_name or cluster["server"].startswith("https")):
        raise CredentialsError(f"{where} names no user that the file defines")
    return _Chosen(
        paths=paths,
        context=name,
        server=cluster["server"].rstrip("/"),
        namespace=contexts[name].get("namespace") or "default",
        plugin=((user or {}).get("exec") or {}).get("command"),
    )


def _by_name(config: Json, section: str, inner: str) -> dict[str, Json]:
    """Members are nodes of the library, each with the dict of one file as its value."""
    members = [getattr(member, "value", member) for member in config.get(section) or ()]
    return {member["name"]: member.get(inner) or {} for member in members}


@final
class _KubeconfigReader:
    """Asks the library for what one context says now."""

    def __init__(self, loader: Any, chosen: _Chosen, clock: Clock) -> None:
        self._loader = loader
        self._chosen = chosen
        self._clock = clock

    async def __call__(self, force: bool) -> Material:
        if force:
            # The library keeps what a plugin gave until it expires.
            vars(self._loader).pop("exec_plugin_expiry", None)
        configuration = _configuration()
        try:
            await self._loader.load_and_set(configuration)
        except Exception as error:
            raise self._chosen.error(error) from error
        return _material(configuration, self._valid_for())

    def _valid_for(self) -> float | None:
        if self._chosen.plugin is None:
            return _REREAD
        expiry = getattr(self._loader, "exec_plugin_expiry", None)
        if expiry is None:
            return None
        lasts: float = (expiry - self._clock.wall()).total_seconds()
        return max(1.0, lasts - min(_EXPIRY_MARGIN, lasts / 4))


def _configuration() -> Any:
    """An empty one; calling the class would copy a process-wide default."""
    from kubernetes_asyncio.client import Configuration

    return type.__call__(Configuration)


def _material(configuration: Any, valid_for: float | None) -> Material:
    return Material(
        authorization=configuration.api_key.get("BearerToken"),
        ca_file=configuration.ssl_ca_cert,
        cert_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify=configuration.verify_ssl,
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
        valid_for=valid_for,
    )


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
