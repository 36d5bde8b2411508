"""How transcripts are made alike, and which kubectl makes them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.kubectl import found, session
from tests.contract.kubectl.plain import Plain


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (
            "NAME    READY   RESTARTS      AGE\nweb-5d5c8bdcc-x2x4c   1/1   3 (12s ago)   2m3s\n",
            "NAME  READY  RESTARTS  AGE\nweb-<hash 1>-<drawn>  1/1  3 (<age> ago)  <age>\n",
        ),
        ("cpu   100m\nmemory  5s\n", "cpu  100m\nmemory  5s\n"),
        ("my-https   https://127.0.0.1:4567/x\n", "my-https  https://<server>/x\n"),
        (
            'a: 10.96.0.1 10.96.3.4 10.244.0.9:80\nresourceVersion: "12"\n',
            'a: 10.96.0.1 <ip> <ip>:80\nresourceVersion: "<version>"\n',
        ),
        ("E1123 21:55:14.12  991 memcache.go:1] x\n", "<log> memcache.go:1] x\n"),
        ("is invalid:\n* b: no\n* a: no\nend\n", "is invalid:\n* a: no\n* b: no\nend\n"),
    ],
)
def test_chance_and_time_are_left_out(printed: str, kept: str) -> None:
    """Ages are told by their column, drawn names by their letters; what means something stays."""
    assert Plain().text(printed) == kept


def test_uids_are_told_apart() -> None:
    """The same uid reads the same all session long, another one does not."""
    plain = Plain()
    first, second = (f"0000000{n}-0000-4000-8000-000000000000" for n in range(2))
    assert plain.text(f"uid: {first}\nuid: {second}") == "uid: <uid 1>\nuid: <uid 2>\n"
    assert plain.text(f"uid: {second}") == "uid: <uid 2>\n"


def test_every_session_is_recorded_and_nothing_else() -> None:
    """A session without a transcript would never fail; a transcript without one is of no use."""
    recorded = {path.stem for path in (session.HERE / "answers").glob("*.txt")}
    assert recorded == set(session.names())
    for name in recorded:
        assert session.troubles(session.answers_path(name).read_text()) == []


def test_versions_of_kubectl_read_alike() -> None:
    """What they say in other words about the same answer reads the same."""
    old = 'pod "a" deleted\nsome: thing\n  creationTimestamp: null\n'
    new = 'pod "a" deleted from n namespace\nsome: thing\n'
    assert Plain().text(old) == Plain().text(new)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Make `found` see another kubectl: that of the name, or the one that is there."""

    program = found.program

    def chosen(name: str | None) -> None:
        program.cache_clear()
        if name is None:
            monkeypatch.delenv(found.CHOICE, raising=False)
        else:
            monkeypatch.setenv(found.CHOICE, name)

    yield chosen
    program.cache_clear()


def test_a_machine_without_kubectl_is_told(choose: Callable[[str | None], None]) -> None:
    """What is left out, and why, is said: no kubectl, or one that is broken."""
    for program, why in (("no-such-kubectl", "no kubectl"), ("false", "does not tell")):
        choose(program)
        assert why in found.why_not()


def test_an_unknown_version_is_told(
    choose: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that nobody compared is left out, unless it was asked for."""
    choose(None)
    monkeypatch.setattr(found, "program", lambda: Path("kubectl"))
    monkeypatch.setattr(found, "version", lambda _: "1.9")
    assert "known are 1.32" in found.why_not()
    monkeypatch.setenv(found.CHOICE, "kubectl")
    assert found.why_not() == ""
