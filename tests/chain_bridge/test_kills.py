"""`kill -9` of the client and of the chain: every batch exactly once, the books agree to the unit.

Only processes that a test started are ended, by their ids.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain_bridge import Options, replay_run
from chain_bridge.devchain import server
from chain_bridge.landed import scan
from experiments.cli import app

ROOT = Path(__file__).parents[2]


def client(folder, url, out, *options):
    command = [
        sys.executable,
        "-m",
        "experiments.cli",
        "replay",
        str(folder),
        "--endpoint",
        url,
        "--out",
        str(out),
        *options,
    ]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def progress_of(process, done):
    """Read the client's plain progress lines until it has landed so many batches, or ends."""
    return any(
        line.startswith("replay: ") and int(line.split()[1].split("/")[0]) >= done
        for line in process.stderr
    )


@pytest.mark.parametrize(
    ("custody", "kills"),
    [
        ("devices", 1),
        pytest.param("operator", 20, marks=pytest.mark.soak),
        pytest.param("devices", 20, marks=pytest.mark.soak),
    ],
)
def test_killed_clients(devchain, chain, recorded, scripted, tmp_path, custody, kills):
    """Each client is killed after one more batch, of many, at a random moment; one finishes."""
    draw = random.Random(kills)
    # Devices' batches of a round share a block, so that more rounds make as many moments.
    folder = recorded(rounds=kills + 1 if custody == "operator" else 3 * kills + 4)
    options = ("--batch", "2", "--custody", custody)
    form = {"most": 2, "custody": custody}
    killed_at = []
    for _ in range(kills):
        process = client(folder, devchain.url, tmp_path / "replay", *options)
        progress_of(process, 1)
        # Plain lines come at tenths of the batches, so that of many moments each is also drawn.
        time.sleep(draw.uniform(0, 0.3) if kills > 1 else 0)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it must still work: ask for more batches"
        script = scripted(chain, folder, **form)
        killed_at.append(len(scan(chain, script).landed))
    assert killed_at == sorted(killed_at)
    assert len(set(killed_at)) > kills // 2, "kills must find replays at different places"
    assert killed_at[-1] < len(script.batches)
    words = ["replay", str(folder), "--endpoint", devchain.url, "--out", str(tmp_path / "replay")]
    last = CliRunner().invoke(app, [*words, *options])
    assert last.exit_code == 0, last.output
    assert "no difference" in last.output
    verdict = json.loads((tmp_path / "replay" / "verdict.json").read_text())
    assert verdict["reconciled"]
    assert verdict["found"] >= killed_at[-1]
    landed = scan(chain, scripted(chain, folder, **form)).landed
    assert [x.batch for x in landed] == list(range(verdict["batches"]))
    assert verdict["custody"] == custody


@pytest.mark.slow
@pytest.mark.parametrize(
    ("custody", "kills"),
    [
        ("devices", 1),
        pytest.param("operator", 5, marks=pytest.mark.soak),
        pytest.param("devices", 5, marks=pytest.mark.soak),
    ],
)
def test_killed_chains(rewound, devchain, recorded, tmp_path, monkeypatch, custody, kills):
    """A bundled chain that dies is started again, empty: all is sent again, to the same hash."""
    monkeypatch.setattr("chain_bridge.witness.RESTARTS", kills)
    folder = recorded(rounds=5 if custody == "operator" else 3)
    there = Options(endpoint=devchain.url, custody=custody)
    undisturbed = replay_run(folder, there, out=tmp_path / "undisturbed")
    started, start = [], server.start
    aims: list[int] = []
    killers: list[threading.Timer] = []

    def recording_start(**options):
        started.append(start(**options))
        return started[-1]

    monkeypatch.setattr(server, "start", recording_start)
    draw = random.Random(kills)

    def on_batch(done, total):
        """Each chain but the last dies at a random moment after a random batch."""
        if len(started) > len(aims):
            aims.append(1 + draw.randrange(total - 3))
        if len(killers) < kills and done == aims[-1]:
            last = (started[-1].pid, signal.SIGKILL)
            killers.append(threading.Timer(draw.uniform(0, 0.3), os.kill, last))
            killers[-1].start()
        elif killers:
            killers[-1].join()  # however fast it is, it does not end before its chain

    options = Options(custody=custody)
    done = replay_run(folder, options, out=tmp_path / "disturbed", on_batch=on_batch)
    assert done.restarts == len(killers) == kills
    assert done.books.agrees
    assert done.books.head == undisturbed.books.head


def test_a_chain_that_died_behind_an_endpoint(fresh, devchain, recorded, tmp_path):
    """It is not started again: the error says so, and the next replay uses the new chain."""
    from chain_bridge import ChainSilentError

    folder, own = recorded(rounds=2), fresh()

    def on_batch(done, total):
        if done == 2:
            os.kill(own.pid, signal.SIGKILL)

    with pytest.raises(ChainSilentError, match=r"broke off|no chain answers"):
        replay_run(
            folder, Options(endpoint=own.url, batch=5), out=tmp_path / "replay", on_batch=on_batch
        )
    assert not (tmp_path / "replay").exists()
    again = replay_run(folder, Options(endpoint=devchain.url, batch=5), out=tmp_path / "replay")
    assert again.books.agrees
