"""The form of every answer that the bridge reads from a chain, and how long it waits for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field as Limits
from pydantic import StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from chain_bridge.errors import PlanError

MOST_TIMEOUT_S = 86_400
"""Seconds of the longest deadline for an answer; beyond some, sockets refuse them."""

Hex = Annotated[str, StringConstraints(pattern=r"^0x(?:[0-9a-fA-F]{2})*$")]
Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{64}$")]
Number = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{1,8}$")]
Version = Annotated[int, Limits(ge=0, lt=2**32)]
Name = Annotated[str, StringConstraints(max_length=200)]


class _Header(TypedDict):
    number: Number
    parentHash: Hash


class _Body(TypedDict):
    extrinsics: list[Hex]


class _Block(TypedDict):
    block: _Body


class _RuntimeVersion(TypedDict):
    specName: Name
    specVersion: Version
    transactionVersion: Version


class _Methods(TypedDict):
    methods: list[Name]


Decimals = Annotated[int, Limits(ge=0, le=40)]


class _Properties(TypedDict, total=False):
    tokenSymbol: Name | list[Name] | None
    tokenDecimals: Decimals | list[Decimals] | None


class _Changes(TypedDict):
    changes: list[tuple[Hex, Hex | None]]


FORMS: dict[str, Any] = {
    "author_pendingExtrinsics": list[Hex],
    "author_submitExtrinsic": Hash,
    "chain_getBlock": _Block | None,
    "chain_getBlockHash": Hash | None,
    "chain_getFinalizedHead": Hash,
    "chain_getHeader": _Header,
    "rpc_methods": _Methods,
    "state_call": Hex,
    "state_getKeysPaged": list[Hex],
    "state_getRuntimeVersion": _RuntimeVersion,
    "state_getStorage": Hex | None,
    "state_queryStorageAt": Annotated[list[_Changes], Limits(min_length=1)],
    "system_chain": Name,
    "system_chainType": Name | dict[Name, Any],
    "system_dryRun": Hex,
    "system_properties": _Properties,
    "system_version": Name,
}
"""By method; the answers to all others are not read."""


class Forms:
    """The forms of the answers to some methods."""

    def __init__(self, forms: Mapping[str, Any]) -> None:
        self._checks = {method: TypeAdapter(form) for method, form in forms.items()}

    def is_proper(self, method: str, answer: Any) -> bool:
        """Return whether an answer to a method has the form that nodes give it."""
        check = self._checks.get(method)
        if check is None:
            return True
        try:
            check.validate_python(answer, strict=False)
        except (ValidationError, RecursionError):
            return False
        return True


is_proper = Forms(FORMS).is_proper


def check_timeout(timeout_s: float) -> None:
    """Raise `PlanError` for a deadline that is none."""
    if not 0 < timeout_s <= MOST_TIMEOUT_S:
        raise PlanError(
            f"--timeout {timeout_s}: must be more than 0, at most {MOST_TIMEOUT_S:,} seconds"
        )
