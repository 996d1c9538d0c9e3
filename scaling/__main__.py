"""`scaling VERB …`, `python -m scaling VERB …`; without a verb the arguments go to Hydra."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext


def _put_own_folder_last() -> None:
    """Move the working directory to the end of the path, so that a user's modules are found but hide no library.

    The folder of the package itself stays in its place, so that a checkout uses its own modules, not installed ones.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 - Path costs start-up time
    except FileNotFoundError:
        sys.stderr.write("error: found that the folder you are in is gone; wanted one that is there; cd to another\n")
        sys.exit(2)
    if not sys.flags.safe_path and here != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):  # noqa: PTH100, PTH120
        sys.path[:] = [path for path in sys.path if path not in ("", here)] + [here]


if __name__ == "__main__":  # before anything is imported that a file there could hide
    _put_own_folder_last()

import click  # noqa: E402

from analysis.streams import drop_unwritten, open_closed, spell_out, write_rest  # noqa: E402
from scaling.errors import UserError, exits_refused, printable  # noqa: E402

RARELY = (100_000, 20, 50)  # new objects before garbage is looked for: a plan of 100,000 runs has millions, all of use
BAD_INPUT, REFUSED, INTERRUPTED = 2, 3, 130  # exit codes


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error that a user can cause is printed as one sentence."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_closed()
    spell_out((sys.stdout, sys.stderr))
    gc.set_threshold(*RARELY)
    _put_own_folder_last()
    code = exit_code_of(lambda: run(arguments))
    gc.freeze()  # the interpreter's last search for garbage, among all that was imported, is a tenth of a short command
    sys.exit(code)


def run(arguments: Sequence[str]) -> None:
    """Pass the arguments to a verb, or to Hydra."""
    if _goes_to_hydra(arguments):
        from scaling.commands.hydra import hydra_main

        hydra_main(arguments)
    else:
        from scaling.cli import cli

        completing = "_SCALING_COMPLETE" in os.environ
        if completing:
            from scaling.commands.completion.bash import register

            register()
        with nullcontext() if completing else exits_refused():  # click ends a completion by sys.exit
            code = cli.main(list(arguments) or ["--help"], prog_name="scaling", standalone_mode=False)
        if isinstance(code, int) and code:  # click returns the code of an Exit instead of raising it
            raise click.exceptions.Exit(code)


def _goes_to_hydra(arguments: Sequence[str]) -> bool:
    """Return whether the arguments are overrides (KEY=VALUE) or Hydra's own options, rather than a verb."""
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        return False
    return "=" in arguments[0] or arguments[0].startswith("-")


def exit_code_of(work: Callable[[], None]) -> int:
    """Do the work and return the exit code; print an error as one sentence on stderr."""
    try:
        work()
        write_rest()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        from analysis.errors import usage_sentence

        return _print_error(usage_sentence(error), BAD_INPUT)
    except OSError as error:
        return _print_error(_os_sentence(error), BAD_INPUT)
    except RuntimeError as error:
        from analysis.errors import home_sentence

        return _print_error(home_sentence(error), BAD_INPUT)
    except ValueError as error:
        code = _code(error)
        if code is None:
            raise
        return _print_error(str(error), code)
    return 0


def _code(error: ValueError) -> int | None:
    from analysis import errors as analysis_errors

    if isinstance(error, UserError | analysis_errors.UserError):
        return BAD_INPUT
    return REFUSED if isinstance(error, analysis_errors.Refusal) else None


def _os_sentence(error: OSError) -> str:
    where = f" at {error.filename}" if error.filename else ""
    what = error.strerror.lower().removeprefix("is ") if error.strerror else str(error)  # found a directory
    advice = {
        errno.ENOSPC: "free some space; what was finished is kept, and the same command goes on from there",
        errno.EDQUOT: "free some of your quota; what was finished is kept, and the same command goes on from there",
        errno.EACCES: "give another folder with results=DIR, or the right to write there",
        errno.ENOTDIR: "give another folder with results=DIR",
        errno.EROFS: "give another folder with results=DIR",
        errno.ENOENT: "check the path",
        errno.EISDIR: "give a file",
    }.get(error.errno or 0, "mend it and run the same command again")
    return f"found {what}{where}; {advice}"


def _print_error(sentence: str, code: int) -> int:
    drop_unwritten()
    click.echo(f"error: {printable(' '.join(sentence.split()))}", err=True)
    return code


if __name__ == "__main__":
    main()
