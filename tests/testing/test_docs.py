"""What docs/framework.md prints is the code, and its tables are the code's names and numbers."""

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from random import Random

from kaito.apiserver.core import User
from kaito.framework import kit
from kaito.framework.consistent import ConsistentClient
from kaito.framework.leader import LeaderOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.program import _parser
from kaito.framework.sources import WatchOptions
from kaito.framework.webhooks.server import WebhookServer
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, CONFIGMAPS, EVENTS
from kaito.testing.operating import operating
from tests.docs.reading import ROOT, blocks, rows
from tests.testing.example import FOLDER, PAGE_FILE, page

PAGE = ROOT / "docs" / "framework.md"


def test_the_operator_is_printed_as_it_is():
    """The page's listing and the file are one text."""
    printed = [block.text for block in blocks(PAGE) if block.language == "py" and not block.words]
    assert printed == [PAGE_FILE.read_text(encoding="utf-8")]


def test_what_is_printed_of_the_larger_operator_is_in_it():
    """Whole parts of a file that is tested, in its words."""
    parts = [block for block in blocks(PAGE) if block.words]
    assert len(parts) >= 4
    for block in parts:
        (file,) = block.words
        assert block.text in (FOLDER / file).read_text(encoding="utf-8")


def test_the_operator_of_kopf_is_printed_from_a_test_that_runs():
    """Every line of it, in its order, though not all lines of the test."""
    (block,) = [one for one in blocks(ROOT / "docs/testing.md") if one.language == "py"]
    shown = [line.strip() for line in block.text.splitlines() if line.strip()]
    test = (ROOT / "tests/testing/test_https.py").read_text(encoding="utf-8")
    lines = iter([line.strip() for line in test.splitlines()])
    assert [line for line in shown if line not in lines] == []


def everything():
    """What a page may name without saying where it is from."""
    from prometheus_client import Counter

    from kaito.framework import kit, predicates
    from kaito.framework.applying import ensure
    from kaito.framework.webhooks.conversion import HubAndSpokes
    from kaito.kube.resources import DEPLOYMENTS, PODS

    names = {**vars(kit), **vars(predicates), "ManagerOptions": ManagerOptions, "ensure": ensure}
    return {
        **names, "Counter": Counter, "HubAndSpokes": HubAndSpokes, "PODS": PODS,
        "DEPLOYMENTS": DEPLOYMENTS, "CONFIGMAPS": CONFIGMAPS, "PAGES": page.PAGES,
        "KIND": page.PAGES,
    }  # fmt: skip


async def test_what_is_wanted_is_had_as_the_table_says(embedded_api):
    """Each expression is evaluated; the sources are watched, and the statements awaited."""
    done = set()

    async def reconcile(key):
        return names["Done"]()

    async def poll():
        done.add("poll")

    names = everything()
    async with embedded_api() as api:
        controller = names["Controller"]("page", reconcile, [names["reads"](CONFIGMAPS)])

        def setup(manager):
            names.update(manager=manager, controller=controller)
            manager.add(controller)

        names.update(
            slim=lambda record: record.with_fields(spec={}), poll=poll, key=ObjectKey("", "a")
        )
        another = api.manager(api.transport())
        async with api.operator(setup):
            await api.clock.sleep(1)
            for row in rows(PAGE, "## Beyond the forty lines"):
                for code in re.findall(r"`([^`]+)`", row[1]):
                    if code in ("argparse", "parse_known_args") or code.startswith("main("):
                        continue
                    where = names | ({"manager": another} if "runnable" in code else {})
                    found = eval(code.removeprefix("await "), where)  # noqa: S307 - our own page
                    if code.startswith("await "):
                        await found
                    elif code.startswith("for_object"):
                        await controller.watch(found)
                        controller.unwatch(names["PODS"])
                        await names["manager"].cache.forget(names["PODS"])
                    done.add(code)
    assert len(done) >= 17


