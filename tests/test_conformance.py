"""The conformance suite of every kind on every plug-in: a new file in a folder is found here."""

from importlib import import_module

from experiments.kinds import all_kinds
from mechanisms.plugin import Plugin

CONFIGURATIONS = {
    "vbfl": [{}, {"unit_reward": 7}, {"unit_reward": 0}],
    "flat": [{}, {"worker": 0, "miner": 7}],
    "mechanisms/reputation-weighted": [{}, {"rate": 1.0, "initial": 0.0}],
    "cosine": [{}, {"to": "others"}, {"to": "committee"}],
    "shapley": [{}, {"exact_up_to": 2, "permutations": 3}],
    "equal-share": [{}, {"stake": 500, "deadline": 4, "fee": 0.1}],
    "decentralml": [
        {},
        {"mode": "snapshot", "score": 0.4},
        {"improve_only": False, "score": 0.5, "expires": 9, "whitelist": [1, 4]},
    ],
    "slashed-vbfl": [
        {},
        {"fraction": 1.0, "destination": "reporters"},
        {"fraction": 0.3, "destination": "treasury"},
    ],
    "slashing": [
        {},
        {"fraction": 1.0, "vote_fraction": 0.5, "destination": "reporters", "minimum": 5_000},
    ],
    "parts/reputation": [{}, {"source": "attestations", "rate": 1.0}],
    "identity-cost": [{}, {"cost": 7, "stake": 11, "destination": "treasury"}],
    "fees": [{}, {"deposit": 5, "vote": 2, "destination": "miner"}],
    "consent": [
        {},
        {
            "ledger": [
                {"devices": list(range(8)), "until_round": 9},
                {"devices": [8], "scope": "research"},
            ]
        },
    ],
    "coordinator": [{}, {"by": "samples", "slash": 1.0, "destination": "reporters", "minimum": 10}],
    "coordinator-stakes": [
        {},
        {"bond": 0, "destination": "treasury", "absence": 1.0, "challenger_share": 1.0},
    ],
    "committee": [{}, {"size": 1, "error": 0.5}],
    "re-execution": [{}, {"probability": 1.0}],
    "counts": [{}, {"counts": "12,5,3"}, {"counts": "*,5,*"}],
    "uniform": [{}, {"validator": 0.0, "miner": 1.0}],
    "fixed": [{}, {"validators": [101, 104], "miners": [100, 102]}],
    "round-robin": [{}, {"validators": 1, "miners": 1}],
    "verifiable": [{}, {"validators": 1, "miners": 1}],
    "threshold": [{}, {"threshold": 0.0}, {"threshold": 1.0, "baseline_epochs": -1}],
    "folds": [{}, {"stratified": False, "folds": 2, "threshold": 0.0}],
    "mean": [{}, {"weighted": True}],
    "trimmed-mean": [{}, {"f": 0}],
    "krum": [{}, {"f": 0, "neighbours": "n-f-1"}],
    "multi-krum": [{}, {"f": 2, "keep": 1}],
    "bulyan": [{}, {"f": 0}],
    "centred-clipping": [{}, {"radius": 0.1, "iterations": 1}],
    "nearest-neighbour-mixing": [{}, {"f": 0}],
    "norm-clipping": [{}, {"bound": 0.1}],
    "gaussian-noise": [{}, {"scale": 0.0}, {"scale": 3.0, "biases": True}],
    "bandit": [{}, {"rule": "ucb1"}, {"epsilon": 1.0}],
    "best-response": [{}, {"tremble": 1.0}],
    "withhold": [{}, {"probability": 0.5}],
}


def _configurations(kind, plugin):
    """Those of the plug-in; until it gives examples of its own, those above."""
    if plugin.examples is not Plugin.examples:
        return None
    for key in (f"{kind}/{plugin.name}", plugin.name):
        if key in CONFIGURATIONS:
            return CONFIGURATIONS[key]
    return None


for _registry in all_kinds():
    _module, _, _suite = _registry.suite.partition(":")
    for _plugin in _registry.all():
        _name = f"Test{_plugin.__name__}{_suite}"
        globals()[_name] = type(
            _name,
            (getattr(import_module(_module), _suite),),
            {"plugin": _plugin, "configurations": _configurations(_registry.kind, _plugin)},
        )
del _registry, _plugin, _name
