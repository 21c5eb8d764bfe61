"""What plug-ins give back is checked where it is used: a broken contract is an error, not a result.

Each function returns the answer or raises the `PluginFailedError` of the plug-in, which says what
should be returned.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedstake.outside import line_problem, problem
from mechanisms.failures import broken
from mechanisms.plugin import Plugin
from mechanisms.vocabulary import (
    Ballot,
    CaptureObservation,
    DataObservation,
    FloatMatrix,
    Judgement,
    LabellingObservation,
    MemberVote,
    MiningDecision,
    MiningObservation,
    Payment,
    Purchase,
    Refused,
    Role,
    RoleObservation,
    Settlement,
    Submission,
    WorkerObservation,
)

BOOL, FLOAT, INTEGER = "bool", "float", "int"
KINDS = {BOOL: np.bool_, FLOAT: np.floating, INTEGER: np.integer}
"""Element types that an array may be asked to have."""
MOST_REASON = 200
"""Characters of a reason for a payment, and of the name of an account."""
MOST_DEPTH = 40
"""Tables and lists inside each other of a memory: a checkpoint has it inside more of them."""
MOST_CONVICTION = 6
"""Of a ballot, as on Substrate."""


def _returned(answer: Any) -> str:
    """Return what an answer is, in words."""
    if answer is None:
        return "None"
    name = type(answer).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def instance(plugin: Plugin, method: str, answer: Any, kind: type, who: str = "") -> Any:
    """Return an answer of a class."""
    if isinstance(answer, kind):
        return answer
    name = kind.__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    message = f"must return {article} {name}, returned {_returned(answer)}"
    raise broken(plugin, method, message, who)


def array(
    plugin: Plugin,
    method: str,
    answer: Any,
    *,
    shape: tuple[int, ...],
    kind: str,
    what: str = "",
    who: str = "",
) -> NDArray[Any]:
    """Return an answer as an array of this shape and kind of elements; `what` names it."""
    wanted = f"{what + ' must be' if what else 'must return'} {_form(kind, shape)}"
    if answer is None or isinstance(answer, str | bytes | Mapping | Set):
        raise broken(plugin, method, f"{wanted}, not {_returned(answer)}", who)
    try:
        found = np.asarray(answer)
    except (TypeError, ValueError):  # ragged
        raise broken(plugin, method, f"{wanted}, not {_returned(answer)}", who) from None
    # An empty list has no elements of another kind.
    fits = np.issubdtype(found.dtype, KINDS[kind]) or not found.size
    if found.shape != shape or not fits:
        raise broken(plugin, method, f"{wanted}, not {_form(found.dtype, found.shape)}", who)
    return found


def _form(kind: Any, shape: tuple[int, ...]) -> str:
    """Return type and shape as the documentation writes them: float32[3, 10]."""
    return f"{kind}[{', '.join(map(str, shape))}]"


def whole(plugin: Plugin, method: str, answer: Any, least: int = 0, who: str = "") -> int:
    """Return an integer that is not below `least`."""
    try:
        number = operator.index(answer)
    except TypeError:
        number = least - 1
    if isinstance(answer, bool | np.bool_) or number < least:
        message = f"must give an integer of at least {least}, gave {answer!r}"
        raise broken(plugin, method, message, who)
    return number


def seconds(plugin: Plugin, method: str, answer: Any) -> float:
    """Return a finite time that is not negative."""
    if isinstance(answer, int | float | np.number) and 0 <= answer < np.inf:
        return float(answer)
    raise broken(plugin, method, f"must give seconds, 0 or more, gave {answer!r}")


def probability(plugin: Plugin, method: str, answer: Any, who: str = "") -> float:
    """Return a number in 0..1."""
    is_number = isinstance(answer, int | float | np.number) and not isinstance(answer, bool)
    if is_number and 0 <= answer <= 1:
        return float(answer)
    raise broken(plugin, method, f"must give a number in 0..1, gave {answer!r}", who)


def truth(plugin: Plugin, method: str, answer: Any, who: str = "") -> bool:
    """Return True or False."""
    if isinstance(answer, np.bool_):
        return bool(answer)
    return bool(instance(plugin, method, answer, bool, who))


# --- payout rules and parts ---------------------------------------------------------------------


def settlement(plugin: Plugin, method: str, answer: Any) -> Settlement:
    """Return a settlement whose payments are payments."""
    settled: Settlement = instance(plugin, method, answer, Settlement)
    if not isinstance(settled.payments, tuple | list):
        message = f"payments must be a tuple, not {_returned(settled.payments)}"
        raise broken(plugin, method, message)
    for payment in settled.payments:
        if not isinstance(payment, Payment):
            raise broken(plugin, method, f"payments hold {_returned(payment)}, must be Payment")
        _check_texts(plugin, method, payment)
    return settled


def _check_texts(plugin: Plugin, method: str, payment: Payment) -> None:
    """Refuse a payment whose reason is no short line, or whose ends are no devices or accounts."""
    wrong = line_problem(payment.reason, MOST_REASON)
    if wrong:
        raise broken(plugin, method, f"pays for a reason that {wrong}")
    for end in (payment.payee, payment.payer):
        if not isinstance(end, int | str | np.integer):
            raise broken(plugin, method, f"pays {end!r}, must be a device or an account")


def accounts(plugin: Plugin, method: str, answer: Any) -> Mapping[str, int]:
    """Return base units by account."""
    for name in amounts(plugin, method, answer):
        wrong = line_problem(name, MOST_REASON)
        if wrong:
            raise broken(plugin, method, f"the name of an account {wrong}")
    return answer


def members(plugin: Plugin, method: str, answer: Any) -> frozenset[int] | None:
    """Return a set of devices, or None for all."""
    return None if answer is None else devices(plugin, method, answer)


def devices(plugin: Plugin, method: str, answer: Any) -> frozenset[int]:
    """Return a set of devices."""
    if not isinstance(answer, Set):
        message = f"must return a frozenset of devices, returned {_returned(answer)}"
        raise broken(plugin, method, message)
    return frozenset(answer)


def amounts(plugin: Plugin, method: str, answer: Any) -> Mapping[Any, int]:
    """Return base units by account or device."""
    if not isinstance(answer, Mapping):
        message = f"must return a mapping to base units, returned {_returned(answer)}"
        raise broken(plugin, method, message)
    for name, amount in answer.items():
        if type(amount) is not int or not 0 <= amount < 2**63:
            message = f"gives {name!r} {amount!r}, must be an integer of base units, 0 or more"
            raise broken(plugin, method, message)
    return answer


# --- market and fee rules -----------------------------------------------------------------------


def money(plugin: Plugin, method: str, answer: Any, most: int, who: str = "") -> int | Refused:
    """Return base units from 0 to `most`, or a refusal. It is called for every act of a market."""
    if type(answer) is int and 0 <= answer <= most:
        return answer
    if isinstance(answer, Refused) and isinstance(answer.reason, str) and answer.reason:
        return answer
    right = f"0 to {most} base units, or Refused with a reason"
    raise broken(plugin, method, f"must return {right}, returned {answer!r}", who)


def counts(plugin: Plugin, method: str, answer: Any, devices: int) -> Mapping[int, int]:
    """Return base units, points or the like by device."""
    for device in amounts(plugin, method, answer):
        if type(device) is not int or not 0 <= device < devices:
            raise broken(plugin, method, f"names device {device!r}, there are 0..{devices - 1}")
    return answer


def moment(plugin: Plugin, method: str, answer: Any) -> float:
    """Return a time in seconds; inf: never."""
    if type(answer) is float and answer == answer:
        return answer
    if isinstance(answer, int | float | np.number) and not np.isnan(answer):
        return float(answer)
    raise broken(plugin, method, f"must give seconds or inf, gave {answer!r}")


def payments(
    plugin: Plugin,
    method: str,
    answer: Any,
    accounts: Collection[str],
    devices: int,
    others: Collection[int | str] = (),
) -> Sequence[Payment]:
    """Return payments from accounts of a market rule, to these, to devices or to others."""
    if not isinstance(answer, tuple | list):
        raise broken(plugin, method, f"must return payments, returned {_returned(answer)}")
    for p in answer:
        if not isinstance(p, Payment):
            raise broken(plugin, method, f"returns {_returned(p)}, must be Payment")
        _check_texts(plugin, method, p)
        if type(p.amount) is not int or not 0 <= p.amount < 2**63:
            message = f"pays {p.amount!r}, must be an integer of base units, 0 or more"
            raise broken(plugin, method, message)
        if p.payer not in accounts:
            raise broken(plugin, method, f"pays from {p.payer!r}, which is no account of its own")
        known = 0 <= p.payee < devices if type(p.payee) is int else p.payee in accounts
        if not (known or p.payee in others):
            raise broken(plugin, method, f"pays {p.payee!r}: neither a device nor its own account")
    return answer


# --- labelling rules ----------------------------------------------------------------------------


def judgement(plugin: Plugin, answer: Any, seen: LabellingObservation) -> Judgement:
    """Return a judgement about the submissions of a task, whose numbers are finite."""
    judged: Judgement = instance(plugin, "judge", answer, Judgement)
    n, q = seen.answers.shape
    for what, shape, kind in (
        ("scores", (n, q), FLOAT),
        ("labels", (q,), INTEGER),
        ("weights", (q,), FLOAT),
    ):
        array(plugin, "judge", getattr(judged, what), shape=shape, kind=kind, what=what)
    if not np.isfinite(judged.scores).all():
        raise broken(plugin, "judge", "scores must be finite, some are NaN or infinite")
    if not ((judged.weights >= 0) & (judged.weights <= 1)).all():
        raise broken(plugin, "judge", "weights must be in 0..1")
    if not ((judged.labels >= -1) & (judged.labels < seen.options)).all():
        raise broken(plugin, "judge", f"labels must be in 0..{seen.options - 1}, or -1 for none")
    return judged


def plain_memory(plugin: Plugin, method: str, memory: Any) -> dict[str, Any]:
    """Return a memory after a JSON round trip that changes nothing in it."""
    try:
        again: dict[str, Any] = json.loads(json.dumps(memory))
    except (TypeError, ValueError, RecursionError) as error:
        raise broken(plugin, method, f"remembers what is no plain JSON: {error}") from None
    wrong = problem(again, MOST_DEPTH)
    if wrong:
        raise broken(plugin, method, f"remembers what no file can hold: {wrong}")
    if again != memory:
        message = "remembers what JSON changes: keys must be text, lists not tuples, numbers finite"
        raise broken(plugin, method, message)
    return again


def labels(plugin: Plugin, method: str, answer: Any, n: int, options: int, who: str = "") -> Any:
    """Return `int64[n]` labels in 0..options-1."""
    found = array(plugin, method, answer, shape=(n,), kind=INTEGER, who=who)
    if n and not 0 <= found.min() <= found.max() < options:
        raise broken(plugin, method, f"must return labels in 0..{options - 1}", who)
    return found.astype(np.int64)


# --- behaviours ---------------------------------------------------------------------------------


def submission(plugin: Plugin, answer: Any, seen: WorkerObservation) -> Submission:
    """Return a submission in the form that the observation asks for.

    What is in it may be anything: NaN, infinity and lies are strategies. Rows of any
    floating-point type become `float32`, what is too large for that infinity.
    """
    sent: Submission = instance(plugin, "submit", answer, Submission, seen.who)
    claims, rows = (len(seen.devices),), seen.updates.shape
    parts = [
        ("updates", sent.updates, rows, FLOAT),
        ("claimed_samples", sent.claimed_samples, claims, INTEGER),
        ("claimed_epochs", sent.claimed_epochs, claims, INTEGER),
    ]
    if sent.revealed is not None:
        parts.append(("revealed", sent.revealed, rows, FLOAT))
    for what, value, shape, kind in parts:
        array(plugin, "submit", value, shape=shape, kind=kind, what=what, who=seen.who)
    for flag in ("forged", "replayed", "duplicated", "reveals"):
        value = getattr(sent, flag)
        if not isinstance(value, bool | np.bool_):
            message = f"{flag} must be True or False, not {value!r}"
            raise broken(plugin, "submit", message, seen.who)
    revealed = None if sent.revealed is None else _single(sent.revealed)
    return replace(sent, updates=_single(sent.updates), revealed=revealed)


def _single(rows: Any) -> FloatMatrix:
    """Return rows as `float32`, without a warning for numbers that are too large for it."""
    with np.errstate(over="ignore"):
        return np.asarray(rows, dtype=np.float32)


def samples(
    plugin: Plugin, method: str, answer: Any, seen: DataObservation
) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Return samples of the shape of those seen, and their labels; or None."""
    if answer is None:
        return None
    shape, classes, who = seen.x.shape[1:], seen.classes, seen.who
    if not isinstance(answer, tuple) or len(answer) != 2:
        message = f"must return None or a pair (x, y), returned {_returned(answer)}"
        raise broken(plugin, method, message, who)
    n = np.size(answer[1])
    x = array(plugin, method, answer[0], shape=(n, *shape), kind=FLOAT, what="x", who=who)
    y = array(plugin, method, answer[1], shape=(n,), kind=INTEGER, what="y", who=who)
    if n and not 0 <= y.min() <= y.max() < classes:
        raise broken(plugin, method, f"y must be labels in 0..{classes - 1}", who)
    return x.astype(np.float32), y.astype(np.int64)


