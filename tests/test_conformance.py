"""The conformance suite of every kind on every plug-in: a new file in a folder is found here."""

from importlib import import_module

from experiments.kinds import all_kinds

for _registry in all_kinds():
    _module, _, _suite = _registry.suite.partition(":")
    for _plugin in _registry.all():
        _name = f"Test{_plugin.__name__}{_suite}"
        globals()[_name] = type(
            _name, (getattr(import_module(_module), _suite),), {"plugin": _plugin}
        )
del _registry, _plugin, _name
