"""What others have to be asked before a request can be answered.

The answer to a request is a function of what is stored, of the request, and of what webhooks say.
It cannot wait in the middle: when something is not known it raises `Unanswered`, the server asks,
and the request is answered again from its beginning with that at hand. So nothing is locked while a
webhook thinks, and if an object was changed meanwhile the question is another one and is asked
anew, as it is by a real server that has to try again. Every attempt is made at the same moment and
draws the same chance; only the last one, which lacks nothing, commits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec

from kaito.apiserver.status import Refused
from kaito.apiserver.webhookcalls import CallFailed, Endpoint, WebhookCaller, posted
from kaito.kube.objects import Json

_MOST_ATTEMPTS: Final = 100
"""Of one request; each brings at least one more answer."""

Read = Callable[[bytes | CallFailed, str], Mapping[bytes, Any]]
"""What is known after the answer to a review with this uid. What goes wrong is knowledge too."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One review for one webhook; its uid is set when it is asked."""

    endpoint: Endpoint
    timeout: int
    review: Json
    read: Read


class Unanswered(Exception):
    """These have to be asked before the request can be answered."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__()
        self.questions = questions


@final
@dataclass(slots=True)
class Answers:
    """What one request has learned from webhooks so far."""

    new_uid: Callable[[], str]
    caller: Callable[[], WebhookCaller | None]
    known: dict[bytes, Any] = field(default_factory=dict)
    born: Json = field(default_factory=dict)
    """What the first attempt gave to a new object by chance."""
    attempts: int = 0

    def bear(self, obj: Json) -> None:
        """A new object has one uid, however often its creation is attempted."""
        given = obj["metadata"]
        given["uid"] = self.born.setdefault("uid", given["uid"])

    async def learn(self, unanswered: Unanswered) -> None:
        """Ask, all at once."""
        self.attempts += 1
        if self.attempts > _MOST_ATTEMPTS:
            raise internal("webhooks and strategies never agree on this object")
        questions = unanswered.questions
        for question in questions:
            question.review["request"]["uid"] = self.new_uid()
        asked = [(q.endpoint, msgspec.json.encode(q.review), q.timeout) for q in questions]
        found = await posted(self.caller(), asked)
        for question, answer in zip(questions, found, strict=True):
            self.known |= question.read(answer, question.review["request"]["uid"])


def internal(why: str) -> Refused:
    """500, as the real server words what went wrong inside it."""
    causes = [{"message": why}]
    return Refused(
        500, "InternalError", f"Internal error occurred: {why}", details={"causes": causes}
    )
