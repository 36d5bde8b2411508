"""Certificates that the operator makes itself: who trusts what, when."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from kaito.apiserver.door import in_process
from kaito.framework.leader import LeaderOptions
from kaito.framework.webhooks.inject import injected, unpublished
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.webhooks.rotation import (
    AUTHORITY_KEY,
    BUNDLE,
    CERTIFICATE,
    KEY,
    RotationOptions,
    step,
    trusts,
)
from kaito.framework.webhooks.secret import (
    Configurations,
    SecretCertificates,
    certificate_controller,
    content_of,
)
from kaito.framework.webhooks.server import WebhookOptions, WebhookServer
from kaito.kube.certificates import (
    certificates_in,
    made_for,
    make_authority,
    pem_of,
    signed_by,
    valid,
)
from kaito.kube.objects import ObjectKey, record_of
from kaito.kube.patches import json_patch
from kaito.kube.resources import CRDS, SECRETS, VALIDATINGWEBHOOKCONFIGURATIONS
from tests.framework.world import World, running

START = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS = RotationOptions(hosts=("hooks.widgets.svc", "hooks.widgets.svc.cluster.local"))
DAY = timedelta(days=1)


def leaf_of(content):
    [leaf] = certificates_in(content[CERTIFICATE])
    return leaf


def accepted(leaf, bundle, now):
    """Whether a caller that trusts `bundle` takes this leaf."""
    issuers = [ca for ca in certificates_in(bundle) if signed_by(leaf, ca)]
    return valid(leaf, now) and any(valid(ca, now) for ca in issuers)


@cache
def accepted_within(pem, bundle):
    """From when until when a caller that trusts `bundle` takes this leaf."""
    [leaf] = certificates_in(pem)
    chain = [(ca, leaf) for ca in certificates_in(bundle) if signed_by(leaf, ca)][-1]
    return (
        max(one.not_valid_before_utc for one in chain),
        min(one.not_valid_after_utc for one in chain),
    )


def settled(content, now):
    return step(content, now, now - DAY, OPTIONS)


def test_what_is_missing_is_made_at_once():
    """An empty Secret, one with rubbish, and one that ended long ago: all are filled, and whoever
    trusts the new bundle takes the new leaf."""
    first = step({}, START, None, OPTIONS).content
    late = START + 400 * DAY
    for content, now in (
        ({}, START),
        ({BUNDLE: b"x", CERTIFICATE: b"y"}, START),
        (first, late),
        ({**first, AUTHORITY_KEY: b"not a key"}, START),
    ):
        found = step(content, now, None, OPTIONS)
        assert accepted(leaf_of(found.content), found.bundle, now)
        assert made_for(leaf_of(found.content), OPTIONS.hosts)
        assert step(found.content, now, None, OPTIONS).content is None


def test_a_new_authority_is_published_before_a_leaf_of_it_is_served():
    """Bundle old + new first; the leaf only after all configurations had it for five minutes."""
    content = step({}, START, None, OPTIONS).content
    for now in (START + 70 * DAY, START + 140 * DAY, START + 210 * DAY):
        content = settled(content, now).content or content
    due = START + 250 * DAY
    announced = settled(content, due)
    assert announced.content[CERTIFICATE] == content[CERTIFICATE]
    assert len(certificates_in(announced.bundle)) == 2
    assert trusts(announced.bundle, content[BUNDLE])
    assert not trusts(content[BUNDLE], announced.bundle)
    content = announced.content
    assert step(content, due, None, OPTIONS).content is None
    almost = step(content, due + timedelta(minutes=4), due, OPTIONS)
    assert (almost.content, almost.again) == (None, timedelta(minutes=1))
    switched = step(content, due + timedelta(minutes=5), due, OPTIONS)
    newest = certificates_in(switched.bundle)[-1]
    assert signed_by(leaf_of(switched.content), newest)
    assert switched.bundle == announced.bundle


def test_the_old_authority_is_dropped_when_it_ends():
    """Not before: a replica that was cut off may still show a leaf of it."""
    old = make_authority("old", START - 300 * DAY, 301 * DAY)
    content = step({}, START, None, OPTIONS).content
    content = {**content, BUNDLE: old.certificate + content[BUNDLE]}
    early = settled(content, START + timedelta(hours=1))
    assert early.content is None
    assert early.again <= DAY
    dropped = settled(content, START + DAY)
    assert [pem_of(ca) for ca in certificates_in(dropped.bundle)] == [
        pem_of(certificates_in(content[BUNDLE])[1])
    ]


def test_a_lost_leaf_and_changed_names_bring_a_new_leaf():
    """Of the same authority, so that nobody has to learn anything."""
    content = step({}, START, None, OPTIONS).content
    other = RotationOptions(hosts=("other.widgets.svc", "10.0.0.1", "fd00::0:1"))
    for broken, options in (
        ({**content, KEY: b""}, OPTIONS),
        ({**content, CERTIFICATE: content[BUNDLE]}, OPTIONS),
        (content, other),
    ):
        found = step(broken, START, None, options)
        assert found.bundle == content[BUNDLE]
        assert accepted(leaf_of(found.content), content[BUNDLE], START)
        assert made_for(leaf_of(found.content), options.hosts)
        assert step(found.content, START, None, options).content is None


@pytest.mark.parametrize("seed", range(2))
def test_a_year_of_rotations_without_a_moment_of_mistrust(seed):
    """API servers and replicas hear late, leaders change and forget, configurations stay behind
    for days: every leaf that is shown is trusted by every API server, at any time."""
    random = Random(seed)
    now, trusted_since, content = START, None, {}
    servers: list[bytes] = []  # the bundle that each API server trusts
    shown: list[bytes] = []  # the leaf that each replica shows
    leaves, bundles = set(), set()
    while now < START + 365 * DAY:
        found = step(content, now, trusted_since, OPTIONS)
        changed = found.content is not None
        content = found.content or content
        if not servers:
            servers, shown = [found.bundle] * 3, [content[CERTIFICATE]] * 2
        if changed or any(server != found.bundle for server in servers):
            # One after the other hears of it; some only a good while later.
            trusted_since = None
            for index in random.sample(range(3), 3):
                now += timedelta(seconds=random.choice([0, 1, 60, 3600, 200_000]))
                check(shown, servers, now)
                servers[index] = found.bundle
            trusted_since = now
        for index in random.sample(range(2), 2):
            now += timedelta(seconds=random.choice([0, 1, 30]))
            shown[index] = content[CERTIFICATE]
            check(shown, servers, now)
        leaves.add(content[CERTIFICATE])
        bundles.add(content[BUNDLE])
        if random.random() < 0.05:
            trusted_since = None if random.random() < 0.5 else now
        now += min(found.again, timedelta(hours=12))
        check(shown, servers, now)
    assert len(leaves) >= 5
    assert len(bundles) >= 2
    assert len(certificates_in(content[BUNDLE])) <= 2


def check(shown, servers, now):
    for pem in shown:
        for bundle in servers:
            start, end = accepted_within(pem, bundle)
            assert start <= now < end


def configuration(name, *webhooks):
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": webhook,
                "clientConfig": {"service": {"namespace": "default", "name": "hooks"}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                # Nothing matches: this test has no Service to call.
                "rules": [],
            }
            for webhook in webhooks
        ],
    }


def crd():
    client = {"service": {"namespace": "default", "name": "hooks", "path": "/convert"}}
    version = {"served": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "kettles.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "kettles", "kind": "Kettle"},
            "versions": [
                {**version, "name": "v1", "storage": True},
                {**version, "name": "v2", "storage": False},
            ],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
            },
        },
    }


@pytest.mark.parametrize("obj", [configuration("c", "a.b.c", "d.e.f"), crd()])
def test_a_bundle_is_written_into_every_webhook_and_only_where_it_differs(obj):
    """Configurations of admission, and definitions with conversion."""
    bundle = step({}, START, None, OPTIONS).bundle
    assert unpublished(record_of(obj), bundle)
    done = json_patch(obj, injected(record_of(obj), bundle))
    assert injected(record_of(done), bundle) == []
    assert not unpublished(record_of(done), bundle)
    assert base64.b64encode(bundle).decode() in str(done)


@pytest.mark.parametrize("fields", ["authority_life", "leaf_life"])
def test_lives_too_short_to_be_used_are_refused(fields):
    """Certificates begin an hour early and are replaced in their last third: one of half an hour
    would be replaced in the moment in which it is made, and the next one too."""
    RotationOptions(hosts=OPTIONS.hosts, **{fields: timedelta(minutes=50)})
    with pytest.raises(ValueError, match="replaced before it is used"):
        RotationOptions(hosts=OPTIONS.hosts, **{fields: timedelta(minutes=30)})


KEY_OF_SECRET = ObjectKey("default", "certificates")
NAMES = Configurations(validating=("c", "absent"), definitions=("kettles.example.com",))
FAST = RotationOptions(
    hosts=OPTIONS.hosts, authority_life=timedelta(hours=4), leaf_life=timedelta(hours=2)
)


def replica(world, seed):
    """A manager with webhooks; its certificates come from the Secret."""
    # A slow election: a day of renewals every two seconds is not what is tested here.
    lease = LeaderOptions(
        namespace="default", name="hooks", lease_duration=900, renew_deadline=600, retry_period=120
    )
    manager = world.manager(
        transport=in_process(world.server), seed=seed, leader=lease, identity=f"replica-{seed}"
    )
    metrics = WebhookMetrics(CollectorRegistry())
    certificates = SecretCertificates(manager.cache, KEY_OF_SECRET, metrics=metrics)
    server = WebhookServer(
        certificates,
        clock=world.clock,
        registry=manager.registry,
        metrics=metrics,
        options=WebhookOptions(bind_address="127.0.0.1:0"),
    )
    manager.add(certificate_controller(manager, KEY_OF_SECRET, NAMES, FAST))
    return manager, server, certificates


async def test_the_leader_fills_the_secret_publishes_and_rotates_and_every_replica_serves():
    """From nothing, over ten virtual hours with authorities of four: the bundle of the Secret
    is in every configuration, and both replicas have loaded the leaf that is in the Secret."""
    world = World()
    await world.client.create(VALIDATINGWEBHOOKCONFIGURATIONS, configuration("c", "a.b.c", "d.e.f"))
    await world.client.create(CRDS, crd())
    first, _, one = replica(world, 3)
    second, _, two = replica(world, 4)
    bundles = []
    assert "certificates" in one.problem()
    async with running(first, second):
        for _ in range(10):
            await world.clock.sleep(3600)
            secret = await world.client.get(SECRETS, KEY_OF_SECRET)
            content = content_of(secret)
            for resource, name in (
                (VALIDATINGWEBHOOKCONFIGURATIONS, "c"),
                (CRDS, "kettles.example.com"),
            ):
                record = await world.client.get(resource, ObjectKey("", name))
                assert not unpublished(record, content[BUNDLE])
                assert injected(record, content[BUNDLE]) == []
            now = world.clock.wall()
            assert accepted(leaf_of(content), content[BUNDLE], now)
            assert one.problem() is two.problem() is None
            bundles.append(content[BUNDLE])
    assert len(set(bundles)) >= 3


async def shown_at(address):
    """The certificate that a new connection gets, as PEM."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(shown).encode()


