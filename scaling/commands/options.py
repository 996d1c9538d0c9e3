"""What several verbs share: options, checks of their arguments, and how they write their answers."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from scaling.commands.completion.words import complete_override
from scaling.compose.roots import key_of, roots, sweep_name
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists
from scaling.security.rights import shared_as
from scaling.security.trust import trusting

if TYPE_CHECKING:
    from scaling.terminal_table import Terminal

_machine: ContextVar[TextIO | None] = ContextVar("_machine", default=None)  # for JSON alone on stdout
OVERRIDES: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


def overrides(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add Hydra overrides, with options anywhere among them."""
    given: dict[str, Any] = {"type": click.UNPROCESSED, "shell_complete": complete_override}
    command = click.argument("arguments", nargs=-1, metavar="[OVERRIDES]...", **given)(trust_option(command))
    return click.option(
        "-m", "--multirun", is_flag=True, hidden=True, expose_value=False, help="Accepted, and not needed."
    )(command)


def trust_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --trust, which lets configs name any code while the command runs."""

    @functools.wraps(command)
    def with_trust(*given: Any, trust: bool, **options: Any) -> Any:
        with trusting(trust):
            return command(*given, **options)

    text = "Allow configs to name code from anywhere (see docs/security.md)."
    return click.option("--trust", is_flag=True, help=text)(with_trust)


def recipe_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for the recipe, which sets the override recipe_version."""

    @functools.wraps(command)
    def with_recipe(*given: Any, arguments: tuple[str, ...], recipe: int | None, **options: Any) -> Any:
        if recipe is not None:
            own = next((word for word in arguments if key_of(word) == "recipe_version"), None)
            if own is not None:
                raise UserError(f"found --recipe {recipe} and {own}; wanted one of the two; drop one")
            arguments = (*arguments, f"recipe_version={recipe}")
        return command(*given, arguments=arguments, **options)

    text = "Use an older recipe, so that its settled runs count: 1 is that of version 0.1 (auto precision is fp32)."
    return click.option("--recipe", type=int, metavar="N", help=text)(with_recipe)


@contextmanager
def _for_json_alone() -> Iterator[TextIO]:
    """Yield the real stdout; within the block all other output, also by C code, goes to stderr."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # no file, as in a notebook
        yield sys.stdout
        return
    sys.stdout.flush()
    own = os.dup(descriptor)
    os.dup2(2, descriptor)
    try:
        with os.fdopen(os.dup(own), "w", encoding="utf-8") as machine:
            yield machine
    finally:
        os.dup2(own, descriptor)
        os.close(own)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json; if JSON goes to stdout, all other output goes to stderr."""

    @functools.wraps(command)
    def with_json(*arguments: Any, json_path: str | None, **options: Any) -> Any:
        if json_path != "-":
            return command(*arguments, json_path=json_path, **options)
        with _for_json_alone() as machine:
            token = _machine.set(machine)
            try:
                with redirect_stdout(sys.stderr):  # a user's modules may print when they are imported
                    return command(*arguments, json_path=json_path, **options)
            finally:
                _machine.reset(token)

    text = "Write JSON to PATH (-: to stdout, and nothing else there)."
    return click.option("--json", "json_path", metavar="PATH", help=text)(with_json)


def terminal(*, stderr: bool = False) -> Terminal:
    """Return the terminal of this process; rich is imported only now."""
    from scaling.terminal_table import Terminal

    return Terminal(stderr=stderr)


def only_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments; UserError if one of them is an unknown option."""
    for argument in arguments:
        if argument.startswith("-"):
            raise UserError(f"found the unknown option {argument}; see --help for those there are")
        if argument.startswith("=") or ("=" not in argument and not argument.startswith("~")):
            known = any((folder / f"{sweep_name(argument)}.yaml").is_file() for folder in roots("sweeps"))
            hint = f"; write sweep={argument}" if known else ""
            raise UserError(f"found {argument!r}; wanted overrides such as model.width=64 or sweep=quickstart{hint}")
    return list(arguments)


def write_json(content: Mapping[str, Any], path: str) -> None:
    """Write JSON to a file or to stdout."""
    text = json.dumps(content, indent=1, allow_nan=False)
    if path == "-":
        click.echo(text, file=_machine.get())
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text + "\n")


def answer(content: Mapping[str, Any], json_path: str | None, *lines: str) -> None:
    """Write the content as JSON if --json is given, and print the lines unless stdout is for JSON alone."""
    if json_path is not None:
        write_json(content, json_path)
    if json_path != "-":
        for line in lines:
            click.echo(line)


def run_verb(name: str, words: Sequence[str], *, written: Path) -> dict[str, Any]:
    """Run a verb of the analysis, which prints its result, and return its JSON, kept in the file `written`."""
    context = click.get_current_context().find_root()
    assert isinstance(context.command, click.Group), "every verb belongs to the command line"
    verb = context.command.get_command(context, name)
    assert verb is not None, "the analysis has it"
    verb.main([*words, "--json", str(written)], standalone_mode=False)
    found: dict[str, Any] = json.loads(written.read_text())
    return found


def as_typed(path: Path) -> str:
    """Return a path as typed in a command here, quoted for the shell."""
    typed = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    return shlex.quote(f"./{typed}" if typed.startswith("-") else typed)  # otherwise it would be an option


def sweep_folder(path: str) -> SweepFolder:
    """Return the sweep in results/NAME; UserError if there is no plan.

    If the results are shared with a group, files that the command writes from here on are as well.
    """
    folder = Path(path).expanduser()
    if not exists(folder / "plan.csv"):
        from difflib import SequenceMatcher

        there = sorted(str(plan.parent) for plan in Path("results").glob("**/plan.csv"))
        near = sorted(there, key=lambda name: -SequenceMatcher(None, name, path).ratio())[:5]  # the most alike first
        more = f" and {len(there) - len(near)} more" if len(there) > len(near) else ""
        hint = f"there are {', '.join(near)}{more}" if near else "start one with `scaling run`"
        raise UserError(f"found no plan in {path}; wanted the folder of a sweep, such as results/NAME; {hint}")
    results = next((parent for parent in folder.parents if (parent / "runs").is_dir()), folder.parent)
    command = click.get_current_context(silent=True)
    if command is not None:
        command.with_resource(shared_as(results))
    return SweepFolder(results, folder.relative_to(results).as_posix())
