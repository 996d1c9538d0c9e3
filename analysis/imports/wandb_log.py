"""Read W&B's own file of an offline run (run-ID.wandb): a LevelDB log of protobuf messages."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.errors import UserError
from analysis.export.runs import tool

BLOCK, HEAD, START = 32_768, 7, 7
"""Bytes of a block, of a record's header, and before the first record."""
WHOLE, LAST = 1, 4
"""Types of records that end a message."""


def rows_of_log(path: Path) -> list[dict[str, Any]]:
    """Return a row for each line of a run's history (or one of its summary), with columns config.KEY and State.

    State: finished, failed or running (no end was written). Raises `UserError` without the package wandb.
    """
    proto = tool("wandb", "wandb.proto.wandb_internal_pb2")
    facts: dict[str, Any] = {"State": "running"}
    history, summary = [], dict[str, Any]()
    try:
        for message in _messages(path.read_bytes()):
            record = proto.Record.FromString(message)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                facts |= {"Name": record.run.display_name, **_items(record.run.config.update, "config")}
            elif kind == "config":
                facts |= _items(record.config.update, "config")
            elif kind == "history":
                history.append(_items(record.history.item, ""))
            elif kind == "summary":
                summary |= _items(record.summary.update, "")
            elif kind == "exit":
                facts["State"] = "failed" if record.exit.exit_code else "finished"
    except (struct.error, ValueError, TypeError) as error:
        raise UserError(
            f"found {path}, which cannot be read as a run of W&B ({error}); wanted a whole file; copy it again"
        ) from error
    return [{**facts, **row} for row in history or [summary]]


def _messages(data: bytes) -> Iterator[bytes]:
    """Yield the complete messages of a LevelDB log."""
    at, whole = START, b""
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEAD])
        whole += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (WHOLE, LAST) and at <= len(data):
            yield whole
            whole = b""


def _items(items: Any, before: str) -> dict[str, Any]:
    """Return keys with their values, which are JSON."""
    found: dict[str, Any] = {}
    for item in items:
        words = [before, *(item.nested_key or [item.key])]
        found |= flat({".".join(word for word in words if word): json.loads(item.value_json)}, "")
    return {key: value for key, value in found.items() if "._wandb" not in key and not key.startswith("_wandb")}


def flat(values: Mapping[str, Any], before: str) -> dict[str, Any]:
    """Flatten nested mappings to keys such as config.optim.lr, and convert lists to text."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}.{key}" if before else str(key)
        if isinstance(value, Mapping):
            found |= flat(value, name)
        else:
            found[name] = str(value) if isinstance(value, list) else value
    return found
