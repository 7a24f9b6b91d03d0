"""What was used, summed in the database by key, scope, model or day."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, String, case, func, select

from gateway.usage.record import UsageRow
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import ApiKey
from sluice.identity.keys import KEY_PATTERN
from sluice.identity.money import DIGITS, show_money
from sluice.identity.scopes import keys_below

DIMENSIONS = ("key", "scope", "model", "day")

_usage = UsageRow.metadata.tables["usage_record"].c
_keys = ApiKey.metadata.tables["api_key"].c


@dataclass(frozen=True)
class Sums:
    """One row. `name` is a key's id, what keys stand under, a model or a day; `about` is a key's owner and name.

    `cost` is in billionths of the currency.
    """

    name: str
    about: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    charged_tokens: int
    errors: int
    cost: int = 0


@dataclass(frozen=True)
class Report:
    """What was used since a moment. `days` are all days that had requests, in their order."""

    by: str
    since: datetime
    rows: list[Sums]
    days: list[Sums]

    def as_plain(self) -> dict[str, Any]:
        """The same as JSON; money as a decimal text."""
        rows, days = (
            [asdict(sums) | {"cost": show_money(sums.cost, DIGITS)} for sums in of] for of in (self.rows, self.days)
        )
        return {"by": self.by, "since": self.since.isoformat(timespec="seconds"), "rows": rows, "days": days}


def report(engine: Engine, *, by: str, since: datetime, key: str | None = None, under: str | None = None) -> Report:
    """Sum the usage records of one key, of all keys under an organisation, a team or a user, or of all.

    Raises:
        InvalidRequest: nothing can be summed by that.
        NotFound: there is no such key.
        StateUnavailable: the database cannot be used.
    """
    if by not in DIMENSIONS:
        raise InvalidRequest(f"Usage cannot be shown by '{by}'.", fix=f"Take one of: {', '.join(DIMENSIONS)}.")
    with engine.connect() as connection:
        chosen = [_usage.started_at >= since.timestamp()]
        if key is not None:
            chosen.append(_usage.key_id == _key_id(connection, key))
        if under is not None:
            chosen.append(_usage.key_id.in_(keys_below(under)))
        days = _sum(connection, "day", chosen)
        rows = days if by == "day" else _sum(connection, by, chosen)
    return Report(by, since, rows, days)


def parse_since(text: str, now: datetime) -> datetime:
    """The moment meant by `30d`, `12h`, `15m` ago, or by an ISO date or time, read as UTC without a zone.

    Raises:
        InvalidRequest: the text is none of these.
    """
    try:
        if span := re.fullmatch(r"(\d+)([dhm])", text):
            unit = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}[span[2]]
            return now - int(span[1]) * unit
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        fix = "Write 30d, 12h, 15m, or a date such as 2026-11-01."
        raise InvalidRequest(f"'{text}' is no time since when usage can be shown.", fix=fix) from None


def _sum(connection: Connection, by: str, chosen: Sequence[ColumnElement[bool]]) -> list[Sums]:
    name = _dimension(connection, by).label("name")
    charged = func.sum(_usage.charged_tokens)
    statement = (
        select(
            name,
            func.count(),
            func.sum(_usage.prompt_tokens),
            func.sum(_usage.cached_tokens),
            func.sum(_usage.completion_tokens),
            charged,
            func.sum(case((_usage.status >= 400, 1), else_=0)),
            func.sum(_usage.cost),
        )
        .where(*chosen)
        .group_by(name)
        .order_by(name if by == "day" else charged.desc(), name)
    )
    about = _owners(connection) if by == "key" else {}
    return [Sums(key or "", about.get(key, ""), *map(int, numbers)) for key, *numbers in connection.execute(statement)]


def _dimension(connection: Connection, by: str) -> ColumnElement[Any]:
    if by == "key":
        return _usage.key_id
    if by == "scope":
        return select(func.coalesce(_keys.scope, "")).where(_keys.id == _usage.key_id).scalar_subquery()
    if by == "model":
        return _usage.route
    if connection.dialect.name == "sqlite":
        return func.strftime("%Y-%m-%d", _usage.started_at, "unixepoch", type_=String)
    return func.to_char(func.timezone("UTC", func.to_timestamp(_usage.started_at)), "YYYY-MM-DD", type_=String)


def _owners(connection: Connection) -> dict[str, str]:
    keys = connection.execute(select(_keys.id, _keys.owner, _keys.name))
    return {id_: f"{owner}: {name}" if name else owner for id_, owner, name in keys}


def _key_id(connection: Connection, key: str) -> str:
    whole = re.fullmatch(KEY_PATTERN, key)
    id_ = whole[1] if whole else key
    if connection.execute(select(_keys.id).where(_keys.id == id_)).first() is None:
        raise NotFound("There is no such key.", fix="'sluice keys list' shows the ids.")
    return id_
