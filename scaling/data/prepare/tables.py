"""Encoded images in columns of tables: Parquet files, tables saved by Hugging Face `datasets`, or fetched by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data import hub
from scaling.data.prepare.pictures import AT_A_TIME, Picture, Pictures, no_names
from scaling.errors import UserError

IMAGES = ("image", "img")  # columns, the first that is there
LABELS = ("label", "fine_label", "labels", "class")
SAVED = "state.json"  # in the folder of a split that `datasets` has saved


@dataclass(frozen=True)
class Table:
    """A table on disk: the pieces (Arrow arrays) of one column, or of one field of a column of structures."""

    where: str
    columns: Sequence[str]
    pieces: Callable[[str, str | None], Iterable[Any]]

    def pictures(self) -> Pictures:
        """Return the pictures; only their labels are read now."""
        image = next((name for name in IMAGES if name in self.columns), None)
        label = next((name for name in LABELS if name in self.columns), None)
        if label is None or image is None:
            raise UserError(
                f"found the columns {', '.join(self.columns)} in {self.where}; wanted image (or img) and label; "
                f"rename them"
            )
        pieces = list(self.pieces(label, None))
        if empty := sum(piece.null_count for piece in pieces):
            raise UserError(
                f"found rows without a {label} in {self.where} ({empty:,}); wanted one each; fill them in or drop them"
            )
        found = [piece.to_numpy(zero_copy_only=False) for piece in pieces]
        labels = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        if not np.issubdtype(labels.dtype, np.integer):
            raise UserError(
                f"found labels such as {labels.tolist()[0]!r} in {self.where}; wanted whole numbers from 0; encode them"
            )
        named = any(name.startswith(f"{image}.path") for name in self.columns)
        names = partial(self._names, image) if named else no_names
        return Pictures(labels.astype(np.int64), partial(self._contents, image), names)

    def _contents(self, image: str) -> Iterator[Picture]:
        for piece in self.pieces(image, None):
            yield from (_content(cell, self.where) for cell in piece.to_pylist())

    def _names(self, image: str) -> list[str] | None:
        paths = [path for piece in self.pieces(image, "path") for path in piece.to_pylist()]
        return [Path(path).name for path in paths] if all(paths) else None


def parquet_table(files: list[Path]) -> Table:
    """Return the table that Parquet files make together."""
    from pyarrow import parquet

    def pieces(column: str, field: str | None) -> Iterator[Any]:
        wanted = f"{column}.{field}" if field else column
        for path in files:
            with _damage_told(path):
                for batch in parquet.ParquetFile(path).iter_batches(batch_size=AT_A_TIME, columns=[wanted]):
                    yield batch.column(column).field(field) if field else batch.column(column)

    columns = []
    for path in files:
        with _damage_told(path):
            columns.append(_columns(parquet.read_schema(path)))
    return Table(str(files[0]), [name for name in columns[0] if all(name in each for each in columns)], pieces)


def saved_table(directory: Path) -> Table:
    """Return a split that `datasets` has saved; UserError if it is a selection of another table's rows."""
    import pyarrow as pa
    from pyarrow import ipc

    state = json.loads((directory / SAVED).read_text())
    if state.get("_indices_data_files"):
        raise UserError(
            f"found a selection of rows in {directory}; wanted the rows themselves; save it after flatten_indices()"
        )
    files = [directory / file["filename"] for file in state["_data_files"]]

    def pieces(column: str, field: str | None) -> Iterator[Any]:
        for path in files:
            with _damage_told(path):
                for batch in ipc.open_stream(pa.memory_map(str(path))):
                    yield batch.column(column).field(field) if field else batch.column(column)

    with _damage_told(files[0]):
        columns = _columns(ipc.open_stream(pa.memory_map(str(files[0]))).schema)
    return Table(str(directory), columns, pieces)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Raise UserError for a file of a table that is missing or damaged."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        words = " ".join(str(error).split())
        raise UserError(f"found {path}, which cannot be read ({words}); wanted a whole file; fetch it again") from error


def hub_tables(name: str) -> dict[str, Table]:
    """Return the splits of a set that `datasets` knows, by the names they have there."""

    def table(rows: Any) -> Table:
        def pieces(column: str, field: str | None) -> list[Any]:
            chunks = rows.data.column(column).chunks
            return [chunk.field(field) for chunk in chunks] if field else list(chunks)

        return Table(name, _columns(rows.data.schema), pieces)

    return {split: table(rows) for split, rows in hub.fetch(name).items()}


def _columns(schema: Any) -> list[str]:
    """Return the names of columns and, behind a dot, of the fields of those that are structures."""
    import pyarrow as pa

    fields = [f"{column.name}.{f.name}" for column in schema if pa.types.is_struct(column.type) for f in column.type]
    return [*schema.names, *fields]


def _content(cell: Any, where: str) -> Picture:
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(content, bytes):
        return content
    if path and Path(path).is_file():
        return Path(path)
    raise UserError(f"found an image in {where} without its bytes; wanted them inside; export it with its images")
