"""A training's scalars in MLflow or Weights & Biases too, where the user has one of them installed.

TensorBoard events are always written; `train --log-to mlflow` or `--log-to wandb` adds a run there
with the parameters, the provenance and every scalar. Neither library is a dependency: where and as
whom is set as its own documentation says (MLFLOW_TRACKING_URI, WANDB_MODE and the like).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from experiments.core.run_folder import RunError

Service = Literal["none", "mlflow", "wandb"]
PROJECT = "fundenv"  # experiment of MLflow, project of Weights & Biases


class Log(Protocol):
    """Takes scalars of a training."""

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """Scalars by name after so many environment steps."""


class _Nothing:
    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """Keep nothing."""


class _MLflow:
    def __init__(self, library: Any) -> None:
        self.library = library

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """One call for all scalars."""
        self.library.log_metrics({name: float(value) for name, value in values.items()}, step=steps)


class _Wandb:
    def __init__(self, run: Any) -> None:
        self.run = run

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """One row; its own counter is not ours, so the steps are a column."""
        self.run.log({"steps": steps} | dict(values))


@contextmanager
def external_log(
    service: Service, name: str, params: dict[str, Any], tags: dict[str, Any]
) -> Iterator[Log]:
    """A run called `name` of the service, open within. Raises `RunError` where its library is not
    installed.
    """
    if service == "none":
        yield _Nothing()
    elif service == "mlflow":
        mlflow = _library("mlflow")
        mlflow.set_experiment(PROJECT)
        with mlflow.start_run(run_name=name):
            mlflow.log_params(params)
            mlflow.set_tags({key: str(value) for key, value in tags.items()})
            yield _MLflow(mlflow)
    else:
        wandb = _library("wandb")
        run = wandb.init(project=PROJECT, name=name, config=params | tags)
        try:
            yield _Wandb(run)
        finally:
            run.finish()


def installed(service: Service) -> None:
    """Raise `RunError` where the library of a service is missing; called before a run is begun."""
    if service != "none":
        _library(service)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(
            f"--log-to {name} needs the library ({error}); install it with: pip install {name}"
        ) from None
