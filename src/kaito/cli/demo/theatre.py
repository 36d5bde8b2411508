"""What every act has: a cluster, the operator beside it, a screen, the books; and how to wait."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import msgspec
from rich.console import Console

from kaito.api.resources import WORKSPACES
from kaito.apiserver.server import RequestInfo
from kaito.app.embedded import Embedded, embedded
from kaito.app.front import Front
from kaito.cli.applying import Applier
from kaito.cli.demo.ledger import OPERATOR, Ledger
from kaito.cli.demo.process import OperatorProcess
from kaito.cli.durations import Stopwatch
from kaito.cli.failure import Failure
from kaito.cli.following import Follower
from kaito.cli.inputs import parse
from kaito.cli.journey import Journey, Sight, is_ready, stalled
from kaito.cli.progress import Display, Mode
from kaito.framework.conditions import Condition
from kaito.framework.logging import configure_logging
from kaito.kube.objects import ObjectKey, Resource
from kaito.kube.transport import Request

NAMESPACE: Final = "default"

PATIENCE: Final = 60.0
"""Real seconds for any one thing to happen; about ten times what it takes."""

_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Theatre:
    """Given to each act."""

    cluster: Embedded
    operator: OperatorProcess
    follower: Follower
    display: Display
    ledger: Ledger
    watch: Stopwatch
    heard: list[Callable[[RequestInfo], None]]
    """Called for each request that the API server answers, before its answer leaves."""

    # ---- doing

    async def apply(self, source: str, text: str) -> None:
        """`kubectl apply` of one Workspace: its warnings, then what became of it."""
        display = self.display
        applier = Applier(self.cluster.client(display.warn), namespace=NAMESPACE)
        for document in parse(source, text):
            resource, record, outcome = await applier.apply(document)
            group = f".{resource.group}" if resource.group else ""
            display.say(f"{resource.kind.lower()}{group}/{record.meta.name} {outcome}")

    def begin(self, name: str, *, tuning: bool = False) -> Journey:
        return self.follower.begin(ObjectKey(NAMESPACE, name), tuning=tuning)

    def sight(self, name: str) -> Sight:
        found = self.follower.sight(ObjectKey(NAMESPACE, name))
        if found is None:
            raise Failure(f"Workspace {name} is gone; the operator's log: {self.operator.log}")
        return found

    def stalled(self, name: str) -> Condition | None:
        """Why nothing will happen to a Workspace until somebody acts."""
        found = self.follower.sight(ObjectKey(NAMESPACE, name))
        return stalled(found) if found is not None else None

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for something that watches show. Raises Failure, with the operator's log."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.follower.until(holds)
        except TimeoutError:
            raise Failure(
                f"{what} did not happen within {PATIENCE:g} s; the operator's log: "
                f"{self.operator.log}"
            ) from None

    async def until_ready(self, name: str) -> None:
        """Wait for a Workspace; from then on every write for it is counted as one too many."""
        key = ObjectKey(NAMESPACE, name)

        def ready() -> bool:
            sight = self.follower.sight(key)
            return sight is not None and is_ready(sight)

        await self.until(f"Workspace {name} becoming Ready", ready)
        self.ledger.is_ready(name, list(self.sight(name).claims))

    # ---- showing

    async def get(self, resource: Resource, name: str) -> None:
        """`kubectl get`: the table, as the server prints it."""
        request = Request(
            method="GET", path=resource.path(NAMESPACE, name), headers={"accept": _TABLE}
        )
        answer = await self.cluster.client().raw(request)
        table = msgspec.json.decode(answer.body)
        columns = [
            i for i, column in enumerate(table["columnDefinitions"]) if not column.get("priority")
        ]
        rows = [[table["columnDefinitions"][i]["name"].upper() for i in columns]]
        rows += [[_cell(row["cells"][i]) for i in columns] for row in table["rows"]]
        widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.display.say("   ".join(cells).rstrip())

    async def get_workspace(self, name: str) -> None:
        self.display.command(f"kubectl get workspace {name}")
        await self.get(WORKSPACES, name)


def _cell(value: object) -> str:
    return "<none>" if value is None or value == "" else str(value)


@asynccontextmanager
async def open_theatre(front: Front, console: Console, mode: Mode) -> AsyncIterator[Theatre]:
    """Everything running. When it is left nothing is; only after a failure the log stays."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder())
        log = stack.enter_context((folder / "cluster.log").open("w", encoding="utf-8"))
        configure_logging("json", level=logging.WARNING, stream=log)
        cluster = await stack.enter_async_context(embedded(front))
        watch = Stopwatch(cluster.world, cluster.clock)
        operator = OperatorProcess(cluster, folder)
        await operator.start()
        stack.push_async_callback(operator.stop)
        ledger = Ledger(cluster)
        heard: list[Callable[[RequestInfo], None]] = [ledger.note]
        cluster.cluster.server.on_request = lambda request: _tell(heard, request)
        follower = Follower(
            cluster.client(), clock=cluster.clock, random=cluster.random, now=watch.now
        )
        display = Display(console, clock=cluster.clock, now=watch.now, mode=mode)
        follower.told = display.told
        await stack.enter_async_context(follower.running())
        await _at_work(heard, operator)
        yield Theatre(
            cluster=cluster,
            operator=operator,
            follower=follower,
            display=display,
            ledger=ledger,
            watch=watch,
            heard=heard,
        )


async def _at_work(heard: list[Callable[[RequestInfo], None]], operator: OperatorProcess) -> None:
    """Wait until the operator follows Workspaces, so that no act's time is spent on its start."""
    follows = asyncio.Event()

    def hear(request: RequestInfo) -> None:
        if request.user == OPERATOR and request.resource == WORKSPACES.plural:
            follows.set()

    heard.append(hear)
    async with asyncio.TaskGroup() as tasks:
        either = [tasks.create_task(follows.wait()), tasks.create_task(operator.ended())]
        await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        for task in either:
            task.cancel()
    heard.remove(hear)
    if not follows.is_set():
        raise Failure(f"the operator did not start; its log: {operator.log}")


def _tell(heard: list[Callable[[RequestInfo], None]], request: RequestInfo) -> None:
    for hear in tuple(heard):
        hear(request)


@contextmanager
def _folder() -> Iterator[Path]:
    """A private folder; gone at the end, but for the logs if the end is a failure."""
    folder = Path(tempfile.mkdtemp(prefix="kaito-demo-"))
    keep = False
    try:
        yield folder
    except (Failure, ExceptionGroup):
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        for file in folder.glob("*"):
            if file.suffix != ".log":
                file.unlink(missing_ok=True)
