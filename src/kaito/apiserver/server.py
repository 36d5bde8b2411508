"""The embedded API server: a request becomes a response, or a stream."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, final

from kaito.apiserver import (
    admission,
    bodies,
    bootstrap,
    catalog,
    crds,
    deleting,
    discovery,
    partreviews,
    patching,
    reading,
    reviews,
    streaming,
    subresources,
    watching,
    writing,
)
from kaito.apiserver.asking import Answers, Unanswered
from kaito.apiserver.authz import Rbac
from kaito.apiserver.connectors import Kubelet, ServiceProxy
from kaito.apiserver.core import ADMIN, ANONYMOUS, Call, Core, User, encode
from kaito.apiserver.impersonation import impersonated
from kaito.apiserver.kinds import Kind, Kinds
from kaito.apiserver.negotiation import accepted
from kaito.apiserver.openapi import OpenApi
from kaito.apiserver.options import DeleteOptions, delete_options, typed_body, write_options
from kaito.apiserver.representing import JSON_HEADERS, respond
from kaito.apiserver.routing import Target, target_of
from kaito.apiserver.schemas import Schemas
from kaito.apiserver.status import Refused, method_not_allowed, no_such_path, no_such_resource
from kaito.apiserver.storage import Storage, Stored, Window
from kaito.apiserver.tokens import Tokens
from kaito.apiserver.webhookcalls import WebhookCaller
from kaito.kube.clock import Clock
from kaito.kube.resources import NAMESPACES
from kaito.kube.transport import Request, Response, Stream

__all__ = ["ADMIN", "ANONYMOUS", "ApiServer", "ApiServerOptions", "RequestInfo", "User"]

_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerOptions:
    """What can be chosen about a server."""

    window: Window = field(default_factory=Window)
    """How long watches can be resumed."""
    demands_accounts: bool = False
    """Admission by ServiceAccount, which needs somebody who makes the `default` one of each
    namespace, as `kaito.simulator.controllers` do. Without (as in envtest) pods get no account."""
    token_key: bytes = b""
    """Signs tokens of service accounts; empty: a secret one, made at the start."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """One answered request, for those who count them."""

    verb: str
    path: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    user_agent: str
    code: int


Answer = Callable[[], Awaitable[Response | Stream]]

Network = Callable[[Request, Answer], Awaitable[Response | Stream]]
"""What lies between the doors and the server: may answer itself, wait, call the server's answer and
change it, or raise TransportError, which every door makes a broken connection."""


@final
class ApiServer:
    """Serves the Kubernetes API from memory. Doors: `kaito.apiserver.door` and `.https`."""

    def __init__(
        self, *, clock: Clock, random: Random, options: ApiServerOptions = ApiServerOptions()
    ) -> None:
        kinds = Kinds()
        for kind in catalog.KINDS:
            kinds.add(kind)
        self.core: Final = Core(
            clock=clock,
            random=random,
            storage=Storage(clock=clock, random=random, window=options.window),
            kinds=kinds,
            schemas=Schemas(),
            demands_accounts=options.demands_accounts,
        )
        self.rbac: Final = Rbac(self.core.storage)
        self.tokens: Final = Tokens(self.core, options.token_key or secrets.token_bytes(32))
        self.kubelet: Kubelet | None = None
        """Answers `pods/log`; set by whoever plays nodes."""
        self.proxy: ServiceProxy | None = None
        """Carries `services/proxy` and `pods/proxy`; set by whoever plays the network."""
        self.webhooks: WebhookCaller | None = None
        """Carries reviews to webhooks; without it their failure policies decide."""
        self._openapi = OpenApi(self.core)
        self.on_request: Callable[[RequestInfo], None] | None = None
        """Called once for every request, when its answer begins."""
        self.network: Network | None = None
        """Carries every request; for tests of what networks and busy servers do."""
        bootstrap.fill(self.core)
        self._custom = crds.CustomKinds(self.core, self._delete_object)

    def _delete_object(self, kind: Kind, stored: Stored) -> None:
        """A DELETE by the server itself."""
        namespace, name = stored.key
        request = Request(method="DELETE", path=kind.resource.path(namespace, name))
        target = target_of(request)
        # It is gone in the version in which it is stored: nobody is asked to convert it.
        version = stored.written.rpartition("/")[2] or kind.stored.version
        kind = replace(kind, webhook=None, stored=kind.stored._replace(version=version))
        call = Call(core=self.core, user=ADMIN, request=request, target=target, kind=kind)
        deleting.remove(call, stored, DeleteOptions(propagation="Background"))

    async def handle(self, request: Request, user: User) -> Response | Stream:
        """Answer one request of an authenticated user. Errors are answers too."""
        if self.network is None:
            return await self._handle(request, user)
        return await self.network(request, lambda: self._handle(request, user))

    async def _handle(self, request: Request, user: User) -> Response | Stream:
        target: Target | None = None
        try:
            target = target_of(request)
            # Others get their turn between any two requests, as they would on a network.
            await self.core.clock.sleep(0)
            answer = await self._answer(request, user, target)
        except Refused as refused:
            answer = _refusal(refused)
        if self.on_request is not None:
            target = target or Target(verb=request.method.lower(), path=request.path)
            self.on_request(_info(request, user, target, answer.status))
        return answer

    async def _answer(self, request: Request, user: User, target: Target) -> Response | Stream:
        user = impersonated(request.headers, user, self.rbac, target)
        self.rbac.check(user, target)
        if request.path.startswith("/openapi/"):
            return self._openapi.answer(request)
        if not target.is_resource:
            return discovery.answer(self.core, request)
        kind = self._kind(target)
        call = Call(core=self.core, user=user, request=request, target=target, kind=kind)
        asked = target.verb in _WRITES or target.subresource in partreviews.CONNECTIONS
        call.reviewed = asked and admission.configured(self.core)
        if call.reviewed or kind.webhook is not None:
            return await self._attempted(call)
        return await self._done(call)

    async def _attempted(self, call: Call) -> Response | Stream:
        """Answer until nothing is left to ask; every attempt is the same but for what is known."""
        core = self.core
        answers = Answers(core.storage.new_uid, lambda: self.webhooks)
        seed, moment = core.random.getrandbits(64), core.clock.wall()
        while True:
            same = replace(core, random=Random(seed), moment=moment)
            try:
                return await self._done(replace(call, core=same, answers=answers, warnings=[]))
            except Unanswered as unanswered:
                await answers.learn(unanswered)

    async def _done(self, call: Call) -> Response | Stream:
        kind = call.kind
        if kind.deprecation:
            call.warn(kind.deprecation)
        try:
            answer = await self._act(call)
        except Refused as refused:
            answer = _refusal(refused)
        return _warned(answer, call.warnings) if call.warnings else answer

    async def _act(self, call: Call) -> Response | Stream:
        if call.target.subresource and call.target.subresource != "status":
            return await self._subresource(call)
        if call.kind.resource.plural in reviews.QUESTIONS:
            return self._review(call)
        return _dispatch(call)

    def _kind(self, target: Target) -> Kind:
        """What the path names. Raises 404 and 405 as the real server does."""
        versions = self.core.kinds.versions(target.group)
        if not versions:
            raise no_such_path()
        kind = self.core.kinds.find(target.group, target.version, target.plural)
        if kind is None or (target.subresource and target.subresource not in kind.subresources):
            raise no_such_resource()
        namespaced = kind.resource.namespaced
        if not namespaced and target.namespace and kind.resource != NAMESPACES:
            raise no_such_resource()
        if namespaced and not target.namespace and target.verb not in ("list", "watch"):
            raise no_such_resource() if target.name else method_not_allowed()
        if not target.subresource and target.verb not in kind.verbs:
            raise method_not_allowed()
        return kind

    async def _subresource(self, call: Call) -> Response | Stream:
        target = call.target
        if target.verb not in discovery.takes(call.kind, target.subresource)[3]:
            raise method_not_allowed()
        if target.subresource in partreviews.CONNECTIONS:
            partreviews.connect(call)
        match target.subresource:
            case "log":
                return await streaming.logs(call, self.kubelet)
            case "proxy":
                return await streaming.proxy(call, self.proxy)
            case "attach":
                await streaming.ended(call, self.kubelet)
                raise subresources.not_here(call)
            case "exec" | "portforward":
                raise subresources.not_here(call)
            case "scale":
                return respond(call, subresources.scale(call), 200, accepted(call.request))
            case "token":
                body = subresources.token(call, self.tokens)
                return respond(call, body, 201, accepted(call.request))
            case _:
                return _with_body(call)

    def _review(self, call: Call) -> Response:
        resource = call.kind.resource
        question = typed_body(call, resource.group, resource.kind)
        bodies.check_head(call, question)
        question = partreviews.question(call, question, reviews.UNANSWERED[resource.plural])
        body = reviews.answer(call, question, self.rbac, self.tokens)
        return respond(call, body, 201, accepted(call.request))


def _with_body(call: Call) -> Response:
    verb, act = subresources.WITH_BODY[f"{call.target.plural}/{call.target.subresource}"]
    if call.target.verb != verb:
        raise method_not_allowed()
    return respond(call, act(call), 201 if verb == "create" else 200, accepted(call.request))


def _dispatch(call: Call) -> Response | Stream:
    call.core.storage.expire(call.core.bucket(call.kind))
    match call.target.verb:
        case "get":
            return reading.get(call)
        case "list":
            return reading.list_(call)
        case "watch":
            return watching.watch(call)
        case "delete":
            how = accepted(call.request)
            return respond(call, deleting.delete(call, delete_options(call)), 200, how)
        case "deletecollection":
            return deleting.delete_collection(call)
        case _:
            return _write(call)


def _write(call: Call) -> Response:
    how = accepted(call.request)
    options = write_options(call)
    match call.target.verb:
        case "create" if not call.target.name:
            written = writing.create(call, bodies.decode(call, options), options)
        case "update" if call.target.name:
            written = writing.replace(call, options)
        case "patch" if call.target.name:
            written = patching.patch(call, options)
        case _:
            raise method_not_allowed()
    return respond(call, written.obj, 201 if written.created else 200, how)


def _refusal(refused: Refused) -> Response:
    if refused.text:
        headers = {"content-type": "text/plain; charset=utf-8"}
        return Response(status=refused.code, headers=headers, body=refused.message.encode())
    headers = dict(JSON_HEADERS)
    retry = (refused.details or {}).get("retryAfterSeconds")
    if retry:
        headers["retry-after"] = str(retry)
    return Response(status=refused.code, headers=headers, body=encode(refused.status()))


def _warned(answer: Response | Stream, warnings: list[str]) -> Response | Stream:
    told = ", ".join(f"299 - {encode(text).decode()}" for text in warnings)
    return replace(answer, headers={**answer.headers, "warning": told})


def _info(request: Request, user: User, target: Target, code: int) -> RequestInfo:
    return RequestInfo(
        verb=target.verb,
        path=target.path,
        group=target.group,
        resource=target.plural,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name,
        user=user.name,
        user_agent=request.headers.get("user-agent", ""),
        code=code,
    )
