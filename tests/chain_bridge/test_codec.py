"""Bytes made by hand are the library's, on the real runtime; what is read is what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from substrateinterface import Keypair, KeypairType

from chain_bridge.errors import BridgeError
from chain_bridge.extrinsic import Era, sign, signed_by
from chain_bridge.runtime import Weight
from chain_bridge.scale import Codec, compact, read_compact

ACCOUNT, OTHER = b"\x11" * 32, b"\x22" * 32
CALLS = [
    ("Assets.mint", (1, ACCOUNT, 10**15), {"id": 1, "beneficiary": ACCOUNT, "amount": 10**15}),
    ("Assets.burn", (1, ACCOUNT, 5), {"id": 1, "who": ACCOUNT, "amount": 5}),
    (
        "Assets.force_transfer",
        (1, ACCOUNT, OTHER, 70),
        {"id": 1, "source": ACCOUNT, "dest": OTHER, "amount": 70},
    ),
    ("Assets.create", (77, ACCOUNT, 1), {"id": 77, "admin": ACCOUNT, "min_balance": 1}),
    ("Balances.transfer_keep_alive", (ACCOUNT, 2**70), {"dest": ACCOUNT, "value": 2**70}),
    ("System.remark_with_event", (b"\x00\xff" * 40,), {"remark": "0x" + "00ff" * 40}),
    ("Uniques.create", (2**31, ACCOUNT), {"class": 2**31, "admin": ACCOUNT}),
    ("Uniques.mint", (3, 4, ACCOUNT), {"class": 3, "instance": 4, "owner": ACCOUNT}),
    (
        "Uniques.set_metadata",
        (3, 4, b"\xfe" * 64, True),
        {"class": 3, "instance": 4, "data": "0x" + "fe" * 64, "is_frozen": True},
    ),
    (
        "Multisig.approve_as_multi",
        (2, [ACCOUNT, OTHER], {"height": 9, "index": 2}, b"\x33" * 32, Weight(10**9)),
        {
            "threshold": 2,
            "other_signatories": [ACCOUNT, OTHER],
            "maybe_timepoint": {"height": 9, "index": 2},
            "call_hash": "0x" + "33" * 32,
            "max_weight": 10**9,
        },
    ),
]


def hexed(value):
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [hexed(v) for v in value] if isinstance(value, list) else value


def composed(chain, name, arguments):
    chain._connect()[0].init_runtime()  # the library needs the metadata too
    pallet, call = name.split(".")
    values = {k: hexed(v) for k, v in arguments.items()}
    return chain._connect()[0].compose_call(pallet, call, values)


@pytest.mark.parametrize(("name", "args", "arguments"), CALLS, ids=[c[0] for c in CALLS])
def test_calls(chain, name, args, arguments):
    assert (
        chain.runtime.call(name, *args).hex() == composed(chain, name, arguments).data.to_hex()[2:]
    )


def test_calls_in_calls(chain):
    inner = [composed(chain, name, arguments) for name, _, arguments in CALLS]
    mine = [chain.runtime.call(name, *args) for name, args, _ in CALLS]
    batch = chain._connect()[0].compose_call("Utility", "batch_all", {"calls": inner})
    assert chain.runtime.call("Utility.batch_all", mine).hex() == batch.data.to_hex()[2:]
    sub = chain._connect()[0].compose_call(
        "Utility", "as_derivative", {"index": 513, "call": inner[0]}
    )
    assert chain.runtime.call("Utility.as_derivative", 513, mine[0]).hex() == sub.data.to_hex()[2:]
    multi = {
        "threshold": 2,
        "other_signatories": [hexed(ACCOUNT)],
        "maybe_timepoint": None,
        "call": inner[5],
    }
    composed_multi = chain._connect()[0].compose_call(
        "Multisig", "as_multi", multi | {"store_call": False, "max_weight": 7}
    )
    assert (
        chain.runtime.call("Multisig.as_multi", 2, [ACCOUNT], None, mine[5], False, Weight(7)).hex()
        == composed_multi.data.to_hex()[2:]
    )


@pytest.mark.parametrize("size", [5, 300], ids=["signed whole", "signed by its hash"])
@pytest.mark.parametrize("period", [0, 64, 4096])
def test_extrinsics(chain, operator, size, period):
    text = b"\xfa" * size
    call = composed(chain, "System.remark_with_event", {"remark": text})
    pair = Keypair.create_from_seed(
        "0x" + bytes(operator._secret).hex(), crypto_type=KeypairType.ED25519
    )
    head = chain.head()
    era = Era(period, head.number, head.hash) if period else Era()
    options = {"era": {"period": period, "current": head.number}} if period else {}
    wanted = chain._connect()[0].create_signed_extrinsic(call, pair, nonce=71, **options)
    mine = sign(
        chain.runtime,
        chain.genesis,
        chain.runtime.call("System.remark_with_event", text),
        operator,
        71,
        era,
    )
    assert mine.hex() == wanted.data.to_hex()[2:]
    assert signed_by(mine) == operator.public


def test_events_are_what_the_library_reads(chain):
    head = chain.head().hash
    wanted = [
        (e.value["module_id"], e.value["event_id"], e.value["extrinsic_idx"])
        for e in chain._connect()[0].get_events(head)
    ]
    assert [(*e.name.split("."), e.extrinsic) for e in chain.events(head)] == wanted
    assert wanted


def test_an_unknown_extension_is_refused(chain, operator):
    runtime = chain.runtime
    runtime.signed_extensions.append(
        {"identifier": "CheckHoroscope", "ty": 4, "additional_signed": 80}
    )
    try:
        with pytest.raises(
            BridgeError, match="carry CheckHoroscope, which this bridge does not know"
        ):
            sign(runtime, chain.genesis, b"", operator, 0)
    finally:
        runtime.signed_extensions.pop()


def test_unknown_calls_and_wrong_arguments_are_refused(chain):
    with pytest.raises(BridgeError, match=r"no call Assets\.print"):
        chain.runtime.call("Assets.print", 1)
    with pytest.raises(
        BridgeError, match=r"Assets.mint of this chain takes \(id, beneficiary, amount\), not 1"
    ):
        chain.runtime.call("Assets.mint", 1)


@given(st.integers(0, 2**200))
def test_compact_integers(value):
    data = compact(value)
    assert read_compact(data + b"rest", 0) == (value, len(data))


def test_compact_integers_of_the_specification():
    for value, encoded in (
        (0, "00"),
        (1, "04"),
        (42, "a8"),
        (69, "1501"),
        (65535, "feff0300"),
        (10**14, "0b00407a10f35a"),
    ):
        assert compact(value).hex() == encoded
    with pytest.raises(ValueError):
        compact(-1)


def kind(number, **form):
    return {"id": number, "type": {"path": form.pop("path", []), "params": [], "def": form}}


def field(number, name=None):
    return {"type": number, "name": name}


def case(name, index, *fields):
    return {"name": name, "index": index, "fields": list(fields)}


SOME, NODE = case("Some", 1, field(3)), case("Node", 7, field(6, "inner"))
CODEC = Codec(
    [
        kind(0, primitive="u8"),
        kind(1, primitive="u32"),
        kind(2, sequence={"type": 0}),
        kind(3, composite={"fields": [field(1, "a"), field(2, "b")]}),
        kind(4, path=["Option"], variant={"variants": [case("None", 0), SOME]}),
        kind(5, variant={"variants": [case("Leaf", 2, field(1)), NODE]}),
        kind(6, sequence={"type": 5}),
        kind(7, array={"type": 1, "len": 3}),
        kind(8, tuple=[4, 7]),
        kind(9, primitive="bool"),
        kind(10, primitive="str"),
        kind(11, primitive="i16"),
        kind(12, tuple=[9, 10, 11]),
        kind(13, bitsequence={}),
    ]
)  # fmt: skip
numbers = st.integers(0, 2**32 - 1)
trees = st.recursive(
    numbers.map(lambda n: ("Leaf", (n,))),
    lambda inner: st.lists(inner, max_size=3).map(lambda xs: ("Node", {"inner": xs})),
)


@given(
    st.none() | st.fixed_dictionaries({"a": numbers, "b": st.binary(max_size=100)}),
    st.tuples(numbers, numbers, numbers),
)
def test_what_is_read_is_what_was_written(option, array):
    assert CODEC.decode(8, CODEC.encode(8, (option, array))) == (option, array)


@given(trees)
def test_types_that_hold_themselves(tree):
    assert CODEC.decode(5, CODEC.encode(5, tree)) == tree


@given(st.tuples(st.booleans(), st.text(max_size=20), st.integers(-(2**15), 2**15 - 1)))
def test_words_and_signs(values):
    assert CODEC.decode(12, CODEC.encode(12, values)) == values


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="2 items where 3 are due"):
        CODEC.encode(7, (1, 2))
    with pytest.raises(OverflowError):
        CODEC.encode(1, 2**32)
    with pytest.raises(BridgeError, match="1 bytes left over"):
        CODEC.decode(1, bytes(5))
    with pytest.raises(BridgeError, match="variant 9"):
        CODEC.decode(5, b"\x09")
    with pytest.raises(BridgeError, match="no encoding for a bitsequence"):
        CODEC.encode(13, ())
