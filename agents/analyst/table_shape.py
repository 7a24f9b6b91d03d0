"""What the customers' table holds, read from the table itself: the slots of the analyst's queries."""

from dataclasses import dataclass

from agents.tools import ToolContext

TABLE = "churn"
ENTITY = "customer_id"
OUTCOME = "churned"
TIMES = ("as_of", "known_at")
NEWEST = (
    f"(SELECT * FROM {TABLE} QUALIFY row_number() OVER "  # noqa: S608, constants
    f"(PARTITION BY {ENTITY} ORDER BY {', '.join(f'{time} DESC' for time in TIMES)}) = 1)"
)
"""Each customer once, as known last."""


@dataclass(frozen=True)
class TableShape:
    """The columns one can ask for.

    Attributes:
        numbers: can be averaged and sorted by.
        flags: are true or false.
        values: what each text column can say.
    """

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    values: dict[str, tuple[str, ...]]


def read_shape(context: ToolContext) -> TableShape:
    """The table as it is now.

    Raises:
        NotFound: there is no such table yet.
    """
    import polars as pl

    from classic_ml.lakehouse import Lakehouse

    rows = Lakehouse.of(context.settings).read("gold", TABLE)
    columns = {name: kind for name, kind in rows.schema.items() if name not in (ENTITY, *TIMES)}
    texts = [name for name, kind in columns.items() if kind == pl.String and not name.startswith("_")]
    return TableShape(
        numbers=tuple(name for name, kind in columns.items() if kind.is_numeric()),
        flags=tuple(name for name, kind in columns.items() if kind == pl.Boolean),
        values={name: tuple(filter(None, rows[name].unique().sort())) for name in texts},
    )
