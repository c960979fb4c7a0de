"""The options that most commands share: `--params`, `--set`, `--store` and `--data`, and what they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from experiments.settings.config import Config
    from experiments.trial_store.layout import Layout

Params = Annotated[Path, typer.Option("--params", help="the settings", metavar="FILE")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="a setting instead of the file's, such as data.images=100; may be given several times",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
Store = Annotated[
    str,
    typer.Option(
        "--store", envvar="EXPERIMENTS_STORE", help="all trials ever run: a folder or s3://…", metavar="PLACE"
    ),
]
Data = Annotated[
    str,
    typer.Option("--data", envvar="EXPERIMENTS_DATA", help="prepared data: a folder or s3://…", metavar="PLACE"),
]
PARAMS, STORE, DATA = Path("params.yaml"), "experiments/store", "data"


@dataclass(frozen=True)
class Project:
    """What a command works on, as its options `--params`, `--set`, `--store` and `--data` name it; read when used."""

    params: Path = PARAMS
    changes: Sequence[str] | None = None
    store: str = STORE
    data: str = DATA

    @cached_property
    def config(self) -> Config:
        """The settings. UserError where they are wrong."""
        from experiments.settings.config import load
        from experiments.settings.overrides import parse

        return load(self.params, parse(self.changes or ()))

    @cached_property
    def layout(self) -> Layout:
        """Where data, trials and results are."""
        from experiments.trial_store.layout import Layout

        return Layout.at(self.data, self.store)

    def check_store(self) -> None:
        """Raises UserError where another trial store than the usual one was named, and the place is none.

        The usual one is made by the first sweep, which may be still to come.
        """
        if self.store != STORE:
            self.layout.trial_store.check_begun()


def with_project(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `Project`, and its first parameter, `project`, what they name.

    Typer reads a command's options off its signature, so the result has the signature of the command, with these
    options behind its own.
    """

    @wraps(command)
    def run_command(
        params: Path = PARAMS, changes: list[str] | None = None, store: str = STORE, data: str = DATA, **own: Any
    ) -> None:
        command(Project(params, changes, store, data), **own)

    options = {"params": (Params, PARAMS), "changes": (Changes, None), "store": (Store, STORE), "data": (Data, DATA)}
    hints = get_type_hints(command, include_extras=True)
    _, *own_parameters = inspect.signature(command).parameters.values()
    parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own_parameters]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    run_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run_command
