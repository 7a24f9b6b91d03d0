"""What must hold of a row before it becomes silver, and what becomes of rows of which it does not."""

from classic_ml.quality.expectation import Expectation, filled, number, one_of, whole_number
from classic_ml.quality.gate import Gated, judge

__all__ = ["Expectation", "Gated", "filled", "judge", "number", "one_of", "whole_number"]
