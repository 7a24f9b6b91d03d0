"""`sluice ml`."""

import typer

from classic_ml import commands_data, commands_models

ml = typer.Typer(name="ml", help="Data, features, training, registry, serving, drift.", no_args_is_help=True)
commands_data.register(ml)
commands_models.register(ml)
