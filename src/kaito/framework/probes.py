"""Health and readiness, as Kubernetes' own components answer them.

`/healthz` and `/readyz` answer 200 or 500; `?verbose` lists the checks, `?exclude=NAME` leaves one
out, and `/healthz/NAME` asks a single one.
"""

from collections.abc import Callable, Collection, Mapping

Check = Callable[[], str | None]
"""None when all is well, else what is wrong. It must be quick, and its text without secrets:
anybody may read it."""


def probe(
    endpoint: str,
    checks: Mapping[str, Check],
    *,
    exclude: Collection[str] = (),
    verbose: bool = False,
) -> tuple[int, str]:
    """(status, text) for all checks of one endpoint; a check that raises has failed."""
    lines: list[str] = []
    failed = False
    for name, check in checks.items():
        if name in exclude:
            lines.append(f"[+]{name} excluded: ok")
        elif (problem := _problem(check)) is None:
            lines.append(f"[+]{name} ok")
        else:
            failed = True
            lines.append(f"[-]{name} failed: {problem}")
    if unknown := sorted(set(exclude) - set(checks)):
        names = ", ".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some checks cannot be excluded: no matches for {names}")
    if failed:
        return 500, "\n".join((*lines, f"{endpoint} check failed", ""))
    if verbose:
        return 200, "\n".join((*lines, f"{endpoint} check passed", ""))
    return 200, "ok"


def probe_one(checks: Mapping[str, Check], name: str) -> tuple[int, str]:
    """(status, text) for a single check."""
    check = checks.get(name)
    if check is None:
        return 404, f'no check is called "{name}"\n'
    problem = _problem(check)
    return (200, "ok") if problem is None else (500, f"{problem}\n")


def _problem(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a probe answers, whatever its checks do
        return f"the check raised {type(error).__name__}"
