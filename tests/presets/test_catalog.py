"""The catalog: names, facts, and that the generated module is fresh."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from kaito.presets import compiler
from kaito.presets.catalog import UnknownPreset, all_presets, find
from kaito.presets.preset import Preset

KAITO = yaml.safe_load(Path(__file__).with_name("kaito_models.yaml").read_text())

COUNTED_TWICE = {"openai/gpt-oss-20b": 12.82, "openai/gpt-oss-120b": 60.77}
"""KAITO v0.12 adds the copy under original/ to the size of these."""


def preset(name: str) -> Preset:
    found = find(name)
    assert isinstance(found, Preset)
    return found


def test_the_catalog_has_every_model_of_kaito_and_the_earlier_ones() -> None:
    """60 current models, 5 legacy ones."""
    assert [p.repository for p in all_presets() if p.era == "current"] == list(KAITO["models"])
    legacy = {p.name for p in all_presets() if p.era == "legacy"}
    assert legacy == {
        "falcon-7b",
        "falcon-7b-instruct",
        "falcon-40b",
        "falcon-40b-instruct",
        "phi-2",
    }


@pytest.mark.parametrize("repository", KAITO["models"])
def test_facts_are_those_of_kaito(repository: str) -> None:
    """Size, disk, context, KV cache and start-up time match KAITO's, known mistakes aside."""
    size, disk, context, per_token, seconds, dtype = KAITO["models"][repository]
    found = preset(repository)
    assert found.context == context
    assert found.attention.bytes_per_token == per_token
    assert found.dtype == dtype
    if repository in COUNTED_TWICE:
        assert found.weights_gib == COUNTED_TWICE[repository]
        return
    assert found.weights_gib == size
    assert found.disk_gib == disk
    assert abs(found.startup_seconds - seconds) <= 1


@pytest.mark.parametrize("alias", KAITO["aliases"])
def test_every_alias_still_names_its_model(alias: str) -> None:
    """The 25 short names of earlier releases lead to the same models."""
    assert preset(alias).model_id == KAITO["aliases"][alias]


def test_names_ignore_case() -> None:
    """Short names and Hugging Face ids are found however they are spelled."""
    assert preset("Phi-4").name == "phi-4"
    assert preset("QWEN/qwen3.5-2b").repository == "Qwen/Qwen3.5-2B"


def test_an_unknown_name_comes_with_the_nearest() -> None:
    """A typo is answered with what was probably meant."""
    unknown = find("phi-3-mini-128k-instrct")
    assert isinstance(unknown, UnknownPreset)
    assert unknown.nearest[0] == "phi-3-mini-128k-instruct"
    assert find("zzz") == UnknownPreset("zzz", ())


def test_two_models_cannot_claim_one_name() -> None:
    """The compiler refuses an ambiguous catalog."""
    entry = """
      - id: {}/same
        architectures: [A]
        size: {{weights_gib: 1, context: 1}}
        attention: {{kind: MHA, layers: 1, heads: 1, kv_heads: 1, head_dim: 1}}
    """
    with pytest.raises(ValueError, match="both claim same"):
        compiler.compile_source("models:" + entry.format("a") + entry.format("b"))


def test_an_unknown_fact_is_refused() -> None:
    """A misspelled field in models.yaml is an error, not ignored."""
    with pytest.raises(ValidationError, match="wieghts"):
        compiler.compile_source("models:\n  - id: a/b\n    wieghts: 1\n")
