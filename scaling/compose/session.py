"""A session of Hydra: find configs and sweeps, and compose a config.

A user's own ./conf and ./sweeps take precedence over the package's. `sweep=x/y` names the file sweeps/x/y.yaml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from scaling.compose.aliases import AliasSource
from scaling.compose.keys import where_else
from scaling.compose.roots import key_of, roots, shipped
from scaling.compose.shadows import in_the_way, refuse_config, shadow
from scaling.compose.sources import GROUP, CheckedFiles, SearchPath, SweepSource
from scaling.errors import UserError, suggestion
from scaling.internals.hydra import read_files_with
from scaling.security.environment import refuse_secrets

PRIMARY = "config"  # conf/config.yaml
NO_GROUP = re.compile(r"Could not override '([\w/]+)'")  # Hydra's message if a group is not in the defaults list
SECOND = re.compile(
    r"'override (?P<group>\w+): (?P<name>.+)'$|force-add of config groups .*'\++(?P<key>\w+)=(?P<value>.+)'$"
)
A_KEY = re.compile(r"[+~]*[\w$-]+([./][\w$-]+)*(@[\w.:$-]*)?")  # of an override
IN_A_LIST = re.compile(r"(?P<list>[^\[]+)\[\d+\]")  # a full key of OmegaConf
SPARE_COMMA = re.compile(r"(^|,)\s*(,|$)")
# Hydra's keys with an effect.
HYDRAS = ("hydra.searchpath", "hydra.verbose", "hydra/job_logging", "hydra/hydra_logging")
SWEEPER = "hydra_plugins.scaling.Planner"  # Hydra makes sweepers only from modules in hydra_plugins


def register() -> None:
    """Register our config sources and the name of our sweeper with Hydra; safe to call again."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises instead of printing and exiting with 1
    plugins = Plugins.instance()
    for plugin in (SweepSource, AliasSource, SearchPath):
        plugins.register(plugin)
    read_files_with(CheckedFiles)
    refuse_secrets()
    ConfigStore.instance().store(group="hydra/sweeper", name="planner", node={"_target_": SWEEPER})


@contextmanager
def session() -> Iterator[ConfigLoader]:
    """Initialise Hydra on our folders and yield its loader."""
    with one_sentence_errors():
        register()
        with initialize_config_dir(config_dir=str(shipped("conf")), job_name="scaling", version_base="1.3"):
            yield GlobalHydra.instance().config_loader()


def compose(loader: ConfigLoader, overrides: Sequence[str]) -> DictConfig:
    """Compose one config; UserError names the group, key or value that is wrong."""
    with one_sentence_errors():
        return loader.load_configuration(config_name=PRIMARY, overrides=list(overrides), run_mode=RunMode.RUN)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn errors of Hydra, OmegaConf and YAML into a UserError of one sentence."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_sentence(error)) from error
    except yaml.YAMLError as error:
        raise UserError(_not_yaml(error)) from error
    except RecursionError as error:
        raise UserError(
            "found an override that is nested too deeply to be read, or defaults that lead back to their own file; "
            "wanted neither; change it"
        ) from error


def _not_yaml(error: yaml.YAMLError) -> str:
    where, problem = "a config", " ".join(str(error).split())
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        where, problem = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}", error.problem or ""
    elif isinstance(error, yaml.reader.ReaderError):
        where = f"{error.name}, character {error.position + 1}"
        problem = f"it holds the character {error.character:#04x}, which no text has"
    return f"found {where}, which is not YAML ({problem}); mend the file"


def _sentence(error: BaseException) -> str:
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split()) or " ".join(str(error).split())
    _, ours, sentence = text.partition("UserError raised while resolving interpolation: ")
    if ours:
        return sentence.partition(" full_key: ")[0]
    if second := SECOND.search(text):
        typed = f"{second['group'] or second['key']}={second['name'] or second['value']}"
        return f"found {typed} added with +, beside the one that the config has; wanted one; write {typed}"
    missing = NO_GROUP.match(text)
    if missing is not None and shadow("") is not None:
        refuse_config(missing[1])
    if isinstance(cause, OmegaConfBaseException) and (inside := IN_A_LIST.match(cause.full_key or "")):
        return (
            f"found {cause.full_key}, which is inside a list and not there: Hydra takes the dots of its keys for "
            f"levels; wanted the list as a whole; write '{inside['list']}=[…]', or change the file"
        )
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None and cause.full_key:
        hint = where_else(cause.parent_node, cause.full_key)
        return _unknown(cause.full_key, [str(key) for key in cause.parent_node], hint)
    problem, _, place = text.partition(" full_key: ")
    key = place.partition("object_type=")[0].strip()
    return f"found {key or 'a config'} that Hydra refuses: {problem}"


