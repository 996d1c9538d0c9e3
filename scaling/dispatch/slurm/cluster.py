"""The properties of a SLURM cluster: partitions, limits, accounting."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from scaling.dispatch.slurm.scheduler import ask, minutes
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
    facts = settings_of(config or "")
    if not partitions or "SLURM_VERSION" not in facts:  # not an answer of SLURM
        return None
    return Cluster(
        version=facts["SLURM_VERSION"],
        partitions=partitions,
        max_array=int(facts.get("MaxArraySize", ARRAY_DEFAULT)),
        accounting="none" not in facts.get("AccountingStorageType", "none") and shutil.which("sacct") is not None,
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


def settings_of(config: str) -> dict[str, str]:
    """Return the settings that `scontrol show config` prints, without those that have no value."""
    return dict(re.findall(r"^(\w+) *= *(\S+)", config, re.MULTILINE))


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
