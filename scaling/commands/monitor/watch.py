"""`scaling watch`: the sweep in a browser while it runs."""

from __future__ import annotations

import getpass
import socket
import tempfile
from pathlib import Path

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import as_typed, sweep_folder

EPILOG = """\b
Examples:
  scaling watch results/quickstart
  scaling watch results/mine --port 8123       on a login node; the ssh command for it is printed
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [any free port]")
def watch(folder: str, port: int) -> None:
    """Show a sweep in a browser while it runs: states, curves, failures, and the law so far.

    The page is served only on loopback, with a token in its address. It changes nothing.
    """
    from scaling.live.reports import Reports
    from scaling.live.server import LOOPBACK, ServedSweep, Server
    from scaling.live.snapshot import Snapshots

    sweep = sweep_folder(folder)
    with tempfile.TemporaryDirectory(prefix="scaling-watch-") as drawn:
        served = ServedSweep(sweep, Snapshots(sweep), Reports(sweep, Path(drawn)))
        with Server(served, port) as server:
            at = server.server_port
            click.echo(f"{as_typed(sweep.path)} is at http://{LOOPBACK}:{at}/{served.token}/ (Ctrl-C ends it)")
            tunnel = f"ssh -N -L {at}:{LOOPBACK}:{at} {getpass.getuser()}@{socket.gethostname()}"
            click.echo(f"from another machine, run first: {tunnel}")
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                click.echo("ended; the sweep continues")
