"""`scaling schema`: JSON schemas of sweeps and configs, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaling.commands.options import json_option, write_json

EPILOG = """\b
Example:
  scaling schema                 writes schema/sweep.json and schema/conf/GROUP.json
\b
Then an editor with a YAML language server completes and checks a sweep whose head says
  # yaml-language-server: $schema=../schema/sweep.json
"""


@click.command(epilog=EPILOG)
@click.option("-o", "--out", default="schema", show_default=True, metavar="DIR", help="Folder for the schemas.")
@json_option
def schema(out: str, json_path: str | None) -> None:
    """Write JSON schemas of sweep files and of all groups of conf/, including your own."""
    from scaling.compose.schema import schemas
    from scaling.folders import write_atomically

    found = schemas()
    if json_path is not None:
        write_json(found, json_path)
    if json_path == "-":
        return
    for name, content in found.items():
        path = Path(out) / f"{name}.json"
        write_atomically(path, json.dumps(content, indent=1) + "\n")
        click.echo(str(path))
    where = Path(out) / "sweep.json"
    click.echo(f"# yaml-language-server: $schema={where if where.is_absolute() else Path('..') / where}")
    click.echo("is the first line for a file in sweeps/")