@pytest.mark.realtime
async def test_a_rotated_secret_is_shown_by_the_next_handshake():
    """The same context, no restart: old callers keep their connections, new ones see the new."""
    content = step({}, datetime.now(UTC), None, OPTIONS).content
    metrics = WebhookMetrics(CollectorRegistry())
    world = World()
    manager = world.manager()
    certificates = SecretCertificates(manager.cache, KEY_OF_SECRET, metrics=metrics)
    server = WebhookServer(
        certificates,
        clock=world.clock,
        registry=manager.registry,
        metrics=metrics,
        options=WebhookOptions(bind_address="127.0.0.1:0"),
    )
    manager.serve_webhooks(server)
    data = {name: base64.b64encode(value).decode() for name, value in content.items()}
    await world.client.create(
        SECRETS, {"metadata": {"namespace": "default", "name": "certificates"}, "data": data}
    )
    async with running(manager):
        while server.unready() is not None:
            await world.clock.sleep(0.01)
        assert await shown_at(server.bound) == content[CERTIFICATE]
        fresh = step({**content, KEY: b""}, datetime.now(UTC), None, OPTIONS).content
        data = {name: base64.b64encode(value).decode() for name, value in fresh.items()}
        await world.client.merge_patch(SECRETS, KEY_OF_SECRET, {"data": data})
        reads = metrics.certificate_reads._value
        while reads.get() < 2:
            await world.clock.sleep(0.01)
        assert await shown_at(server.bound) == fresh[CERTIFICATE]
    assert server.bound == ""