def decision(
    plugin: Plugin, answer: Any, seen: MiningObservation, parameters: int
) -> MiningDecision:
    """Return a decision of a miner about the updates of its block."""
    decided: MiningDecision = instance(plugin, "mine", answer, MiningDecision, seen.who)
    if not isinstance(decided.publish, bool | np.bool_):
        message = f"publish must be True or False, not {decided.publish!r}"
        raise broken(plugin, "mine", message, seen.who)
    for what, kind in (("censored", Set), ("replaced", Mapping)):
        value = getattr(decided, what)
        if not isinstance(value, kind):
            message = f"{what} must be a {kind.__name__.lower()}, not {_returned(value)}"
            raise broken(plugin, "mine", message, seen.who)
    known = {record.worker for record in seen.records}
    strangers: Collection[Any] = {*decided.censored, *decided.replaced} - known
    if strangers:
        message = f"names worker {min(strangers)!r}, which has no update in its block"
        raise broken(plugin, "mine", message, seen.who)
    for worker, row in decided.replaced.items():
        what = f"replaced[{worker}]"
        array(plugin, "mine", row, shape=(parameters,), kind=FLOAT, what=what, who=seen.who)
    return decided


def choice(plugin: Plugin, answer: Any, strategies: int, who: str) -> int:
    """Return the number of a strategy."""
    chosen = whole(plugin, "choose", answer, who=who)
    if chosen >= strategies:
        message = f"chose strategy {chosen}, there are 0..{strategies - 1}"
        raise broken(plugin, "choose", message, who)
    return chosen


