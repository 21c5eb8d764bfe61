"""Whether a key may sign on a chain: only on chains that are verifiably made for development."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from chain_bridge.client import Chain
from chain_bridge.devchain.genesis import SPEC_NAME
from chain_bridge.errors import SafetyError
from chain_bridge.keys import Signer

# Chopsticks calls every chain a development chain, even a fork of a live one; only a chain that is
# no fork has this genesis.
CHOPSTICKS_GENESIS = "0x" + "45" * 32
DEVELOPMENT = ("Development", "Local")
# A fork of a live chain keeps its genesis hash: what is signed on it is valid on the live chain.
LIVE = {
    "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3": "Polkadot",
    "0xb0a8d493285c2df73290dfb7e61f870f17b41801197a149ca93654499ea3dafe": "Kusama",
    "0xe143f23803ac50e8f6f8e62695d1ce9e4e1d68aa36c1cd2cfd15340213f3423e": "Westend",
    "0x6408de7737c59c238890533af25896a2c20608d8b380bb01029acb392781063e": "Rococo",
    "0x68d56f15f85d3136970ec16946040bc1752654e906147f7e43e9d539d7c3de2f": "Polkadot Asset Hub",
    "0x48239ef607d7928874027a43a67689209727dfb3d3dc5e5b03a39bdc2eda771a": "Kusama Asset Hub",
    "0x67f9723393ef76214df0118c34bbbd3dbebc8ed46a10973a8c969d48fe7598c9": "Westend Asset Hub",
}


@dataclass(frozen=True)
class Identity:
    """What a chain says of itself. `genesis`: hash of block 0; `chopsticks`: runs in Chopsticks."""

    url: str
    chain: str
    kind: str
    spec_name: str
    genesis: str
    chopsticks: bool = False


def identify(chain: Chain) -> Identity:
    """Ask the chain who it is; a chain that does not say its type counts as live."""
    methods = chain.runtime.methods
    name = chain.rpc("system_chain")
    answer = chain.rpc("system_chainType") if "system_chainType" in methods else "unknown"
    kind = answer if isinstance(answer, str) else next(iter(answer), "unknown")
    forks = "dev_setHead" in methods or "chopsticks" in str(chain.rpc("system_version")).lower()
    return Identity(chain.url, name, kind, chain.runtime.spec_name, chain.genesis, forks)


def check_may_sign(
    who: Identity,
    signer: Signer,
    *,
    bundled: bool,
    allow_endpoint: bool = False,
    genesis: str | None = None,
) -> None:
    """Raise `SafetyError` unless this key may sign on this chain.

    `bundled`: the bundled dev chain, whose genesis has been verified. Any other needs
    `allow_endpoint` and `genesis`, the hash that the user expects of block 0.
    """
    place = f"{who.url} ({who.chain}, {who.spec_name})"
    if genesis is not None and who.genesis != genesis.lower():
        raise SafetyError(
            f"{place} has genesis {who.genesis}, not {genesis}: another chain, "
            "or one that was set up again"
        )
    if who.genesis in LIVE:
        raise SafetyError(
            f"{place} has the genesis of {LIVE[who.genesis]}: "
            "a signature would be good on the live chain"
        )
    if who.kind not in DEVELOPMENT:
        key = "a key of the well-known development phrase" if signer.development else "this bridge"
        raise SafetyError(
            f"{place} is a chain of type {who.kind}: "
            f"{key} signs on Development and Local chains only"
        )
    if who.chopsticks and who.genesis != CHOPSTICKS_GENESIS:
        raise SafetyError(
            f"{place} forks another chain (genesis {who.genesis}): a signature would be good there"
        )
    if bundled:
        if who.spec_name != SPEC_NAME:
            raise SafetyError(f"{place} is not the bundled dev chain, whose runtime is {SPEC_NAME}")
        return
    if not allow_endpoint or genesis is None:
        raise SafetyError(
            f"{place} is not the bundled dev chain: --allow-endpoint --genesis {who.genesis} lets "
            "the bridge sign there, if that is your development chain"
        )
    if signer.development and not _is_local(who.url):
        raise SafetyError(
            f"{place} is not on this machine: give a key of its own (FEDSTAKE_KEY or --key-file)"
        )


def devices_may_sign(who: Identity) -> str:
    """Return why keys of devices must not sign on a chain, which is checked; empty: they may.

    They follow from the run, so that whoever has it has them: they are worth no more than keys of
    the development phrase.
    """
    place = f"{who.url} ({who.chain}, {who.spec_name})"
    if who.kind not in DEVELOPMENT or who.genesis in LIVE:
        return f"{place} is no development chain"
    if not _is_local(who.url):
        return f"{place} is not on this machine, and whoever has the run has the devices' keys"
    return ""


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "::1", "localhost")
