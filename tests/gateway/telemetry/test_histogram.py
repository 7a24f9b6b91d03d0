from gateway.telemetry.histogram import (
    FIRST_TOKEN_SECONDS,
    OPERATION_SECONDS,
    OUTPUT_TOKEN_SECONDS,
    SECONDS,
    TOKENS,
    Histogram,
    merged,
)


def test_a_value_on_a_bound_counts_below_it() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.buckets() == [("1", 2), ("2", 4), ("+Inf", 5)]
    assert histogram.sum == 8


def test_counts_over_some_of_the_bounds_are_exact() -> None:
    histogram = Histogram(SECONDS)
    for value in (0.001, 0.005, 0.0051, 0.01, 81.92, 82, 700):
        histogram.add(value)
    counts = histogram.counts_over(OPERATION_SECONDS)
    assert (counts[0], counts[-2], counts[-1], sum(counts)) == (4, 1, 2, 7)


def test_merged() -> None:
    one, other = Histogram((1,)), Histogram((1,))
    one.add(0.5)
    other.add(2)
    whole = merged([one, other], (1,))
    assert (whole.counts, whole.sum) == ([1, 1], 2.5)


def test_the_bounds_are_the_conventions() -> None:
    assert set(OPERATION_SECONDS) < set(SECONDS)
    assert len(OPERATION_SECONDS) == len(TOKENS) == 14
    assert TOKENS[-1] == 67_108_864
    assert (len(FIRST_TOKEN_SECONDS), len(OUTPUT_TOKEN_SECONDS)) == (16, 13)