# --- voters -------------------------------------------------------------------------------------


def ballot(plugin: Plugin, method: str, answer: Any, most: int, who: str) -> Ballot | None:
    """Return a ballot that stakes at most `most` base units, or None for an abstention."""
    if answer is None:
        return None
    cast: Ballot = instance(plugin, method, answer, Ballot, who)
    approves = truth(plugin, method, cast.approves, who)
    stake = whole(plugin, method, cast.stake, who=who)
    conviction = whole(plugin, method, cast.conviction, who=who)
    if stake > most:
        raise broken(plugin, method, f"stakes {stake} base units, it can lock {most}", who)
    if conviction > MOST_CONVICTION:
        message = f"conviction must be 0 to {MOST_CONVICTION}, it is {conviction}"
        raise broken(plugin, method, message, who)
    return Ballot(approves, stake, conviction)


def purchases(plugin: Plugin, answer: Any, seen: CaptureObservation) -> list[Purchase]:
    """Return purchases of ballots that are for sale, each once, within their stake."""
    if not isinstance(answer, tuple | list):
        message = f"must return purchases, returned {_returned(answer)}"
        raise broken(plugin, "buy", message, seen.who)
    offered = {ask.voter: ask.ballot.stake for ask in seen.asks}
    bought: list[Purchase] = []
    for item in answer:
        purchase: Purchase = instance(plugin, "buy", item, Purchase, seen.who)
        if purchase.voter not in offered:
            message = f"buys of device {purchase.voter!r}, which sells nothing or sold it before"
            raise broken(plugin, "buy", message, seen.who)
        most = offered.pop(purchase.voter)
        stake = whole(plugin, "buy", purchase.stake, who=seen.who)
        if stake > most or (stake < most and not seen.parts):
            right = f"0 to {most}" if seen.parts else f"all {most}"
            message = f"buys {stake} base units of device {purchase.voter}, {right} are for sale"
            raise broken(plugin, "buy", message, seen.who)
        bought.append(Purchase(purchase.voter, stake))
    return bought


