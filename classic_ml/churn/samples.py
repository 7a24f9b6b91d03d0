"""Files to try the churn project with: IBM's sample as it ships, the same with planted faults, and a month later."""

import csv
import gzip
import io
import math
import random
from pathlib import Path

from classic_ml.churn.schema import COLUMNS, ID
from classic_ml.quality.gate import REPEATED
from sluice.saving import save_whole

SAMPLE = Path(__file__).parent / "data" / "telco_customer_churn.csv.gz"

FAULTS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({"tenure": "two years"}, ("tenure is not a whole number",)),
    ({"tenure": "9999"}, ("tenure is not between 0 and 600",)),
    ({"MonthlyCharges": "-70.35"}, ("MonthlyCharges is not between 0 and 1000",)),
    ({"TotalCharges": "n/a"}, ("TotalCharges is not a number",)),
    ({"Contract": "Weekly"}, ("Contract is none of: Month-to-month, One year, Two year",)),
    ({ID: ""}, ("customerID is blank",)),
    ({"MonthlyCharges": "free", "Churn": "maybe"}, ("Churn is none of: Yes, No", "MonthlyCharges is not a number")),
)
"""What is planted in a row, and the reasons that the gate must give for it."""


def plant_faults(target: Path, seed: int = 0, each: int = 5) -> dict[int, tuple[str, ...]]:
    """Write the sample with rows planted in it that must not reach silver; every row of the sample stays.

    Args:
        each: rows of each fault, and rows that stand in the file twice.

    Returns:
        By row in the file (from 1), the reasons for which it must be quarantined.
    """
    chance = random.Random(seed)  # noqa: S311, no secret
    lines: list[tuple[dict[str, str], tuple[str, ...]]] = [(row, ()) for row in _sample()]
    for number in range(each):
        for kind, (cells, reasons) in enumerate(FAULTS):
            copied = chance.choice(lines[: len(lines) // 2])[0]
            planted = copied | {ID: f"{number:04d}-FAULT{kind}"} | cells
            lines.insert(chance.randrange(len(lines)), (planted, reasons))
        place = chance.choice([place for place, (_, reasons) in enumerate(lines) if not reasons])
        # Before the row that it repeats, which is the last of its key and so the one taken.
        lines.insert(chance.randrange(place + 1), (lines[place][0], (REPEATED,)))
    _write(target, [row for row, _ in lines])
    return {place: reasons for place, (_, reasons) in enumerate(lines, start=1) if reasons}


def shifted_month(target: Path, seed: int = 0) -> None:
    """Write the sample as it could stand a month later, after prices rose and long contracts ended.

    Customers who left are replaced by new ones, the others are a month older. Bills rise by 15 to 35 %, four of ten long
    contracts go on from month to month, and who leaves follows another rule: the bill and the contract as before, but
    long-standing customers leave as readily as new ones used to.
    """
    chance = random.Random(seed)  # noqa: S311, no secret
    rows = _sample()
    _write(target, [_a_month_later(row, number, chance) for number, row in enumerate(rows)])


def _a_month_later(row: dict[str, str], number: int, chance: random.Random) -> dict[str, str]:
    monthly = round(float(row["MonthlyCharges"]) * chance.uniform(1.15, 1.35), 2)
    if row["Churn"] == "Yes":
        key, tenure = f"{number:04d}-NEWCO", chance.randint(1, 4)
        billed = (tenure - 1) * monthly
    else:
        key, tenure, billed = row[ID], int(row["tenure"]) + 1, float(row["TotalCharges"].strip() or 0)
    contract = "Month-to-month" if chance.random() < 0.4 else row["Contract"]
    later = row | {
        ID: key,
        "tenure": str(tenure),
        "MonthlyCharges": f"{monthly:.2f}",
        "TotalCharges": f"{billed + monthly:.2f}",
        "Contract": contract,
    }
    pull = -2.4 + 0.02 * (monthly - 80) + 1.2 * (contract == "Month-to-month") + 0.03 * (tenure - 30)
    return later | {"Churn": "Yes" if chance.random() < 1 / (1 + math.exp(-pull)) else "No"}


def _sample() -> list[dict[str, str]]:
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(target: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save_whole(target, text.getvalue().encode())
