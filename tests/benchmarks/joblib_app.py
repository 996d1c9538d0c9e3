"""The same runs through Hydra's joblib launcher: what a user would write without this project's dispatcher."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from tests.benchmarks.trivial import planned


@hydra.main(version_base="1.3", config_path=None)
def main(config: DictConfig) -> None:
    """Train one run of one step."""
    from scaling.folders import SweepFolder
    from scaling.train.run import train_run

    run = planned(config.seed)
    train_run(run, SweepFolder(Path(config.results), "joblib").run(run.run_id), device="cpu")


if __name__ == "__main__":
    main()
