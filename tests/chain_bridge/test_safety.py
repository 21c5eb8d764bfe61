"""Keys sign on development chains only, and are never shown."""

from dataclasses import replace

import pytest

from chain_bridge.errors import BridgeError, SafetyError
from chain_bridge.keys import DEV_PHRASE, KEY, operator_key, signer
from chain_bridge.safety import CHOPSTICKS_GENESIS, LIVE, Identity, check_may_sign

DEV = Identity("ws://127.0.0.1:9944", "Development", "Development", "node", "0x" + "12" * 32)
BUNDLED = Identity(
    "ws://127.0.0.1:9944",
    "Fedstake",
    "Development",
    "statemine",
    CHOPSTICKS_GENESIS,
    chopsticks=True,
)
OWN = "0x" + "37" * 32
# Derived by subkey from the development phrase; //Alice of sr25519 is in nodes' documentation.
KNOWN = {
    "//Alice": "88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee",
    "sr25519://Alice": "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
    "ed25519://Bob": "d17c2d7823ebf260fd138f2d7e27d114c0145d968b5ff5006125f2414fadae69",
    "sr25519://Bob": "8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48",
}


@pytest.mark.parametrize("secret", KNOWN)
def test_well_known_keys(secret):
    assert signer(secret).public.hex() == KNOWN[secret]
    assert signer(secret).development


@pytest.mark.parametrize("secret", [OWN, f"sr25519:{OWN}"])
def test_a_key_of_ones_own(secret):
    key = signer(secret)
    assert not key.development
    assert "37" * 8 not in repr(key)
    assert len(key.sign(b"x")) == 65


@pytest.mark.parametrize(
    "secret",
    ["sr25519:/Alice", "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e//Foo"],
)
def test_whatever_comes_from_the_phrase_is_known(secret):
    assert signer(secret).development


def test_a_phrase_of_ones_own_derives_keys_of_both_schemes():
    phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    for scheme in ("ed25519", "sr25519"):
        plain, derived = signer(f"{scheme}:{phrase}"), signer(f"{scheme}:{phrase}//Bridge")
        assert plain.public != derived.public
        assert not plain.development
        assert not derived.development


def test_the_phrase_itself_counts_as_known():
    assert signer("  " + DEV_PHRASE.replace(" ", "   ") + " //Foo").development
    assert signer(DEV_PHRASE).development
    assert signer(DEV_PHRASE + "//Alice") == signer("//Alice")
    seed = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e"
    assert signer(seed).development


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "0x12",
        "hello world",
        "0xzz" + "0" * 62,
        "//Alice/soft",
        "sr25519:nonsense words",
        "sr25519:0x12",
        "//" + "9" * 40,
        OWN + "//",
    ],
)
def test_unreadable_keys_are_not_shown(secret):
    with pytest.raises(BridgeError, match="the key is unreadable") as refused:
        signer(secret)
    assert not secret or secret not in str(refused.value)
    assert refused.value.__cause__ is None


class TestWhereAKeyComesFrom:
    def test_a_file_that_others_may_read(self, tmp_path):
        file = tmp_path / "key"
        file.write_text(OWN)
        file.chmod(0o644)
        with pytest.raises(
            SafetyError, match=r"others may read this key \(mode 644\); chmod 600 it"
        ):
            operator_key(file)
        file.chmod(0o600)
        assert operator_key(file) == signer(OWN)

    def test_no_such_file(self, tmp_path):
        with pytest.raises(BridgeError, match="cannot read the key"):
            operator_key(tmp_path / "none")

    def test_the_environment(self, monkeypatch):
        monkeypatch.delenv(KEY, raising=False)
        assert operator_key() is None
        monkeypatch.setenv(KEY, "sr25519://Alice")
        assert operator_key() == signer("sr25519://Alice")


class TestWhereItMaySign:
    def test_bundled(self):
        check_may_sign(BUNDLED, signer("//Fedstake"), bundled=True)

    @pytest.mark.parametrize("secret", ["//Alice", OWN])
    @pytest.mark.parametrize("kind", ["Live", "unknown", "Custom"])
    @pytest.mark.parametrize("bundled", [True, False])
    def test_never_on_a_live_chain(self, secret, kind, bundled):
        live = Identity("wss://rpc.example", "Polkadot", kind, "polkadot", "0x00")
        with pytest.raises(SafetyError, match=f"is a chain of type {kind}"):
            check_may_sign(live, signer(secret), bundled=bundled, allow_endpoint=True)

    @pytest.mark.parametrize("genesis", LIVE)
    def test_never_on_a_fork_of_a_live_chain(self, genesis):
        fork = Identity("ws://127.0.0.1:8000", "fork", "Development", "polkadot", genesis)
        with pytest.raises(SafetyError, match="a signature would be good on the live chain"):
            check_may_sign(fork, signer(OWN), bundled=False, allow_endpoint=True)

    def test_other_endpoints_need_the_flag_and_the_hash(self):
        for options in ({}, {"allow_endpoint": True}, {"genesis": DEV.genesis}):
            with pytest.raises(SafetyError, match=f"--allow-endpoint --genesis {DEV.genesis}"):
                check_may_sign(DEV, signer("//Alice"), bundled=False, **options)
        check_may_sign(
            DEV, signer("//Alice"), bundled=False, allow_endpoint=True, genesis=DEV.genesis
        )

    @pytest.mark.parametrize("bundled", [True, False])
    def test_never_on_a_fork_of_a_chain_that_nobody_listed(self, bundled):
        """Chopsticks calls forks development chains; they keep the genesis of what they fork."""
        fork = Identity(
            "ws://127.0.0.1:8000",
            "Acala",
            "Development",
            "statemine",
            "0x" + "ab" * 32,
            chopsticks=True,
        )
        with pytest.raises(SafetyError, match="forks another chain"):
            check_may_sign(
                fork, signer(OWN), bundled=bundled, allow_endpoint=True, genesis=fork.genesis
            )

    def test_the_bundled_chain_has_one_runtime(self):
        with pytest.raises(SafetyError, match="whose runtime is statemine"):
            check_may_sign(
                replace(BUNDLED, spec_name="polkadot"), signer("//Fedstake"), bundled=True
            )

    def test_another_genesis_than_expected(self):
        with pytest.raises(SafetyError, match="not 0x99"):
            check_may_sign(DEV, signer(OWN), bundled=False, allow_endpoint=True, genesis="0x99")

    def test_a_known_key_stays_on_this_machine(self):
        away = Identity("ws://10.0.0.5:9944", "Development", "Development", "node", "0x12")
        with pytest.raises(SafetyError, match="not on this machine"):
            check_may_sign(
                away, signer("//Alice"), bundled=False, allow_endpoint=True, genesis="0x12"
            )
        check_may_sign(away, signer(OWN), bundled=False, allow_endpoint=True, genesis="0x12")
