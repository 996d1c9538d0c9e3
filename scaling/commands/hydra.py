"""Plain Hydra: `python -m scaling [-m] OVERRIDES`, with --cfg, --info and completion as Hydra has them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scaling.commands.run import execute
from scaling.commands.sweeper import register_sweeper
from scaling.compose.roots import shipped
from scaling.compose.session import check_hydras, one_sentence_errors, register
from scaling.errors import UserError, exits_refused
from scaling.internals.hydra import lazy_help_as_text
from scaling.plan.expand import expand
from scaling.security.trust import trusting


def hydra_main(arguments: Sequence[str]) -> None:
    """Give the arguments to Hydra; a multirun goes to the planner, a single run comes to `_one`."""
    asked = {argument.split("=")[0] for argument in arguments}
    if asked & {"-m", "--multirun"} and asked & {"-c", "--cfg", "-i", "--info"}:
        raise UserError("found -m beside --cfg or --info, which show one config; wanted one of the two; leave out -m")
    trust = "--trust" in arguments
    arguments = [argument for argument in arguments if argument != "--trust"]
    check_hydras(arguments)
    with one_sentence_errors(), trusting(trust), lazy_help_as_text():
        register()
        register_sweeper()
        sys.argv = ["scaling", *arguments]
        failed: list[Exception] = []
        one = partial(_one, failed=failed)
        hydra.main(config_path=str(shipped("conf")), config_name="config", version_base="1.3")(one)()
        if failed:
            raise failed[0]


def _one(_: DictConfig, *, failed: list[Exception]) -> None:
    """Run it; an error is kept for the caller, since Hydra would add the command line to it."""
    try:
        with exits_refused():
            execute(expand(GlobalHydra.instance().config_loader(), list(HydraConfig.get().overrides.task)))
    except Exception as error:
        failed.append(error)