# --- a collective -------------------------------------------------------------------------------


def version(plugin: Plugin, answer: Any, parameters: int, who: str) -> FloatMatrix | None:
    """Return a row `float32[P]` or None; what is in it may be anything."""
    if answer is None:
        return None
    row = array(plugin, "submit", answer, shape=(parameters,), kind=FLOAT, who=who)
    return row.astype(np.float32)


def member_vote(plugin: Plugin, answer: Any, who: str) -> MemberVote:
    """Return the vote of a member, whose share is a part of the pool."""
    cast: MemberVote = instance(plugin, "vote", answer, MemberVote, who)
    approves = truth(plugin, "vote", cast.approves, who)
    share = cast.share
    if not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
        raise broken(plugin, "vote", f"share must be a number in 0..1, it is {share!r}", who)
    return MemberVote(approves, float(share))


def offer(plugin: Plugin, answer: Any, most: int, who: str) -> int | None:
    """Return base units from 0 to `most`, or None for no offer."""
    if answer is None:
        return None
    paid = whole(plugin, "offer", answer, who=who)
    if paid > most:
        raise broken(plugin, "offer", f"offers {paid} base units, it holds {most}", who)
    return paid


def reward(plugin: Plugin, method: str, answer: Any, most: int) -> int:
    """Return base units from 0 to `most`."""
    amount = whole(plugin, method, answer)
    if amount > most:
        raise broken(plugin, method, f"gives {amount} base units, there are {most}")
    return amount


