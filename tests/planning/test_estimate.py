"""Sizing: KAITO's numbers, for every model and machine in its table."""

from pathlib import Path

import pytest
import yaml

from kaito.planning.estimate import estimate, utilization
from kaito.planning.skus import SKUS, Sku, find_sku
from kaito.presets.catalog import find
from kaito.presets.preset import Preset

KAITO = yaml.safe_load(Path(__file__).with_name("kaito_nodes.yaml").read_text())
COUNTED_TWICE = ("openai/gpt-oss-20b", "openai/gpt-oss-120b")


def sku(name: str) -> Sku:
    found = find_sku(name)
    assert found is not None
    return found


def preset(name: str) -> Preset:
    found = find(name)
    assert isinstance(found, Preset)
    return found


@pytest.mark.parametrize("repository", [m for m in KAITO["nodes"] if m not in COUNTED_TWICE])
def test_node_counts_are_those_of_kaito(repository: str) -> None:
    """At KAITO's utilization every model needs as many nodes of every machine as KAITO says."""
    nodes = [estimate(preset(repository), sku(m), share=0.84).nodes for m in KAITO["machines"]]
    assert nodes == KAITO["nodes"][repository]


def test_other_machines_than_the_a10_are_sized_at_kaitos_utilization() -> None:
    """Only the A10 is sized with less, because the engine is started with less there."""
    assert {s.model for s in SKUS if utilization(s) != 0.84} == {"NVIDIA A10"}
    assert utilization(sku("Standard_NV36ads_A10_v5")) == 0.82


def test_gpt_oss_is_counted_once() -> None:
    """gpt-oss-120b fits two A100s, where KAITO, counting its weights twice, asks for three."""
    assert estimate(preset("gpt-oss-120b"), sku("Standard_NC24ads_A100_v4")).nodes == 2
    assert estimate(preset("gpt-oss-20b"), sku("Standard_NV36ads_A10_v5")).nodes == 1


def test_the_arithmetic_is_spelled_out() -> None:
    """Every number of the result can be followed with a pocket calculator."""
    sized = estimate(preset("phi-4"), sku("Standard_NV36ads_A10_v5"))
    assert sized.lines == (
        "weights: 27.31 GiB x 1.02 = 27.86 GiB",
        "one NVIDIA A10: 24 GiB x 0.82 = 19.68 GiB usable",
        "KV cache: 2048 tokens x 204800 B / 1 = 0.39 GiB",
        "engine and KV cache: 2.3 + 0.39 = 2.69 GiB",
        "left: (19.68 - 2.69) / 1.05 = 16.18 GiB per GPU",
        "GPUs: floor(27.86 / 16.18) + 1 = 2",
        "nodes: ceil(2 / 1 per Standard_NV36ads_A10_v5) = 2",
    )


def test_a_context_that_fills_the_gpu_leaves_nothing() -> None:
    """When engine and KV cache alone exceed a GPU there is no number of nodes that helps."""
    phi = preset("phi-3-mini-128k-instruct")
    sized = estimate(phi, sku("Standard_NC6s_v3"), context=131072)
    assert not sized.fits
    assert "nothing is left" in sized.lines[-1]
