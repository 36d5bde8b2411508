"""The commands that need no cluster, called as a shell calls them."""

import json
from pathlib import Path

import pytest
import yaml

from kaito.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = EXAMPLES / "fine-tuning/kaito_workspace_tuning_phi_3.yaml"
PHI_4 = EXAMPLES / "inference/kaito_workspace_phi_4_mini.yaml"


def run(capsys, *arguments):
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_plan_shows_the_arithmetic(capsys):
    """`plan` names machine, count and how they came about, and exits 0."""
    code, out, _ = run(capsys, "plan", "-f", PHI_4)

    assert code == 0
    assert "1 x Standard_NC24ads_A100_v4" in out
    assert "because" in out


def test_plan_of_what_is_refused_exits_1(capsys):
    """A refused Workspace is told with file, line, reason and what to edit."""
    code, out, _ = run(capsys, "plan", "-f", SEED)

    assert code == 1
    assert "OutputNotPushable" in out
    assert f"{SEED}:18" in out
    assert "imagePushSecret" in out


def test_plan_as_json(capsys):
    """`-o json` is for programs: the same decision as data."""
    code, out, _ = run(capsys, "plan", "-f", PHI_4, "-o", "json")

    (item,) = json.loads(out)
    assert code == 0
    assert item["plan"]["nodes"] == 1


def test_render_is_deterministic_and_says_where_the_uid_is_from(capsys):
    """Two renderings are equal; the invented UID is told in a comment."""
    first = run(capsys, "render", "-f", PHI_4)
    second = run(capsys, "render", "-f", PHI_4)

    assert first == second
    assert first[0] == 0
    assert first[1].startswith("# default/workspace-phi-4-mini")
    assert "uuid5" in first[1].splitlines()[0]
    kinds = [obj["kind"] for obj in yaml.safe_load_all(first[1])]
    assert kinds == ["NodeClaim", "StatefulSet", "Service", "Service"]


def test_validate_names_file_line_and_field(capsys):
    """Every problem is `file:line: field: message`; both placeholders of the seed are found."""
    code, out, _ = run(capsys, "validate", "-f", SEED)

    assert code == 1
    assert f"{SEED}:18: tuning.output.image: " in out
    assert f"{SEED}:19: tuning.output.imagePushSecret: " in out


def test_validate_finds_a_typo(capsys, tmp_path):
    """A misspelt field is found with the name it was probably meant to be."""
    text = PHI_4.read_text().replace("instanceType", "instancetype")
    file = tmp_path / "ws.yaml"
    file.write_text(text)

    code, out, _ = run(capsys, "validate", "-f", file)

    assert code == 1
    assert f"{file}:6: resource.instancetype" in out
    assert "instanceType" in out


def test_validate_of_a_good_file_says_nothing(capsys):
    """No problem, no output, exit 0."""
    assert run(capsys, "validate", "-f", PHI_4) == (0, "", "")


@pytest.mark.parametrize(
    ("change", "words"),
    {
        "an unknown preset has its nearest names": (
            ("phi-4-mini-instruct", "phi-4-mini-instrct"),
            "phi-4-mini-instruct",
        ),
        "an unknown size has its nearest names": (
            ("NC24ads_A100_v4", "NC24ads_A100_v5"),
            "Standard_NC24ads_A100_v4",
        ),
        "a model that does not fit has the arithmetic": (
            ("phi-4-mini-instruct", "llama-3.3-70b-instruct"),
            "131.42",
        ),
    }.values(),
    ids=("preset", "size", "memory"),
)
def test_refusals_help(capsys, tmp_path, change, words):
    """What cannot be planned is refused with what helps to mend it."""
    file = tmp_path / "ws.yaml"
    file.write_text(PHI_4.read_text().replace(*change))

    code, out, _ = run(capsys, "plan", "-f", file)

    assert code == 1
    assert words in out


def test_two_of_inference_and_tuning_are_refused(capsys, tmp_path):
    """A Workspace does one of the two."""
    obj = yaml.safe_load(SEED.read_text())
    obj["inference"] = {"preset": {"name": "phi-4"}}
    file = tmp_path / "ws.yaml"
    file.write_text(yaml.safe_dump(obj))

    code, out, _ = run(capsys, "validate", "-f", file)

    assert code == 1
    assert "inference" in out
    assert "tuning" in out


def test_models_and_skus_find_by_any_spelling(capsys):
    """A short name, an alias and a Hugging Face id in any case lead to the same model."""
    _, out, _ = run(capsys, "models", "microsoft/PHI-4-mini-instruct", "-o", "json")
    _, sku, _ = run(capsys, "skus", "standard_nc6s_V3", "-o", "json")

    assert json.loads(out)["name"] == "phi-4-mini-instruct"
    assert json.loads(sku)["retired"] == "2025-09-30"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("plan",), 2, "--filename"),
        (("plan", "-f", "nowhere.yaml"), 2, "nowhere.yaml: No such file"),
        (("pln",), 2, "did you mean plan?"),
        (("models", "phi4"), 1, "did you mean phi-4"),
        (("plan", "--no-such-flag"), 2, "no-such-flag"),
    ],
)
def test_errors_are_one_line_on_stderr(capsys, arguments, code, words):
    """Whatever goes wrong is one line on stderr, nothing on stdout, and a documented code."""
    ended, out, err = run(capsys, *arguments)

    assert (ended, out) == (code, "")
    assert err.count("\n") == 1
    assert words in err


def test_completion_and_version(capsys):
    """`completion` prints a script for each shell; `version` names the version."""
    for shell in ("bash", "zsh", "fish"):
        code, out, _ = run(capsys, "completion", shell)
        assert code == 0
        assert "_KAITO_COMPLETE" in out
    assert run(capsys, "version")[1].startswith("kaito 0.")
