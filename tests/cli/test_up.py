"""`kaito up`: an embedded cluster and the operator in the foreground."""

import asyncio
import re
import signal
import socket
import ssl
import stat
from pathlib import Path

import aiohttp
import pytest
import yaml

from kaito.cli import main
from kaito.cli.failure import INTERRUPTED, OK, REFUSED, TIMEOUT, USAGE
from tests.cli.programs import PHI_4, SEED, kaito

FAST = ("--world-speed", "600")


@pytest.mark.realtime
async def test_until_ready_ends_with_0_when_the_workspace_is_ready(tmp_path):
    """One YAML becomes a model that answers, over HTTPS, as the operator's own account."""
    async with kaito(tmp_path, "up", "-f", PHI_4, "--until-ready", *FAST) as up:
        code, err = await up.end()

    told = "\n".join(up.lines)
    stages = ("claim", "agent pool creating", "node joined", "GPU plugin ready", "image pulled")
    assert (code, err) == (OK, "")
    assert all(f"workspace-phi-4-mini: {stage} " in told for stage in (*stages, "started", "Ready"))
    assert re.search(r"\dm\d\ds simulated, \d\.\d s real", told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realtime
async def test_a_stalled_workspace_ends_it_at_once_with_its_reason(tmp_path):
    """The seed as printed can never become Ready: nobody waits for a timeout to learn why."""
    async with kaito(tmp_path, "up", "-f", SEED, "--until-ready") as up:
        code, err = await up.end()

    last = err.splitlines()[-1]
    assert code == REFUSED
    assert last.startswith("kaito: workspace default/workspace-tuning-phi-3: Stalled=True, ")
    assert "OutputNotPushable" in last
    assert "imagePushSecret" in last
    assert sum(line.startswith("Warning: ") for line in err.splitlines()) == 3


@pytest.mark.realtime
async def test_the_timeout_is_124_and_names_condition_reason_and_message(tmp_path):
    """A world that lives no faster than we do is not done in a second."""
    arguments = ("--until-ready", "--timeout", "1s", "--world-speed", "1")
    async with kaito(tmp_path, "up", "-f", PHI_4, *arguments) as up:
        code, err = await up.end()

    assert code == TIMEOUT
    assert err.startswith("kaito: workspace default/workspace-phi-4-mini: Ready")


@pytest.mark.realtime
async def test_two_run_side_by_side_and_answer_plain_http(tmp_path):
    """Each has its port and its private kubeconfig; the model answers curl and OpenAI clients;
    Ctrl-C ends each cleanly with 0, and nothing of it is left."""
    async with (
        kaito(tmp_path, "up", "-f", PHI_4, *FAST) as up,
        kaito(tmp_path, "up", "--kubeconfig", tmp_path / "mine") as other,
    ):
        path = (await up.until("export KUBECONFIG=")).partition("=")[2]
        mine = (await other.until("export KUBECONFIG=")).partition("=")[2]
        assert mine == str(tmp_path / "mine")
        await _version(_private(path), tmp_path)
        url = re.match(r"export OPENAI_BASE_URL=(\S+)", await up.until("export OPENAI_"))[1]
        told = await _ask(url)
        await other.until("# running")
        for program in (up, other):
            program.interrupt()
        ends = [await up.end(), await other.end()]

    assert "simulated" in told["choices"][0]["message"]["content"]
    assert ends == [(OK, ""), (OK, "")]
    assert list(tmp_path.iterdir()) == []


def _private(path):
    """A kubeconfig that only its owner can reach."""
    file = Path(path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    return yaml.safe_load(file.read_text())


async def _version(config, tmp_path):
    """The server answers a TLS client with the certificate of the kubeconfig, and nobody else."""
    from base64 import b64decode

    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca = b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=ca)
    chain = tmp_path / "client.pem"
    chain.write_bytes(
        b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"])
    )
    context.load_cert_chain(chain)
    chain.unlink()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        version = await (await session.get(f"{cluster['server']}/version")).json()
    assert version["gitVersion"].endswith("+kaito-embedded")


async def _ask(url):
    body = {"messages": [{"role": "user", "content": "hello"}]}
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{url}/chat/completions", json=body)
        return await answer.json()


@pytest.mark.realtime
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_before_ready_is_130(tmp_path, number):
    """What was asked for was not reached."""
    arguments = ("--until-ready", "--world-speed", "1")
    async with kaito(tmp_path, "up", "-f", PHI_4, *arguments) as up:
        await up.until("# workspace.kaito.sh/workspace-phi-4-mini created")
        up.interrupt(number)
        code, err = await up.end()

    assert (code, err) == (INTERRUPTED, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realtime
async def test_it_ends_when_nobody_reads_any_more(tmp_path):
    """`kaito up | head -1` must not stay behind unseen."""
    async with kaito(tmp_path, "up", "-f", PHI_4) as up:
        await up.until("# running")
        up.process._transport.get_pipe_transport(1).close()
        async with asyncio.timeout(120):
            await up.process.wait()

    assert up.process.returncode == OK
    assert list(tmp_path.iterdir()) == []


def ended(capsys, *arguments):
    """Exit code and stderr of a call that should end before anything is started."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, capsys.readouterr().err


@pytest.mark.realtime
def test_a_port_in_use_is_one_line(capsys):
    """And the way out of it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, err = ended(capsys, "up", "--port", port)

    assert code == REFUSED
    assert err == (
        f"kaito: port {port} is in use; choose another one, or --port 0 for a free one\n"
    )


def test_a_kubeconfig_of_somebody_else_is_refused_before_anything_starts(capsys, tmp_path):
    """One line; the file stays as it is."""
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n")

    code, err = ended(capsys, "up", "--kubeconfig", path)

    assert (code, err.count("\n")) == (REFUSED, 1)
    assert "was not written by kaito" in err
    assert path.read_text() == "apiVersion: v1\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--until-ready"], USAGE, "there is no Workspace in -f"),
        (["-f", "no/such.yaml"], USAGE, "no/such.yaml: No such file"),
        (["-f", "BROKEN"], REFUSED, "not YAML"),
        (["--timeout", "soon"], USAGE, "is not a duration"),
        (["--port", "70000"], USAGE, "70000"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(capsys, tmp_path, arguments, code, words):
    """Before a cluster is started, with the documented exit code."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    arguments = [broken if argument == "BROKEN" else argument for argument in arguments]

    found, err = ended(capsys, "up", *arguments)

    assert (found, err.count("\n")) == (code, 1)
    assert words in err


def test_the_help_tells_every_exit_code():
    """What scripts rely on is written down where they are told to look."""
    from kaito.cli.up import command

    assert all(f"\n{code} " in re.sub(r"\n +", "\n", command.help) for code in (1, 2, 3, 124, 130))
