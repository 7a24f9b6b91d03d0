from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from classic_ml.features.point_in_time import join_as_known
from classic_ml.features.view import FeatureView

START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")

days = st.integers(0, 8)
entities = st.sampled_from(["a", "b", "c"])
feature_rows = st.lists(
    st.tuples(entities, days, st.integers(0, 6)), max_size=25, unique_by=lambda row: (row[0], row[1], row[1] + row[2])
)
label_rows = st.lists(st.tuples(entities, st.integers(0, 16)), max_size=12)


def view(ttl: timedelta | None) -> FeatureView:
    return FeatureView("v", "who", "t", ("value",), lambda rows: rows, ttl=ttl)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@given(feature_rows, label_rows, st.none() | st.integers(0, 6))
@settings(max_examples=300, deadline=None)
def test_the_join_finds_what_a_search_of_all_rows_finds(
    rows: list[tuple[str, int, int]], labels: list[tuple[str, int]], ttl: int | None
) -> None:
    known = [(who, day(event), day(event + late), number) for number, (who, event, late) in enumerate(rows)]
    wanted = [(who, day(at)) for who, at in labels]
    lifetime = None if ttl is None else timedelta(days=ttl)

    def search(who: str, at: datetime) -> int | None:
        seen = [row for row in known if row[0] == who and row[1] <= at and row[2] <= at]
        newest = max(seen, key=lambda row: row[1:3], default=None)
        return None if newest is None or (lifetime is not None and at - newest[1] > lifetime) else newest[3]

    found = join_as_known(
        pl.DataFrame(wanted, {"who": pl.String, "at": MOMENT}, orient="row"),
        view(lifetime),
        pl.DataFrame(known, {"who": pl.String, "as_of": MOMENT, "known_at": MOMENT, "value": pl.Int64}, orient="row"),
    )
    key = str
    assert sorted(found.rows(), key=key) == sorted(((who, at, search(who, at)) for who, at in wanted), key=key)


def test_a_late_correction_is_seen_from_the_day_it_was_known() -> None:
    rows = pl.DataFrame(
        [("a", day(1), day(1), 1), ("a", day(1), day(5), 2)],
        {"who": pl.String, "as_of": MOMENT, "known_at": MOMENT, "value": pl.Int64},
        orient="row",
    )
    labels = pl.DataFrame(
        [("a", day(number)) for number in (0, 1, 4, 5)], {"who": pl.String, "at": MOMENT}, orient="row"
    )
    assert join_as_known(labels, view(None), rows)["value"].to_list() == [None, 1, 1, 2]
