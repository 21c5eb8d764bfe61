"""Numbers as they are read."""

import math

import pandas as pd
import pytest

from experiments.numerals import compact, digits, number, plain, rounded, whole, with_interval

NAN = math.nan


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([86.447, 2_187.4, NAN], ["86", "2,187", "–"]),
        ([100.2, 0.2], ["100", "0"]),
        ([86.447, -0.01], ["86.4", "0.0"]),
        ([0.9321, 0.0004, -0.0004], ["0.932", "0.000", "0.000"]),
        ([-12_000.0, 3.0], ["−12,000", "3"]),
        ([0.1 + 0.2 - 0.3, 0.0], ["0", "0"]),
        ([math.inf, 12.34], ["inf", "12.3"]),
        ([NAN], ["–"]),
        ([], []),
    ],
)
def test_a_column_has_as_many_decimals_as_its_largest_number_needs(column, expected):
    values = pd.Series(column, dtype=float)
    assert [number(v, digits(values)) for v in values] == expected


def test_intervals():
    table = pd.DataFrame(
        {
            "x": [-0.3, 83.2, 7.0, NAN],
            "x_low": [-0.4, -1_204.0, NAN, NAN],
            "x_high": [0.2, 135.0, NAN, NAN],
        }
    )
    assert with_interval(table, "x") == ["0 (0 to 0)", "83 (−1,204 to 135)", "7", "–"]


def test_levels_of_factors_can_be_told_apart():
    table = pd.DataFrame(
        {"rate": [0.5, 0.7, 150.0], "utility": [0.5, 0.7, 150.0], "runs": [1, 2, 3]}
    )
    shown = rounded(table, ["rate"])
    assert shown["rate"].tolist() == ["0.5", "0.7", "150"]
    assert shown["utility"].tolist() == ["0", "1", "150"]
    assert shown["runs"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (compact, 16_807.6, "16,808"),
        (compact, -16_807.6, "−16,808"),
        (compact, 662.81, "662.8"),
        (compact, -0.25, "−0.25"),
        (whole, -1_287_502, "−1,287,502"),
        (whole, 10**18 + 1, "1,000,000,000,000,000,001"),
        (plain, 16_807.6, "16,808"),
        (plain, -0.125, "−0.125"),
        (plain, 12_000.0, "12,000"),
        (plain, 2e15, "2e+15"),
    ],
)
def test_a_number_in_a_sentence_has_no_exponent_and_a_minus_sign(write, value, text):
    assert write(value) == text
