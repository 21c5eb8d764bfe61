"""A finished run goes on: the result is that of all rounds played at once, to the byte."""

import pytest

from experiments import RunError, open_run, run
from fedstake.errors import FedstakeWarning, Interrupted
from sim.protocols.vbfl.protocol import Vbfl

CHURN = {
    "availability__kind": "per-round",
    "availability__online": 0.7,
    "payout__mechanism": "slashed-vbfl",
    "payout__initial_balance": 1_000_000,
    "record__tape": True,
}


def digests(result):
    return {name: file["sha256"] for name, file in result.manifest["files"].items()}


def begun(world):
    """Note the round after which a run begins to play."""
    begun.at = world.round_index


@pytest.mark.parametrize(
    ("preset", "changes"),
    [("vbfl", {}), ("vbfl", CHURN), ("fedavg", {}), ("coordinator", {})],
    ids=["vbfl", "stakes and tape", "fedavg", "coordinator"],
)
def test_from_3_to_6_rounds_as_if_played_at_once(tiny, tmp_path, preset, changes):
    whole = run(tiny(preset, rounds=6, **changes), tmp_path / "whole")
    first = run(tiny(preset, rounds=3, **changes), tmp_path / "first", keep_state=True)
    before = digests(first)
    longer = run(
        tiny(preset, rounds=6, **changes),
        tmp_path / "longer",
        extend=tmp_path / "first",
        on_start=begun,
    )
    assert begun.at == 2, "only the last round, in which accounts were closed, is played again"
    assert digests(longer) == digests(whole)
    assert longer.run_id == whole.run_id
    assert digests(open_run(tmp_path / "first")) == before, "what is extended stays"


def test_in_place_and_again_and_again(tiny, tmp_path):
    whole = run(tiny(rounds=5), tmp_path / "whole")
    run(tiny(rounds=2), tmp_path / "run", keep_state=True)
    for rounds in (3, 5):
        result = run(
            tiny(rounds=rounds), tmp_path / "run", extend=tmp_path / "run", keep_state=True
        )
    assert digests(result) == digests(whole)
    again = run(tiny(rounds=5), tmp_path / "run", extend=tmp_path / "run", on_start=pytest.fail)
    assert again.run_id == whole.run_id
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "whole"]


def test_without_a_state_all_rounds_are_played_and_that_is_said(tiny, tmp_path):
    whole = run(tiny(rounds=4), tmp_path / "whole")
    run(tiny(rounds=2), tmp_path / "run")
    with pytest.warns(FedstakeWarning, match=r"keeps no state \(--keep-state\): all 4 rounds"):
        result = run(tiny(rounds=4), tmp_path / "run", extend=tmp_path / "run")
    assert digests(result) == digests(whole)


def test_an_extension_that_is_interrupted_goes_on(tiny, tmp_path):
    whole = run(tiny(rounds=6), tmp_path / "whole")
    run(tiny(rounds=2), tmp_path / "run", keep_state=True)

    def stop(world):
        if world.round_index == 4:
            raise KeyboardInterrupt

    options = {"extend": tmp_path / "run"}
    with pytest.raises(Interrupted, match="after round 4"):
        run(tiny(rounds=6), tmp_path / "run", on_round=stop, **options)
    assert open_run(tmp_path / "run").manifest["rounds"] == 2, "the shorter run is there until then"
    result = run(tiny(rounds=6), tmp_path / "run", on_start=begun, **options)
    assert begun.at == 4
    assert digests(result) == digests(whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rounds": 2}, "has 2 rounds; --extend needs more"),
        ({"rounds": 1}, "has 2 rounds; --extend needs more"),
        ({"seed": 1}, "has seed = 0, not 1; --extend changes rounds only"),
        ({"training__epochs": 2}, "has training.epochs = 1, not 2; --extend changes rounds only"),
        ({"adversaries": []}, "adversaries.0"),
    ],
)
def test_what_differs_in_more_than_rounds_is_refused(tiny, tmp_path, changes, words):
    run(tiny(rounds=2), tmp_path / "run", keep_state=True)
    with pytest.raises(RunError) as refused:
        run(tiny(**{"rounds": 4, **changes}), tmp_path / "out", extend=tmp_path / "run")
    assert words in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_game_that_depends_on_its_end_is_refused(tiny, tmp_path, monkeypatch):
    run(tiny(rounds=2), tmp_path / "run", keep_state=True)
    monkeypatch.setattr(Vbfl, "open_ended", False)
    with pytest.raises(RunError, match="depends on how many rounds are to come"):
        run(tiny(rounds=4), tmp_path / "out", extend=tmp_path / "run")


def test_the_place_of_a_shorter_run_says_how_to_extend_it(tiny, tmp_path):
    run(tiny(rounds=2), tmp_path / "run")
    with pytest.raises(RunError, match=r"holds this run with 2 rounds; --extend .*run goes on"):
        run(tiny(rounds=4), tmp_path / "run")


def test_a_damaged_state_is_refused(tiny, tmp_path):
    run(tiny(rounds=2), tmp_path / "run", keep_state=True)
    (log,) = (tmp_path / "run" / "state").glob("*-log-*")
    log.write_bytes(b"x" + log.read_bytes()[1:])
    with pytest.raises(RunError, match="damaged"):
        run(tiny(rounds=4), tmp_path / "out", extend=tmp_path / "run")
