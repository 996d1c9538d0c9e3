"""What the tests share: the command line as a user runs it, in a folder of its own."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles all of it anew, and
sys.dont_write_bytecode = False  # every collection as well: half of the time of all tests
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers of default threads on two cores are 15x to 60x slower
TOGETHER = {
    "forked": (  # from one server, which imports torch: a second and a half
        *("tests/commands/", "tests/dispatch/", "tests/stages/", "tests/internals/test_torch.py"),
        *("tests/data/test_made.py", "tests/data/test_prepare.py", "tests/paper/test_small.py"),
        *("tests/train/test_resume.py", "tests/train/stacked/test_members.py"),
        *("tests/test_extending.py", "tests/security/test_attacks.py", "tests/test_tune.py", "tests/test_validate.py"),
    ),
    "reported": ("tests/analysis/report/", "tests/analysis/test_numbers.py"),  # one sweep, drawn
    "parsed": ("tests/test_house.py", "tests/internals/test_private_names.py"),  # all that the packages hold
}
gc.disable()  # nothing of what the tests import is garbage; looking for it took a tenth of their time


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file's tests in one process, for what they share; and all that share more than a file's."""
    from xdist.scheduler import LoadFileScheduling

    class Shared(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return next((name for name, places in TOGETHER.items() if nodeid.startswith(places)), nodeid.split("::")[0])

    return Shared(config, log)


class CommandLine:
    """`scaling …` in a folder: in this process, which spares its start, or in one of its own (`outside`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run it, check the exit code, return stdout (stderr where it failed)."""
        from scaling.__main__ import exit_code_of, run

        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = exit_code_of(lambda: run(arguments))
        assert found == code, f"exit {found}\n{out.getvalue()}\n{err.getvalue()}"
        return err.getvalue() if code else out.getvalue()

    def outside(self, *arguments: str, code: int = 0) -> str:
        """Do the same in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "scaling", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout


@pytest.fixture
def scaling(tmp_path):
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def make_command_line(tmp_path_factory):
    return lambda name: CommandLine(tmp_path_factory.mktemp(name))
