"""The benchmark of many nodes and pods, on a size that costs nothing."""

from benchmarks.thousand_nodes import Size

from benchmarks import thousand_nodes


def test_every_phase_runs_to_its_end(capsys):
    """The benchmark runs: nodes join, pods become Ready, are held, and are replaced."""
    size = Size(nodes=3, pods=10, hold=30.0, replaced=2)

    one = thousand_nodes.run(size)
    thousand_nodes.report(one)

    phases = {phase.name: phase for phase in one.phases}
    assert list(phases) == ["join", "create", "hold", "play"]
    assert one.requests["create pods"] == 12
    assert one.requests["create pods/binding"] == 12
    assert one.requests["delete pods"] >= 2
    assert phases["hold"].requests >= 3 * 3, "every node renews its lease"
    assert "create pods/binding" in capsys.readouterr().out
