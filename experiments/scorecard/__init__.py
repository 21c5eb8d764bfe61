"""The scorecard: measures of each mechanism of a sweep, and the winner of an objective."""
