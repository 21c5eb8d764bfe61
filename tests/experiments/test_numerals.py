"""Numbers as they are read."""

import math

import pandas as pd
import pytest

from experiments.numerals import digits, number, rounded, with_interval

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
