"""`python -m analysis VERB …`: the analysis without the trainer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from analysis.cli import cli
from analysis.errors import Refusal, UserError, home_sentence, printable, usage_sentence
from analysis.streams import drop_unwritten, open_closed, spell_out, write_rest

BAD_INPUT, REFUSED, INTERRUPTED = 2, 3, 130
"""Exit codes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; what a user can cause is said in one sentence on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_closed()
    spell_out((sys.stdout, sys.stderr))
    try:
        cli.main(arguments or ["--help"], prog_name="python -m analysis", standalone_mode=False)
        write_rest()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _print_error("interrupted", INTERRUPTED)
    except click.ClickException as error:
        return _print_error(usage_sentence(error), BAD_INPUT)
    except UserError as error:
        return _print_error(str(error), BAD_INPUT)
    except Refusal as error:
        return _print_error(str(error), REFUSED)
    except BrokenPipeError:
        return 0
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        return _print_error(f"found {(error.strerror or str(error)).lower()}{place}; give another path", BAD_INPUT)
    except RuntimeError as error:
        return _print_error(home_sentence(error), BAD_INPUT)
    return 0


def _print_error(sentence: str, code: int) -> int:
    drop_unwritten()
    click.echo(f"error: {printable(' '.join(sentence.split()))}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
