"""Archives: the same bytes for the same files; those of others are read without trust."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from analysis import archive
from analysis.archive import is_archive, pack, unpack
from analysis.errors import UserError

FILES = {"table.csv": b"N,loss\n1,2\n", "figures/a.png": b"\x89PNG", "plan.csv": b"run_id\n"}


def tar(*members: tuple[str, bytes, dict]) -> bytes:
    """Return an archive of members as they are said to be: a name, its content, and facts such as its kind."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as made:
        for name, content, facts in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in facts.items():
                setattr(member, key, value)
            made.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def read(tmp_path, content: bytes, *wanted: str) -> dict[str, bytes]:
    (tmp_path / "b.tar.gz").write_bytes(content)
    return unpack(tmp_path / "b.tar.gz", wanted)


def test_what_was_packed_is_unpacked_and_no_more_is_kept_than_asked_for(tmp_path):
    assert read(tmp_path, pack("mine", FILES), *FILES) == FILES
    assert read(tmp_path, pack("mine", FILES), "plan.csv") == {"plan.csv": FILES["plan.csv"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz"]


def test_the_same_files_give_the_same_bytes_in_whatever_order(tmp_path):
    assert pack("mine", FILES) == pack("mine", dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(pack("mine", FILES))) as made:
        facts = [(member.name, member.mtime, member.uid, member.uname) for member in made]
    assert facts == [(f"mine/{name}", 0, 0, "") for name in sorted([*FILES, "MANIFEST"])]


@pytest.mark.parametrize(
    "member",
    [
        ("mine/x", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("mine/x", b"", {"type": tarfile.LNKTYPE, "linkname": "mine/plan.csv"}),
        ("mine/x", b"", {"type": tarfile.CHRTYPE}),
        ("mine/../../x", b"", {}),
        ("/mine/x", b"", {}),
        ("../x", b"", {}),
        ("mine\\..\\x", b"", {}),
        ("x", b"", {}),
        ("other/x", b"", {}),
        ("mine//x", b"", {}),
    ],
)
def test_what_leads_out_of_the_folder_or_is_no_file_is_refused(tmp_path, member):
    with pytest.raises(UserError, match="no links, nothing that leads out of it"):
        read(tmp_path, tar(("mine/plan.csv", b"", {}), member))


def test_what_is_not_as_the_manifest_says_is_refused(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(pack("mine", FILES))) as made:
        members = [(member.name, made.extractfile(member).read(), {}) for member in made]
    changed = [(name, content + b"3,4\n" if name == "mine/table.csv" else content, {}) for name, content, _ in members]
    with pytest.raises(UserError, match=r"found table\.csv in .* other than its MANIFEST says"):
        read(tmp_path, tar(*changed))
    with pytest.raises(UserError, match=r"found plan\.csv in .* other than its MANIFEST says"):
        read(tmp_path, tar(*(member for member in members if member[0] != "mine/plan.csv")))
    with pytest.raises(UserError, match=r"found more\.csv in .* other than its MANIFEST says"):
        read(tmp_path, tar(*members, ("mine/more.csv", b"", {})))
    with pytest.raises(UserError, match=r"found two files table\.csv"):
        read(tmp_path, tar(*members, ("mine/table.csv", FILES["table.csv"], {})))
    with pytest.raises(UserError, match="found no MANIFEST"):
        read(tmp_path, tar(*(member for member in members if member[0] != "mine/MANIFEST")))


def test_more_than_the_bound_is_never_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 100_000)
    assert read(tmp_path, pack("mine", {"a": b"0" * 50_000}), "a") == {"a": b"0" * 50_000}
    for bomb in (pack("mine", {"a": b"0" * 1_000_000}), tar(("mine/" + "a" * 1_000_000, b"", {}))):
        assert len(bomb) < 10_000
        with pytest.raises(UserError, match="found more than 100,000 bytes"):
            read(tmp_path, bomb)
    monkeypatch.setattr(archive, "MOST", 2)
    with pytest.raises(UserError, match="no more than 2"):
        read(tmp_path, pack("mine", dict.fromkeys("abc", b"")))


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no archive"), pack("mine", FILES)[:-40]],
    ids=["empty", "no archive", "compressed", "cut"],  # what is compressed holds the time, and no name may
)
def test_what_is_no_archive_or_was_cut_is_said(tmp_path, content):
    with pytest.raises(UserError, match=r"cannot be read as a bundle|found no MANIFEST"):
        read(tmp_path, content)


def test_archives_are_known_by_their_names():
    assert [is_archive(name) for name in ("a.tar.gz", "A.TGZ", "a.csv.gz", "tar.gz.csv")] == [True, True, False, False]
