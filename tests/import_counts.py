"""What a command imports, which is most of what its start costs: counted, since time is the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys

before = set(sys.modules)
from {package}.__main__ import main
try:
    main(sys.argv[1:])
finally:
    names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
    print(*sorted(names - sys.stdlib_module_names), file=sys.stderr)
"""


def imported(package: str, *arguments: str, folder: Path) -> set[str]:
    """Return the packages beyond Python's own that a command line of `package` imports, run in a folder."""
    command = [sys.executable, "-c", CODE.format(package=package), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())