def _unreadable(error: OverrideParseException) -> str:
    key, _, value = str(error.override).partition("=")
    quoted = value.replace("'", "\\'")
    if any(character.isspace() for character in key):
        return f"found {key}={value}; wanted no blanks before =; write {''.join(key.split())}={value.strip()}"
    if not A_KEY.fullmatch(key):
        return f"found {key}={value}, whose {key} is no key; wanted one such as model.width; change it"
    if SPARE_COMMA.search(value):
        return f"found {key}={value}, with a comma too many; wanted values such as 8,16; drop it"
    return (
        f"found {key}={value}, which Hydra's grammar does not read; wanted closed brackets, or a text with such "
        f"characters in quotes of its own; write \"{key}='{quoted}'\""
    )


def _unknown(key: str, siblings: Sequence[str], hint: str) -> str:
    group = key.rpartition(".")[0]
    known = [f"{group}.{name}" if group else name for name in siblings if name not in ("_target_", "hydra")]
    beside = in_the_way(group.partition(".")[0])
    hint = hint or (suggestion(key, known) if known else f"{group} has no keys here")
    return f"found the unknown key {key}{beside}; {hint}"


def _missing(error: MissingConfigException) -> str:
    found = error.missing_cfg_file or ""
    if found.startswith(f"{GROUP}/"):
        return _no_sweep(found.removeprefix(f"{GROUP}/"))
    group, _, name = found.rpartition("/")
    short = next((file for root in roots("conf") if (file := root / f"{found}.yml").is_file()), None)
    if short is not None:
        return f"found {short}; wanted a config's file to end with .yaml; rename it"
    top, _, typed = found.partition("/")
    member = f"{top}/{Path(name).stem}"
    if group != top and any((root / f"{member}.yaml").is_file() for root in roots("conf")):  # typed is a file's path
        return f"found no {top}={typed}; did you mean {member.replace('/', '=')}?"
    options = sorted(error.options or [])
    if not options:
        return f"found a config that Hydra refuses: {' '.join(str(error).split()).partition(' Config search path')[0]}"
    if group.startswith("model/"):
        return f"found no model={found.removeprefix('model/')}; wanted a name such as B-12/Wi-1024 or S-6/Wi-512"
    return f"found no {group}={name}; {suggestion(name, options, write=f'{group}={{}}')}"


def _no_sweep(name: str) -> str:
    files = [(file, folder) for folder in roots("sweeps") for file in sorted(folder.rglob("*.y*ml")) if file.is_file()]
    names = {file.relative_to(folder).as_posix(): file for file, folder in files}
    short = names.get(f"{name.removesuffix('.yml')}.yml")
    if short is not None:
        return f"found {short}; wanted a sweep's file to end with .yaml; rename it"
    if Path(f"{name}.yaml").is_file():
        return f"found {name}.yaml, which is not in ./sweeps; wanted a file there; move it, or work in its own project"
    known = [file.removesuffix(".yaml") for file in names if file.endswith(".yaml")]
    within = [other for other in known if other.startswith(f"{name}/")]
    if within:
        return f"found {name}, which is a folder of sweeps; wanted one of {', '.join(within)}"
    return f"found no sweep={name}; {suggestion(name, known, write=f'{GROUP}={{}}')}"


def check_hydras(arguments: Sequence[str]) -> None:
    """Raise UserError for an override of Hydra's own config that nothing here follows."""
    for argument in arguments:
        key = key_of(argument)
        if re.split(r"[./]", key)[0] != "hydra" or key in HYDRAS or argument == "hydra":  # as in --cfg hydra
            continue
        if key == "hydra/launcher":
            raise UserError(
                "found hydra/launcher, Hydra's own launchers, which wait for every run; "
                "wanted launcher=local or launcher=slurm; change it"
            )
        raise UserError(
            f"found {key}, of Hydra's own, which nothing here follows; wanted keys of runs and of the plan, such as "
            f"results=DIR and name=NAME for where things are written; drop it"
        )
