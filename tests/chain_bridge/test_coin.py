import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_bridge.coin import Coin


@pytest.mark.parametrize(
    ("properties", "units", "text"),
    [
        (
            {"tokenDecimals": 12, "tokenSymbol": "ROC"},
            168_463_514,
            "168,463,514 (0.000168463514 ROC)",
        ),
        ({"tokenDecimals": [12], "tokenSymbol": ["ROC"]}, 10**12, "1,000,000,000,000 (1 ROC)"),
        ({"tokenDecimals": 2}, 1234, "1,234 (12.34)"),
        ({"tokenDecimals": 0, "tokenSymbol": "X"}, 7, "7 (7 X)"),
        ({"tokenSymbol": "X", "tokenDecimals": None}, 1234, "1,234"),
        ({"tokenSymbol": [], "tokenDecimals": []}, 5, "5"),
        ({"tokenDecimals": 1, "tokenSymbol": "X"}, -15, "-15 (-1.5 X)"),
    ],
)
def test_amounts_are_told_in_tokens_as_well(properties, units, text):
    assert Coin.of(properties).amount(units) == text


@given(units=st.integers(0, 2**128), decimals=st.integers(0, 30))
def test_no_digit_is_lost(units, decimals):
    _, tokens = Coin("X", decimals).amount(units).rstrip(")").split(" (")
    whole, _, fraction = tokens.removesuffix(" X").replace(",", "").partition(".")
    assert int(whole) * 10**decimals + int(fraction.ljust(decimals, "0") or 0) == units
