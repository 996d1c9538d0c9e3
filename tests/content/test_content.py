"""Content is known by what files hold: not by names, places and times, and not by comments."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.content import digest as digests
from scaling.content.code import fingerprint, without_comments
from scaling.content.content import Content
from scaling.content.digest import digest_of
from scaling.data.npz import Npz
from scaling.security.modules import own_source, own_sources


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of a user's own modules, found as in a worker."""
    monkeypatch.syspath_prepend(str(tmp_path))
    own_source.cache_clear()
    fingerprint.cache_clear()

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        fingerprint.cache_clear()
        return path

    return write


def print_of(*names: str) -> str:
    return fingerprint(frozenset(names))


def test_one_changed_byte_is_another_digest_and_a_copy_elsewhere_is_none(tmp_path):
    first, copy = tmp_path / "a.npz", tmp_path / "elsewhere" / "b.npz"
    copy.parent.mkdir()
    first.write_bytes(b"0" * 1000)
    copy.write_bytes(b"0" * 1000)
    assert digest_of(first) == digest_of(copy) != ""
    before = first.stat()
    first.write_bytes(b"0" * 999 + b"1")
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))  # as cp -p and rsync leave it
    assert digest_of(first) != digest_of(copy)
    assert digest_of(tmp_path / "nothing") == ""


def test_a_file_is_read_once_and_a_large_one_known_to_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED", -1.0)
    monkeypatch.setattr(digests, "KEPT", 10)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    read = []
    monkeypatch.setattr(digests, "_read", lambda path, size: read.append(path) or "digest")
    assert [digest_of(path), digest_of(path)] == ["digest", "digest"]
    monkeypatch.setattr(digests, "_known", {})  # another process
    assert digest_of(path) == "digest"
    assert len(read) == 1
    path.write_bytes(b"y" * 100)
    digest_of(path)
    assert len(read) == 2


def test_of_a_huge_file_blocks_all_over_it_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "WHOLE", 100)
    monkeypatch.setattr(digests, "BLOCK", 4)
    monkeypatch.setattr(digests, "BLOCKS", 10)
    path = tmp_path / "huge"
    seen = set()
    for changed in (None, 0, 999):
        content = bytearray(1000)
        if changed is not None:
            content[changed] = 1
        path.write_bytes(content)
        seen.add(digests._read(path, 1000))
    assert len(seen) == 3


def test_a_folder_is_its_files(tmp_path):
    folder = tmp_path / "arrays"
    folder.mkdir()
    (folder / "a.npy").write_text("1")
    before = digest_of(folder)
    (folder / ".hidden").write_text("2")
    assert digest_of(folder) == before
    (folder / "b.npy").write_text("2")
    assert digest_of(folder) != before


def test_code_is_that_of_all_modules_that_are_imported_in_turn(modules):
    modules("own_net.py", "import json\nimport torch\nfrom own_layers import Layer\n")
    modules("own_layers.py", "def Layer():\n    from own_package.deep import x\n    return x\n")
    modules("own_package/__init__.py", "from . import beside\n")
    modules("own_package/beside.py", "")
    modules("own_package/deep.py", "x = 1\n")
    loaded = set(sys.modules)
    found = own_sources(["own_net"])
    assert set(found) == {"own_net", "own_layers", "own_package", "own_package.deep", "own_package.beside"}
    assert set(found).isdisjoint(set(sys.modules) - loaded)  # nothing was run
    before = print_of("own_net")
    modules("own_package/deep.py", "x = 2\n")
    assert print_of("own_net") != before != ""
    assert print_of("scaling.models.mlp", "torch.nn", "json") == ""


@pytest.mark.parametrize(
    "how",
    [
        "import_module('.of_' + kind, __package__)",
        "import_module(f'own_zoo.{kind}')",
        "import_module('own_zoo.deep.' + kind)",
        "import_module('own_zoo.deep.far')",
        "import_module('.deep.far', package=__name__)",
        "__import__(f'{__name__}.{kind}')",
        "[each.name for each in pkgutil.walk_packages(__path__)]",
    ],
)
def test_modules_that_are_imported_by_a_computed_name_are_code_too(modules, how):
    modules("own_zoo/__init__.py", f"import pkgutil\nfrom importlib import import_module\nkind = 'far'\n{how}\n")
    modules("own_zoo/deep/__init__.py", "")
    modules("own_zoo/deep/far.py", "x = 1\n")
    before = print_of("own_zoo")
    modules("own_zoo/deep/far.py", "x = 2\n")
    assert print_of("own_zoo") != before


def test_comments_and_blank_lines_are_no_other_code(modules):
    modules("own_words.py", "def f():\n    return '# no comment'\n")
    before = print_of("own_words")
    modules("own_words.py", "# said\n\ndef f():  # of it\n\n    return '# no comment'\n")
    assert print_of("own_words") == before
    modules("own_words.py", "def f():\n    return '# a comment'\n")
    assert print_of("own_words") != before
    assert without_comments(b"if (") == b"if ("


def test_only_what_both_sides_know_can_differ():
    known = Content(data="a", code="b")
    assert known.differs(Content()) == Content().differs(known) == ()
    assert known.differs(Content(data="c", code="b")) == ("data",)
    assert Content.from_dict(known.to_dict()) == known
    assert Content.from_dict({"later": "x"}) == Content()


def test_a_set_read_by_an_earlier_run_of_the_process_keeps_its_digest(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    data = Npz(file="mine.npz", classes=2, examples=32, features=3, root=str(tmp_path))

    def write() -> None:
        np.savez(path, x_train=rng.standard_normal((40, 3)).astype(np.float32), y_train=np.arange(40) % 2)

    write()
    first = data.load(8).digest
    assert first == data.digest() != ""
    write()
    assert data.load(16).digest == first != data.digest()
