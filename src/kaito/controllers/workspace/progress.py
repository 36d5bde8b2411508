"""How far a Workspace has come: the steps on its way, each done or with the reason why not.

plan ─▶ references ─▶ claims ─▶ nodes ─▶ workload ─▶ (tuning) served
  │          │           │         │          │
  └──────────┴───────────┴─────────┴──────────┴── the first that is not done is the deepest
                                                  cause, and the status tells it
"""

from dataclasses import dataclass
from typing import final

from kaito.controllers.workspace.demand import Demand


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `reason` and `message` are for users; `stalled` means somebody has to act."""

    done: bool
    reason: str
    message: str
    stalled: bool = False
    trouble: bool = False
    """Worth a Warning event: something failed, whether or not it will be tried again."""


def waiting(reason: str, message: str) -> Step:
    """Not there yet, and nobody has to do anything."""
    return Step(done=False, reason=reason, message=message)


def stalled(reason: str, message: str) -> Step:
    """Nothing will happen until somebody changes something; the message says what."""
    return Step(done=False, reason=reason, message=message, stalled=True, trouble=True)


def troubled(reason: str, message: str) -> Step:
    """Something failed; it is tried again, and somebody may want to help."""
    return Step(done=False, reason=reason, message=message, trouble=True)


def done(reason: str, message: str) -> Step:
    return Step(done=True, reason=reason, message=message)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """This version of the operator would not make what is in force."""

    available: bool
    """It would make something else; otherwise it would refuse the Workspace."""
    reason: str
    message: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one reconcile found. Steps after the first that is not done are absent."""

    demand: Demand | None = None
    refused: Step | None = None
    """Why nothing can be made of it, or what the Workspace refers to is missing."""
    claims: Step | None = None
    nodes: Step | None = None
    workload: Step | None = None
    """The engine's StatefulSet, or the tuning Job."""
    job_started: bool = False
    served: Step | None = None
    """Tuning only: the server of the tuned adapter."""
    update: Update | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        found = (self.refused, self.claims, self.nodes, self.workload, self.served)
        return tuple(step for step in found if step is not None)

    @property
    def blocked(self) -> Step | None:
        """The deepest cause: the first step that is not done; None when all is done."""
        return next((step for step in self.steps if not step.done), None)
