"""What a plug-in raises is its failure, whatever it raises; Ctrl-C stays the user's."""

import signal
import threading

import pytest

from fedstake.interrupts import noticing_interrupts
from mechanisms.failures import PluginFailedError, told
from mechanisms.payouts.flat import Flat
from mechanisms.plugin import PluginError
from mechanisms.registry import import_by_path


class Raising(Flat):
    def settle(self, seen):
        raise seen


@pytest.mark.parametrize(
    "kind", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, BaseException, MemoryError]
)
def test_whatever_a_plug_in_raises_is_its_failure(kind):
    with pytest.raises(PluginFailedError) as raised, told(3):
        Raising().settle(kind("why"))
    assert str(raised.value).endswith(f"in Raising.settle, round 3: {described(kind)}")
    assert type(raised.value.__cause__) is kind


def described(kind):
    return f"{kind.__name__}: " + ("'why'" if kind is KeyError else "why")


def test_ctrl_c_is_the_user_s_while_a_plug_in_runs(listening):
    class Slow(Flat):
        def settle(self, seen):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), told(1):
        Slow().settle(None)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_time_limit_on_top_of_a_plug_in_is_no_failure_of_it(tmp_path):
    class LimitError(BaseException):
        pass

    def limit(number, frame):
        raise LimitError

    path = tmp_path / "slow.py"
    path.write_text(
        "import signal\n"
        "from mechanisms.payouts.flat import Flat\n"
        "class Slow(Flat):\n"
        "    def settle(self, seen):\n"
        "        signal.raise_signal(signal.SIGUSR1)\n"
    )
    slow = import_by_path(f"{path}:Slow")
    before = signal.signal(signal.SIGUSR1, limit)
    try:
        with pytest.raises(LimitError), told(1):
            slow().settle(None)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_errors_of_nobody_stay_what_they_are():
    with pytest.raises(KeyError), told(1):
        {}["missing"]


def test_in_other_threads_and_where_ctrl_c_is_ignored_nothing_is_noticed():
    found = []

    def look():
        with noticing_interrupts() as interrupted:
            found.append(interrupted())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        look()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [False, False]


@pytest.mark.parametrize("line", ["raise KeyboardInterrupt", "raise BaseException", "exit(3)"])
def test_a_file_that_stops_the_import_is_a_wrong_plug_in(tmp_path, line):
    path = tmp_path / "bad.py"
    path.write_text(f"{line}\n")
    with pytest.raises(PluginError, match=r"bad\.py fails to import: \w+"):
        import_by_path(f"{path}:Bad")
