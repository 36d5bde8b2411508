"""The benchmark of the embedded API server, on a size that costs little."""

import pytest
from benchmarks.apiserver import Size

from benchmarks import apiserver

SIZE = Size(count=3, events=2, watchers=(1, 2))


@pytest.mark.realtime
def test_every_verb_is_measured_in_process_and_over_https(capsys, monkeypatch):
    """The benchmark runs, and says which half it leaves out where there is no real server."""
    monkeypatch.setattr("tests.controlplane.programs.find", lambda: None)

    found, missing = apiserver.measured(SIZE)
    apiserver.report(found, missing)

    told = capsys.readouterr().out
    assert list(found) == ["in process", "embedded"]
    for place in found.values():
        assert list(place) == [*apiserver.VERBS, "1 watching", "2 watching"]
        assert all(figure.rate > 0 for figure in place.values())
    assert "left out: real: no control plane is built" in told