def test_the_names_of_the_other_frameworks_lead_to_names_that_exist():
    """The right column is ours: functions with their attributes, and what sources may be told."""
    names = everything() | {"client": ConsistentClient, "server": WebhookServer}
    names |= {"controller": names["Controller"], "manager": Manager}
    told = set(WatchOptions.__annotations__) | {"predicate"}
    checked = 0
    for row in rows(PAGE, "## Coming from controller-runtime"):
        for code in re.findall(r"`(?:await |raise |return )?(\w+[^`]*)`", row[2]):
            first, attribute, option = re.match(r"(\w+)(?:\.(\w+))?(=?)", code).groups()
            if option:
                assert first in told, code
            elif first not in ("async", "applying"):
                assert first in names, code
                assert not attribute or hasattr(names[first], attribute), code
            checked += 1
    assert checked >= 25


async def test_the_permissions_that_are_listed_suffice(embedded_api):
    """The forty lines do all their work as a user who may do this and nothing else."""
    me = User("operator", ("system:authenticated",))
    role = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [group], "resources": named, "verbs": row[3].split(", ")}
        for row in rows(PAGE, "## What it must be allowed to do")
        for named in [re.findall(r"`([a-z/]+)`", row[2])]
        for group in re.findall(r"`([a-z0-9.]+)`", row[1]) or ("example.com", "apps")
    ]
    async with embedded_api() as api:
        await api.install(kit.definition(page.PAGES, page.Page))
        await api.client.create(CLUSTERROLES, {"metadata": {"name": "page"}, "rules": rules})
        binding = {
            "metadata": {"name": "page"},
            "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": "page"},
            "subjects": [{"apiGroup": role, "kind": "User", "name": me.name}],
        }
        await api.client.create(CLUSTERROLEBINDINGS, binding)
        hello = ObjectKey("default", "hello")
        obj = {"metadata": dict(hello._asdict()), "spec": {"text": "Hello."}}
        await api.client.create(page.PAGES, obj)
        leader = LeaderOptions(namespace="default", name="page")

        def make(transport):
            options = ManagerOptions(leader=leader, identity="me", user_agent="operator")
            manager = Manager(transport, clock=api.clock, random=Random(1), options=options)
            page.setup(manager)
            return manager

        async with operating(make, lambda: api.transport(me)):
            await api.wait(page.PAGES, hello, lambda found: found.get("status", "conditions"))
            await api.until(EVENTS, bool)
            await api.clock.sleep(30)
        refused = [one for one in api.requests.of(agent="operator") if one.code == 403]
        assert refused == []


async def test_the_table_of_metrics_is_complete(embedded_api):
    """Exactly what a manager exports, with its type."""
    async with embedded_api() as api:
        options = ManagerOptions(
            leader=LeaderOptions(namespace="n", name="l"), request_details=True
        )
        manager = Manager(api.transport(), clock=api.clock, random=Random(1), options=options)
        exported = {
            (family.name + ("_total" if family.type == "counter" else ""), family.type)
            for family in manager.registry.collect()
        }
    printed = {(row[0].strip("`"), row[1]) for row in rows(PAGE, "## Metrics")}
    assert printed == exported


def test_the_constants_are_those_of_the_code():
    """Each default that is listed is the one that is used."""
    listed = rows(PAGE, "## Constants")
    assert listed
    for path, value, _ in listed:
        module, options, name = path.strip("`").split(".")
        found = getattr(import_module(f"kaito.framework.{module}"), options)
        (default,) = [f.default for f in dataclasses.fields(found) if f.name == name]
        assert f"{default:g}" == value, path


def test_the_flags_that_are_named_exist():
    """Every `--flag` of the page is one of a program's; kubectl's are on lines of its own."""
    page = PAGE.read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if not line.startswith("kubectl")]
    named = set(re.findall(r"--[a-z][a-z-]+", "\n".join(lines))) - {"--help"}
    assert len(named) >= 4
    assert named <= set(_parser("x", True)._option_string_actions)


def test_every_module_of_the_tour_exists():
    """The tour names modules by their names."""
    for row in rows(PAGE, "## The tour"):
        import_module(f"kaito.{row[1].strip('`')}")


def test_the_fixtures_that_are_listed_exist():
    """And the methods of `api` and of its fault plan."""
    from kaito.testing import fixtures
    from kaito.testing.faults import FaultPlan

    page = Path(ROOT / "docs" / "testing.md")
    for row in rows(page, "## Virtual time"):
        kind, name = row[0].split()[0], row[0].split("`")[1]
        assert kind != "fixture" or hasattr(fixtures, name)
    for row in rows(page, "## Faults"):
        assert hasattr(FaultPlan, row[0].strip("`").split("(")[0])
