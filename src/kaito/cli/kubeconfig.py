"""The kubeconfig of an embedded cluster, on disk: private, atomic, and never over somebody else's.

The file begins with a line that says who wrote it. Only a file with that line is ever replaced or
removed, and `~/.kube/config` is refused whatever it contains.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from kaito.cli.failure import REFUSED, Failure
from kaito.cli.output import yaml_text
from kaito.kube.kubeconfig import kubeconfig, with_certificate
from kaito.kube.objects import Json

MARK: Final = "# Written by kaito for an embedded cluster; it is removed when that cluster stops."

NAME: Final = "kaito-embedded"
"""Of the cluster, the user and the context."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a cluster, and as whom: a client certificate, or a token."""

    server: str
    ca_pem: bytes
    certificate_pem: bytes = b""
    key_pem: bytes = b""
    token: str = ""
    namespace: str = "default"

    def __repr__(self) -> str:
        return f"Access({self.server})"


def text(access: Access) -> str:
    """The kubeconfig, with everything in it and nothing beside it."""
    user: Json = {"token": access.token} if access.token else {}
    if access.certificate_pem:
        user |= with_certificate(access.certificate_pem, access.key_pem)
    config = kubeconfig(
        NAME, server=access.server, ca_pem=access.ca_pem, user=user, namespace=access.namespace
    )
    return f"{MARK}\n{yaml_text(config)}"


def check(path: Path) -> None:
    """Raises Failure where writing to `path` would touch what is not ours."""
    resolved = path.expanduser().resolve()
    if resolved == (Path.home() / ".kube" / "config").resolve():
        raise Failure(f"{path}: your own kubeconfig stays as it is; name another file", REFUSED)
    if resolved.is_dir():
        raise Failure(f"{path}: is a directory; name a file", REFUSED)
    if not resolved.parent.is_dir():
        raise Failure(f"{path}: there is no directory {resolved.parent}", REFUSED)
    if resolved.exists() and not _is_ours(resolved):
        raise Failure(f"{path}: exists and was not written by kaito; name another file", REFUSED)


def write(path: Path, content: str) -> None:
    """Put `content` there, readable by its owner alone; a reader sees the old file or the new one.

    Raises Failure as `check` does, and where the system refuses.
    """
    check(path)
    resolved = path.expanduser().resolve()
    fresh = ""
    try:
        # mkstemp makes the file with mode 0600 before anything is in it.
        handle, fresh = tempfile.mkstemp(dir=resolved.parent, prefix=f".{resolved.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        if resolved.exists():
            Path(fresh).replace(resolved)
        else:
            # Unlike a rename, a link fails when somebody else was faster.
            resolved.hardlink_to(fresh)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}", REFUSED) from error
    finally:
        if fresh:
            Path(fresh).unlink(missing_ok=True)


def remove(path: Path, content: str) -> None:
    """Take away what `write` put there, unless it is something else by now."""
    resolved = path.expanduser().resolve()
    try:
        if resolved.read_text(encoding="utf-8") == content:
            resolved.unlink()
    except (OSError, UnicodeDecodeError):
        return


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") == MARK
    except (OSError, UnicodeDecodeError):
        return False