# --- rules --------------------------------------------------------------------------------------


def roles(plugin: Plugin, answer: Any, seen: RoleObservation) -> dict[int, Role]:
    """Return a role for every eligible device."""
    if not isinstance(answer, Mapping):
        message = f"must return a role for each device, returned {_returned(answer)}"
        raise broken(plugin, "assign", message)
    if answer.keys() != set(seen.eligible):
        device = min(answer.keys() ^ set(seen.eligible))
        state = "is not eligible" if device in answer else "gets no role"
        raise broken(plugin, "assign", f"device {device} {state}")
    for device, role in answer.items():
        if not isinstance(role, Role):
            raise broken(plugin, "assign", f"device {device} gets {role!r}, must be a Role")
    return dict(answer)


def seats(plugin: Plugin, answer: Any) -> tuple[int, ...]:
    """Return the fewest workers, validators and miners that a rule can draw."""
    if not isinstance(answer, tuple) or len(answer) != len(Role):
        message = f"must return ({', '.join(Role)}), three integers, returned {answer!r}"
        raise broken(plugin, "minimum", message)
    return tuple(whole(plugin, "minimum", number) for number in answer)


def numbers(plugin: Plugin, method: str, answer: Any, shape: tuple[int, ...]) -> FloatMatrix:
    """Return finite numbers of this shape, `float32`."""
    rows = array(plugin, method, answer, shape=shape, kind=FLOAT)
    if not np.isfinite(rows).all():
        raise broken(plugin, method, "must return finite numbers, returned NaN or infinity")
    return rows.astype(np.float32, copy=False)
