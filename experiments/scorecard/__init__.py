"""The scorecard: which mechanism survives, in numbers, and the winner of a stated objective."""
