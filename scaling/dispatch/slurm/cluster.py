"""The properties of a SLURM cluster: partitions, limits, accounting."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from scaling.dispatch.slurm.scheduler import ask
from scaling.errors import UserError

ARRAY_DEFAULT = 1001  # SLURM's default of MaxArraySize


@dataclass(frozen=True)
class Partition:
    """One partition; minutes: its time limit, None if there is none; gpus: in sinfo's format."""

    name: str
    default: bool
    minutes: float | None
    nodes: int
    cpus: int
    memory_gb: float
    gpus: str


@dataclass(frozen=True)
class Cluster:
    """The properties that a dispatcher needs; max_array: SLURM's MaxArraySize; accounting: whether sacct answers."""

    version: str
    partitions: tuple[Partition, ...]
    max_array: int
    accounting: bool

    def limit(self, partition: str | None) -> float | None:
        """Return the time limit of a partition in minutes, None if there is none.

        partition: None for the default one; for several, separated by commas as for sbatch, the shortest limit counts.
        """
        names = None if partition is None else partition.split(",")
        chosen = [found for found in self.partitions if (found.default if names is None else found.name in names)]
        limits = [found.minutes for found in chosen if found.minutes is not None]
        return min(limits, default=None)


def read_cluster() -> Cluster | None:
    """Read the cluster's properties; None if there is no SLURM, or it does not answer."""
    if shutil.which("sbatch") is None:
        return None
    output = ask(["sinfo", "--noheader", "--format=%P|%l|%D|%c|%m|%G"])
    config = ask(["scontrol", "show", "config"])
    partitions = tuple(filter(None, map(_partition, (output or "").splitlines())))
    if not partitions or config is None:
        return None
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    version = re.search(r"^SLURM_VERSION\s*=\s*(\S+)", config, re.MULTILINE)
    if version is None:  # not an answer of SLURM
        return None
    storage = re.search(r"^AccountingStorageType\s*=\s*(\S+)", config, re.MULTILINE)
    return Cluster(
        version=version.group(1),
        partitions=partitions,
        max_array=int(size.group(1)) if size else ARRAY_DEFAULT,
        accounting=bool(storage and "none" not in storage.group(1)) and shutil.which("sacct") is not None,
    )


def needed_cluster() -> Cluster:
    """Read the cluster's properties; UserError if there is no SLURM, or it does not answer."""
    cluster = read_cluster()
    if cluster is None:
        raise UserError(
            "found no SLURM that answers (sbatch, sinfo); wanted a login node of a cluster; "
            "go there, or take launcher=local"
        )
    return cluster


def _partition(line: str) -> Partition | None:
    """Read a line of sinfo, None if it does not describe a partition."""
    row = re.fullmatch(r"([^|]+?)(\*?)\|([^|]+)\|(\d+)\|(\d+)\+?\|(\d+)\+?\|([^|]*)", line.strip())
    if row is None:
        return None
    name, star, limit, nodes, cpus, memory, gpus = row.groups()
    return Partition(
        name=name,
        default=bool(star),
        minutes=minutes(limit),
        nodes=int(nodes),
        cpus=int(cpus),
        memory_gb=int(memory) / 1000,
        gpus="" if gpus == "(null)" else gpus,
    )


def minutes(limit: str) -> float | None:
    """Return a time limit in minutes from SLURM's format, days-hours:minutes:seconds; None for infinite."""
    if not re.fullmatch(r"[\d:-]+", limit):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:
        parts += [0] * (3 - len(parts))
    hours, mins, seconds = [0, 0, 0, *parts][-3:]
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def describe_cluster() -> list[str]:
    """Return lines that describe the cluster."""
    if shutil.which("sbatch") is None:
        return ["none here: no sbatch on the PATH"]
    cluster = read_cluster()
    if cluster is None:
        return ["sbatch is here, but the controller does not answer"]
    kept = "sacct answers" if cluster.accounting else "no accounting: states come from squeue and the files"
    lines = [f"SLURM {cluster.version}, arrays of up to {cluster.max_array}, {kept}"]
    for found in cluster.partitions:
        limit = "no time limit" if found.minutes is None else f"{found.minutes / 60:g} h"
        lines.append(
            f"{found.name}{' (default)' if found.default else ''}: {found.nodes} nodes of {found.cpus} CPUs, "
            f"{found.memory_gb:g} GB{', ' + found.gpus if found.gpus else ''}; {limit}"
        )
    return lines
