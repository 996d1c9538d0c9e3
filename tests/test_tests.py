"""No test depends on the machine's speed or load: none asserts a time, naps, or forks; benchmarks alone read clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.timing_rules import timing_faults

TESTS = Path(__file__).parent
FILES = {file.relative_to(TESTS).as_posix(): file for file in sorted(TESTS.rglob("*.py"))}
ASSERTS, TIME = "asserts what a clock says", "asserts that a time is below or above"
BAD = {
    "import time\nassert time.process_time() < 5": ASSERTS,
    "from time import monotonic as now\nbegan = now()\nwork()\nassert now() - began < 1": ASSERTS,
    "import time\ndef test():\n    a = time.time()\n    took = time.time() - a\n    assert 0 < took < 2": ASSERTS,
    "import time\ntook = []\nfor _ in range(3):\n    took.append(time.perf_counter())\nassert min(took) < 1": ASSERTS,
    "import time\nclock = time.perf_counter\ndef test():\n    a = clock()\n    b = a\n    assert b < 3": ASSERTS,
    "import resource\ndef used():\n    return resource.getrusage(0).ru_utime\nassert used() < 1": ASSERTS,
    "import os\nimport pytest\n@pytest.fixture\ndef took():\n    yield sum(os.times()[:2])\n"
    "def test(took):\n    assert took < 1": ASSERTS,
    "import time\nclass Case:\n    def start(self):\n        self.began = time.time()\n"
    "    def test(self):\n        assert self.began > 0": ASSERTS,
    "import timeit\nfaster = timeit.timeit(work) < timeit.timeit(other)\nassert faster": ASSERTS,
    "from datetime import datetime\nbegan = datetime.now()\nassert (datetime.now() - began).seconds < 2": ASSERTS,
    "from tests.benchmarks.bench_dispatch import timed\nwall, _ = timed(work)\nassert wall < 2": ASSERTS,
    'assert record.how["seconds"] > 0.4': TIME,
    'assert abs(len(heard) - record["how"]["seconds"]) <= 1.5': TIME,
    'took = train().how["seconds"]\nassert 0.4 < forecast().seconds / took < 2.5': TIME,
    'assert sum(each["gpu_seconds"] for each in tried) <= max(each["seconds"] for each in tried) + 0.01': TIME,
    'CODE = """\nimport time\nbegan = time.time()\nprint(time.time() - began)\n"""': "1: reads a clock in a program",
    'code = f"import resource\\nprint(resource.getrusage({who}).ru_utime)"': "reads a clock in a program",
    'CODE = "import time\\ntime.sleep(600)"': "in a program of its own, 2: naps (time.sleep)",
    "import time\ntime.sleep(2)\nassert done()": "2: naps (time.sleep)",
    "import os\nif os.fork() == 0:\n    work()": "2: forks (os.fork)",
    'import multiprocessing\nmultiprocessing.get_context("fork").Process(target=work)': "forks (multiprocessing.get",
    "from multiprocessing import Pool\nwith Pool(4) as pool:\n    pool.map(work, x)": "2: forks (multiprocessing.Pool)",
    "import multiprocessing as mp\nmp.get_context().Process(target=work)": "forks (multiprocessing.get_context)",
    "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor(2)": "forks (concurrent.futures.Proc",
}
GOOD = [
    "import time\nbegan = time.time()\nwrite(began)\nassert read()",
    "import resource\nassert resource.getrusage(0).ru_maxrss < 1e6",
    "def test(clock):\n    clock.now += 5\n    assert clock.now == 5",
    'assert attempt["gpu_seconds"] == attempt["seconds"]',
    'from multiprocessing import get_context\nget_context("spawn").Pool(2)',
    "import time\ndef one():\n    a = time.time()\n    return write(3)\ndef other():\n    a = 3\n    assert a < 5",
    'CODE = "import sys; print(sorted(sys.modules))"\nsaid = "at this time.time was up"',
]


def test_no_file_of_tests_hangs_on_the_machine():
    found = {
        name: timing_faults(
            file.read_text(), naps=name == "waiting.py", programs=name not in ("waiting.py", "test_tests.py")
        )
        for name, file in FILES.items()
        if not name.startswith("benchmarks/")
    }
    assert len(found) > 100
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("source", BAD)
def test_what_hangs_on_the_machine_is_named(source):
    assert BAD[source] in " ".join(timing_faults(source))


@pytest.mark.parametrize("source", GOOD)
def test_what_does_not_is_left_alone(source):
    assert timing_faults(source) == []


def test_no_example_has_to_be_tried_within_some_time():
    assert settings().deadline is None
