"""`scaling bundle`: a sweep in one archive for publication."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from analysis.errors import UserError
from analysis.options import FILE, SETTINGS, answer, interval_options, json_option

EXAMPLES = """\b
Examples:
  scaling bundle results/quickstart
  scaling report quickstart.tar.gz
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@click.argument("source", metavar="results/NAME", type=FILE)
@click.option("-o", "--out", metavar="FILE", help="The archive to write.  [NAME.tar.gz]")
@interval_options
@json_option
def bundle(source: str, out: str | None, json_path: str | None, **options: Any) -> None:
    """Put a sweep into one archive for publication: plan, table, fits, figures, report, versions and digests.

    Machine names and absolute paths are left out. The report is made again from the published table. The same results
    give the same bytes. `scaling report`, `fit`, `collect` and others read the archive as a table.
    """
    from analysis.archive import ENDINGS, MANIFEST, is_archive, unpack
    from analysis.files import write_atomically
    from analysis.publish.bundle import bundle as make
    from analysis.report.law_results import LawOptions

    folder = Path(source).expanduser()
    target = Path(out) if out else Path(f"{folder.resolve().name}.tar.gz")
    if not is_archive(target.name):
        raise UserError(f"found -o {target}; wanted a name that ends in {' or '.join(ENDINGS)}")
    quiet = json_path == "-"
    content = make(
        folder, law_options=LawOptions(**options), say=lambda text: None if quiet else click.echo(f"{text} …", err=True)
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    except OSError as error:
        raise UserError(
            f"found {target}, which cannot be written ({error.strerror or error}); wanted a file to write; name another"
        ) from error
    unpack(target, (MANIFEST,))
    digest = hashlib.sha256(content).hexdigest()
    facts = {"path": str(target), "bytes": len(content), "sha256": digest}
    answer(facts, json_path, lambda: click.echo(f"{target} ({len(content):,} bytes, sha256 {digest})"))
