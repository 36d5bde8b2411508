"""Container images: references, sizes, and the registries the simulated world can reach.

No image exists here and nothing is fetched. What matters to an operator is how long a pull takes,
and that a mistyped reference or an unknown registry fails with the words of a real kubelet.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

GIB = 1024**3
MIB = 1024**2

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*)(?::\d+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_PARTS = re.compile(rf"(?P<name>[^@]+?)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?")
"""The grammar of the distribution specification's reference, split in its three parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A complete image reference; `registry` and `tag` are filled in as container runtimes do."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def name(self) -> str:
        """The last part of the repository: `kaito-base`."""
        return self.repository.rpartition("/")[2]


class InvalidReference(ValueError):
    """The text is no image reference; the message is the reason alone."""


def parse(text: str) -> Reference:
    """Read `[registry/]repository[:tag][@digest]`. Raises InvalidReference."""
    match = _PARTS.fullmatch(text)
    if match is None:
        raise InvalidReference("invalid reference format")
    head, _, rest = match["name"].partition("/")
    if rest and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        registry, repository = head, rest
    else:
        registry = "docker.io"
        repository = match["name"] if rest else f"library/{match['name']}"
    if repository != repository.lower():
        raise InvalidReference(
            f"invalid reference format: repository name ({repository}) must be lowercase"
        )
    if not re.fullmatch(_PATH, repository) or not re.fullmatch(_DOMAIN, registry):
        raise InvalidReference("invalid reference format")
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return Reference(
        registry=registry.lower(), repository=repository, tag=tag, digest=match["digest"] or ""
    )


REGISTRIES = (
    "docker.io", "gcr.io", "ghcr.io", "mcr.microsoft.com", "nvcr.io", "public.ecr.aws", "quay.io",
    "registry.k8s.io",
)  # fmt: skip
"""Public registries that answer. Beside them every `*.azurecr.io` does."""

SIZES: Mapping[str, int] = {
    "kaito-base": 11 * GIB,
    "curl": 12 * MIB,
    "oras": 28 * MIB,
    "pause": MIB,
    "skopeo": 90 * MIB,
}
"""Compressed bytes by the last part of the repository; orders of magnitude, not measurements."""

DEFAULT_SIZE = 150 * MIB


@final
@dataclass(slots=True, kw_only=True)
class Registries:
    """Every registry of the simulated world, and what has been pushed to it."""

    hosts: tuple[str, ...] = REGISTRIES
    suffixes: tuple[str, ...] = (".azurecr.io",)
    missing: set[str] = field(default_factory=set)
    """Complete references that are known not to exist; tests and faults add to it."""
    pushed: dict[str, str] = field(default_factory=dict)
    """Complete reference -> which base model its annotation names."""

    def reachable(self, registry: str) -> bool:
        return registry in self.hosts or registry.endswith(self.suffixes)

    def problem(self, image: Reference) -> str:
        """Why a pull of `image` fails, in the words of containerd; empty when it succeeds."""
        text = str(image)
        if not self.reachable(image.registry):
            endpoint = f"https://{image.registry}/v2/{image.repository}/manifests/"
            return (
                f'failed to pull and unpack image "{text}": failed to resolve image: '
                f'failed to do request: Head "{endpoint}{image.tag or image.digest}": '
                f"dial tcp: lookup {image.registry}: no such host"
            )
        if text in self.missing:
            return (
                f'failed to pull and unpack image "{text}": failed to resolve image: '
                f"{text}: not found"
            )
        return ""

    def push_problem(self, image: Reference, credentials: frozenset[str]) -> str:
        """Why a push fails, in the words of `oras`; empty when it succeeds.

        `credentials`: the registries that the pusher can log in to.
        """
        if not self.reachable(image.registry):
            return f"Error: dial tcp: lookup {image.registry}: no such host"
        if image.registry not in credentials:
            return (
                f'Error response from registry: POST "https://{image.registry}/v2/'
                f'{image.repository}/blobs/uploads/": response status code 401: unauthorized: '
                "authentication required"
            )
        return ""

    def store(self, image: Reference, model: str) -> None:
        """Keep a pushed artifact; it can be pulled from now on."""
        self.pushed[str(image)] = model
        self.missing.discard(str(image))


def size_of(image: Reference) -> int:
    """Compressed bytes that a pull of it moves."""
    return SIZES.get(image.name, DEFAULT_SIZE)
