"""A model's stage: the label `production` is the truth, MLflow's alias of that name follows it."""

import logging

from sqlalchemy import Engine

from classic_ml.registry.store import has_store, open_store
from classic_ml.registry.versions import find_version, list_versions
from sluice.errors import NotFound
from sluice.home import Home
from sluice.promotion import Label, labelled, promote
from sluice.settings import PromotionSettings

log = logging.getLogger(__name__)

PRODUCTION = "production"


def promote_model(
    home: Home, engine: Engine, model: str, version: str, *, by: str, settings: PromotionSettings
) -> Label:
    """Move `production` to a version, and MLflow's alias after it.

    Raises:
        NotFound: there is no such version.
        GateRefused: it has no passing gate, or nobody else's approval.
        StateUnavailable: the database cannot be used.
    """
    candidate = find_version(engine, model, version).candidate
    label = promote(engine, candidate, PRODUCTION, by=by, settings=settings)
    follow_label(home, engine, model)
    return label


def in_production(engine: Engine, model: str) -> Label:
    """The label, on the version that is in use.

    Raises:
        NotFound: it is on none.
        StateUnavailable: the database cannot be used.
    """
    label = labelled(engine, "model", model, PRODUCTION)
    if label is None:
        there = list_versions(engine, model)
        fix = f"Promote one: sluice ml promote {model} VERSION" if there else f"Train one: sluice ml train {model}"
        raise NotFound(f"No version of model '{model}' is in production.", fix=fix)
    return label


def follow_label(home: Home, engine: Engine, model: str) -> None:
    """Bring MLflow's alias to where the label is; repeated, and after a kill between the two, it changes no more than
    that. A version that MLflow has lost stays in use, without an alias, also where its number is another run's there now.

    Raises:
        NotFound: the label is on a version that is not there.
        StateUnavailable: the database cannot be used.
    """
    label = labelled(engine, "model", model, PRODUCTION)
    if label is None or not has_store(home):
        return
    client = open_store(home)
    run = find_version(engine, model, label.version).run
    # `open_store` imports MLflow with the settings it needs, so this comes after it.
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(model).aliases
        if str(aliases.get(PRODUCTION)) == label.version:
            return
        lost = client.get_model_version(model, label.version).run_id != run
        if not lost:
            client.set_registered_model_alias(model, PRODUCTION, label.version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        lost = True
    if lost:
        log.warning("MLflow has no version %s of model '%s' any more: its alias cannot follow.", label.version, model)
