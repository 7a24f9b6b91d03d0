"""The training set of one load."""

from datetime import datetime

from sqlalchemy import Engine

from classic_ml.features import TrainingSet, build_training_set
from classic_ml.lakehouse import Lakehouse
from classic_ml.projects import find_project
from sluice.errors import InvalidRequest
from sluice.settings import Settings


def training_set_of_month(settings: Settings, engine: Engine, model: str, month: datetime | None) -> TrainingSet:
    """Labels and features of the load that is the state of `month`; of the newest where it is None.

    Raises:
        NotFound: nothing was loaded yet, or there is no such model.
        InvalidRequest: nothing was loaded as of that time.
    """
    project, lakehouse = find_project(model), Lakehouse.of(settings)
    there: list[datetime] = (
        lakehouse.read("gold", project.view.table)[project.view.event_time].unique().sort().to_list()
    )
    chosen = month or there[-1]
    if chosen not in there:
        newest = ", ".join(f"{at:%Y-%m-%d}" for at in there[-12:])
        raise InvalidRequest(f"Nothing was loaded as of {chosen:%Y-%m-%d}.", fix=f"There are: {newest}.")
    home = settings.home
    return build_training_set(lakehouse, [project.view], project.labels, engine, home, since=chosen, until=chosen)
