"""Leader election on Leases: what to do, given what is known and what the clock says.

Everything here is pure. The clocks of others are never read: a lease is judged by how long *we*
have seen it unchanged on our own monotonic clock, so clocks that differ by hours do no harm; only
clocks that run at different speeds could, beyond the ratio of lease duration to renew deadline.

    no lease               -> Create
    held by nobody, or us  -> Take
    unchanged too long     -> Take
    held by another        -> Wait until then
    we lead                -> Renew; Lose when the deadline passed or another holds it
"""

from dataclasses import dataclass
from typing import Any

from kaito.kube.objects import Json, Record

JITTER = 1.2
"""A standby's polls are spread over retry_period * [1, 1 + 1.2); client-go's JitterFactor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderOptions:
    """The timing is client-go's default but for the duration, in seconds. Raises ValueError when it
    cannot work."""

    namespace: str
    name: str
    """Of the Lease; names the set of controllers that must not run twice."""
    lease_duration: float = 14.0
    """How long a standby waits after the last renewal it saw. Client-go's 15, less one: so that
    within 15 seconds of a leader's death there is a new one, requests included."""
    renew_deadline: float = 10.0
    """How long a leader tries to renew; it writes nothing after that."""
    retry_period: float = 2.0
    """Between renewals."""
    release_on_stop: bool = True

    def __post_init__(self) -> None:
        if self.lease_duration <= self.renew_deadline:
            raise ValueError("the lease duration must be longer than the renew deadline")
        if self.renew_deadline <= JITTER * self.retry_period:
            raise ValueError(f"the renew deadline must be longer than {JITTER} retry periods")
        if self.lease_duration != int(self.lease_duration):
            raise ValueError("the lease duration must be a whole number of seconds")
        if self.retry_period <= 0:
            raise ValueError("the retry period must be positive")

    @property
    def request_timeout(self) -> float:
        """For one request about the lease: half the deadline, so that a second can follow."""
        return max(1.0, self.renew_deadline / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`spec` of a Lease. The times are texts, written for people and never computed with."""

    holder: str = ""
    duration: int = 0
    acquired: str | None = None
    renewed: str | None = None
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """The lease as it was last seen; None: there is none."""

    lease: Lease | None
    since: float
    """When, on our monotonic clock, it was first seen in this state."""


@dataclass(frozen=True, slots=True)
class Create:
    """Nobody has made the lease yet."""


@dataclass(frozen=True, slots=True)
class Take:
    """The lease is free."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Another holds the lease, for at least that many seconds as far as is known."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Renew:
    """We lead: say so again."""


@dataclass(frozen=True, slots=True)
class Lose:
    """We do not lead any more."""

    why: str


Action = Create | Take | Wait | Renew | Lose


def sight(previous: Sighting | None, lease: Lease | None, now: float) -> Sighting:
    """Note what was read at `now`. Only a change of the lease restarts its time."""
    if previous is not None and previous.lease == lease:
        return previous
    return Sighting(lease, now)


def decide(
    me: str, seen: Sighting, renewed_at: float | None, now: float, options: LeaderOptions
) -> Action:
    """The step. `renewed_at`: when our last successful request was sent, None while on standby."""
    lease = seen.lease
    if renewed_at is not None:
        if now >= renewed_at + options.renew_deadline:
            return Lose(f"not renewed within {options.renew_deadline:g} seconds")
        if lease is not None and lease.holder != me:
            return Lose(f"{lease.holder or 'nobody'} holds the lease")
        return Create() if lease is None else Renew()
    if lease is None:
        return Create()
    if lease.holder in ("", me):
        return Take()
    expires = seen.since + lease.duration
    return Wait(expires - now) if now < expires else Take()


def claim(before: Lease | None, me: str, now: str, options: LeaderOptions) -> Lease:
    """The lease as we write it at the wall-clock time `now`."""
    mine = before is not None and before.holder == me
    transitions = 0 if before is None else before.transitions
    return Lease(
        holder=me,
        duration=int(options.lease_duration),
        acquired=before.acquired if before is not None and mine else now,
        renewed=now,
        transitions=transitions if mine or before is None else transitions + 1,
    )


def release(before: Lease, now: str) -> Lease:
    """The lease as we leave it: held by nobody, and expired in a second for those who go by its
    duration."""
    return Lease(
        duration=1, acquired=now, renewed=now, transitions=before.transitions
    )  # fmt: skip


def read(record: Record) -> Lease:
    """The lease in an object; lenient."""
    spec: dict[str, Any] = record.field("spec", dict) or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration=int(spec.get("leaseDurationSeconds") or 0),
        acquired=spec.get("acquireTime"),
        renewed=spec.get("renewTime"),
        transitions=int(spec.get("leaseTransitions") or 0),
    )


def spec_of(lease: Lease) -> Json:
    """The reverse of `read`."""
    return {
        "holderIdentity": lease.holder,
        "leaseDurationSeconds": lease.duration,
        "acquireTime": lease.acquired,
        "renewTime": lease.renewed,
        "leaseTransitions": lease.transitions,
    }
