"""The expected cost of runs and sweeps is said before they begin, above a limit."""

import psutil
import pytest
from typer.testing import CliRunner

from experiments import cost
from experiments.cli import app
from experiments.cost import announcement, expected_cpu_s, expected_of_sweep
from experiments.numerals import duration
from sim.keys import SettingError
from sim.world import World
from tests.conftest import TINY
from tests.experiments.test_sweeps import FILE, rule


def expected(scenario):
    world = World(scenario)
    try:
        return expected_cpu_s(world)
    finally:
        world.close()


def test_the_cost_grows_with_what_is_trained(tiny, monkeypatch):
    monkeypatch.setattr(cost, "_s_per_visit", lambda bench, devices: 1e-6)
    small = expected(tiny(training__epochs=4_000))
    assert small == pytest.approx(3 * 120 * 4_000 * 1e-6), "rounds x samples x epochs"
    assert expected(tiny(training__epochs=8_000)) == pytest.approx(2 * small)
    assert expected(tiny(training__epochs=4_000, rounds=6)) == pytest.approx(2 * small)
    assert expected(tiny()) == 0, "nobody waits for what is small"


def test_training_is_timed_and_changes_nothing(tiny, monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_ABOVE", 0)
    worlds = [World(tiny(rounds=1)) for _ in range(2)]
    assert expected_cpu_s(worlds[0]) > 0
    tables = []
    for world in worlds:
        list(world.run())
        tables.append(world.kernel.tables()["rounds"])
        world.close()
    assert tables[0].equals(tables[1])


def test_what_no_memory_holds_is_refused(tiny, monkeypatch):
    class Small:
        total = 1_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Small)
    expected(tiny(training__epochs=8_000))
    with pytest.raises(SettingError, match=r"one device visits its 15 samples takes 0 GB"):
        expected(tiny(training__epochs=9_000))


def test_a_sweep_is_weighed_by_its_heaviest_run(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "_s_per_visit", lambda bench, devices: 1e-6)
    runs = [tiny(training__epochs=3_000), tiny(training__epochs=9_000)]
    longest, total = expected_of_sweep(runs)
    assert longest == pytest.approx(3 * 120 * 9_000 * 1e-6)
    assert total == pytest.approx(longest * 4 / 3)
    foreign = tiny(payout__mechanism=rule(tmp_path, "mine", "os._exit(9)"))
    assert expected_of_sweep([*runs, foreign]) == (0, 0), "a stranger's code is not run for it"
    assert expected_of_sweep([]) == (0, 0)


@pytest.mark.parametrize(
    ("run_s", "sweep_s", "line"),
    [
        (3_000, 80_000, ""),
        (7_300, 7_300, "about 2.03 h of CPU time are expected for one run"),
        (3_000, 360_000, "about 100 h of CPU time are expected for all runs"),
    ],
)
def test_only_a_large_cost_is_announced(run_s, sweep_s, line):
    found = announcement(run_s, sweep_s, duration)
    assert found.startswith(line)
    assert bool(found) == bool(line)


def test_a_script_goes_on_and_a_terminal_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "RUN_S", -1.0)
    sets = [f"--set={key}={value}" for key, value in TINY.items() if not isinstance(value, dict)]
    sets += ["--set=data.params={train = 160, test = 60, features = 6, classes = 3}"]
    sets += ['--set=roles.params.counts="4,2,2"']

    def play(*options, **answers):
        command = ["run", "vbfl", *sets, "--set", "rounds=1", *options]
        return CliRunner().invoke(app, command, **answers)

    done = play("--out", "script")
    assert done.exit_code == 0, done.output
    assert "of CPU time are expected for one run" in done.output
    assert "expected" not in play("--out", "quiet", "--yes").output

    # At a terminal.
    monkeypatch.setattr("experiments.terminal.watched", lambda: True)
    refused = play("--out", "refused", input="n\n")
    assert refused.exit_code == 1
    assert not (tmp_path / "refused").exists()
    assert play("--out", "agreed", input="y\n").exit_code == 0


def test_a_sweep_announces_its_cost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "RUN_S", -1.0)
    (tmp_path / "tiny.toml").write_text(FILE.replace("seeds = 2", "seeds = 1"))
    done = CliRunner().invoke(app, ["sweep", "tiny.toml", "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "of CPU time are expected for one run" in done.output
    assert "2 runs: 0 reused, 2 new" in done.output
