"""What the simulated engine says. No model is used, and every answer says so.

Answers are a function of the request alone, so a run can be replayed and compared. Shapes are
those of the OpenAI API as vLLM serves it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from kaito.kube.objects import Json
from kaito.kube.transport import Response

JSON_HEADERS = {"content-type": "application/json"}
QUOTED = 200
"""Characters of the question that an answer repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer, already cut to the tokens that were asked for."""

    identity: str
    model: str
    tokens: tuple[str, ...]
    prompt_tokens: int
    finish_reason: str
    created: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def usage(self) -> Json:
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + len(self.tokens),
            "completion_tokens": len(self.tokens),
        }


def sentence(model: str, question: str, adapter_images: tuple[str, ...] = ()) -> str:
    """The answer's text."""
    adapters = f" with the adapter {', '.join(adapter_images)}" if adapter_images else ""
    asked = question if len(question) <= QUOTED else f"{question[:QUOTED]}..."
    return (
        f"This is kaito's simulated engine; no model was used. "
        f"On a real cluster {model}{adapters} would answer: {asked!r}"
    )


def tokens_of(text: str) -> list[str]:
    """Words, each with the blank before it. A real tokenizer's count is somewhat higher."""
    return [f" {word}" if index else word for index, word in enumerate(text.split())]


def complete(
    model: str,
    question: str,
    *,
    adapter_images: tuple[str, ...] = (),
    limit: int | None = None,
    created: int = 0,
) -> Completion:
    """The answer to `question`, of at most `limit` tokens."""
    tokens = tokens_of(sentence(model, question, adapter_images))
    kept = tuple(tokens if limit is None else tokens[: max(0, limit)])
    digest = hashlib.sha256(f"{model}\0{question}".encode()).hexdigest()
    return Completion(
        identity=digest[:32],
        model=model,
        tokens=kept,
        prompt_tokens=max(1, len(question.split())),
        finish_reason="stop" if len(kept) == len(tokens) else "length",
        created=created,
    )


def question_of(messages: Any) -> str | None:
    """The text of the last message of a chat that has any; None when there is none."""
    if not isinstance(messages, list):
        return None
    for message in reversed(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            content = " ".join(part for part in parts if isinstance(part, str))
        if isinstance(content, str) and content:
            return content
    return None


def chat(answer: Completion) -> Json:
    """The body of a chat completion."""
    return {
        "id": f"chatcmpl-{answer.identity}",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
        ],
        "usage": answer.usage,
        "system_fingerprint": "kaito-simulated-engine",
    }


def text_completion(answer: Completion) -> Json:
    """The body of a plain completion."""
    return {
        "id": f"cmpl-{answer.identity}",
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "text": answer.text,
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
        ],
        "usage": answer.usage,
        "system_fingerprint": "kaito-simulated-engine",
    }


def pieces(answer: Completion, *, chatting: bool, with_usage: bool) -> Iterator[Json]:
    """The objects of a streamed completion, in order."""
    prefix = "chatcmpl" if chatting else "cmpl"
    base = {
        "id": f"{prefix}-{answer.identity}",
        "object": "chat.completion.chunk" if chatting else "text_completion",
        "created": answer.created,
        "model": answer.model,
    }

    def piece(delta: Json | str, finish: str | None) -> Json:
        body = {"delta": delta} if chatting else {"text": delta}
        choice = {"index": 0, **body, "logprobs": None, "finish_reason": finish}
        return {**base, "choices": [choice]}

    if chatting:
        yield piece({"role": "assistant", "content": ""}, None)
    for token in answer.tokens:
        yield piece({"content": token} if chatting else token, None)
    yield piece({} if chatting else "", answer.finish_reason)
    if with_usage:
        yield {**base, "choices": [], "usage": answer.usage}


def sent_event(value: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status=status, headers=JSON_HEADERS, body=msgspec.json.encode(value))


def refusal(status: int, kind: str, message: str) -> Response:
    """An error in vLLM's shape."""
    error = {"message": message, "type": kind, "param": None, "code": status}
    return json_response({"error": error}, status)


def detail(status: int, message: Any) -> Response:
    """An error in FastAPI's shape."""
    return json_response({"detail": message}, status)
