"""The GPU table."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from kaito.planning.skus import SKUS, find_sku, nearest

KAITO = yaml.safe_load(Path(__file__).with_name("kaito_skus.yaml").read_text())


@pytest.mark.parametrize("cloud", KAITO)
def test_every_machine_of_kaito_is_known(cloud: str) -> None:
    """GPUs, memory, model, NVMe and capability match KAITO's tables."""
    for name, facts in KAITO[cloud].items():
        sku = find_sku(name)
        assert sku is not None
        assert sku.cloud == cloud
        assert [sku.gpus, sku.memory_gib, sku.model, sku.nvme, sku.capability] == facts


def test_names_are_unique_whatever_their_case() -> None:
    """Each lookup has one answer."""
    assert len({sku.name.lower() for sku in SKUS}) == len(SKUS)


@pytest.mark.parametrize(
    ("name", "gpus", "memory", "capability", "retired"),
    [
        ("Standard_NC6s_v3", 1, 16, 7.0, date(2025, 9, 30)),
        ("Standard_NC24rs_v3", 4, 64, 7.0, date(2025, 9, 30)),
        ("Standard_NC64as_T4_v3", 4, 64, 7.5, None),
        ("Standard_NV48s_v3", 4, 32, 5.2, date(2026, 9, 30)),
        ("Standard_ND40rs_v2", 8, 256, 7.0, None),
        ("Standard_NC6", 1, 12, 3.7, date(2023, 9, 6)),
        ("Standard_NC6s_v2", 1, 16, 6.0, date(2023, 9, 6)),
        ("Standard_ND6s", 1, 24, 6.1, date(2023, 9, 6)),
    ],
)
def test_earlier_machines_keep_their_true_facts(
    name: str, gpus: int, memory: int, capability: float, retired: date | None
) -> None:
    """Sizes KAITO dropped are known with their memory, capability and retirement."""
    sku = find_sku(name)
    assert sku is not None
    assert (sku.gpus, sku.memory_gib, sku.capability, sku.retired) == (
        gpus,
        memory,
        capability,
        retired,
    )


def test_every_retired_machine_has_a_successor_that_is_sold() -> None:
    """Advice must not lead to the next dead end."""
    for sku in SKUS:
        assert (sku.retired is None) == (sku.successor == "")
        if sku.successor:
            successor = find_sku(sku.successor)
            assert successor is not None
            assert successor.retired is None


def test_lookups_ignore_case_and_suggest_within_the_cloud() -> None:
    """A typo is answered with names of the same cloud."""
    assert find_sku("STANDARD_nc24ADS_a100_V4") is find_sku("Standard_NC24ads_A100_v4")
    assert find_sku("Standard_D4s_v5") is None
    assert nearest("Standard_NC24ads_A100", "azure")[0] == "Standard_NC24ads_A100_v4"
    assert nearest("p5.48xlrge", "aws")[0] == "p5.48xlarge"
