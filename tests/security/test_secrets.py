"""What is secret goes into no plan and no bundle."""

from __future__ import annotations

import pytest

from analysis.errors import UserError as AnalysisError
from analysis.publish.private import refuse_secrets
from scaling.compose.session import compose, session
from scaling.errors import UserError
from scaling.security.environment import SECRET


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "MY_KEY"])
def test_a_plan_reads_no_secret_of_the_environment(name, monkeypatch):
    monkeypatch.setenv(name, "s3cr3t")
    found = pytest.raises(UserError, match=rf"^found oc.env:{name}, a secret by its name; wanted")
    with found, session() as loader:
        _ = compose(loader, [f"name=${{oc.env:{name}}}"]).name


def test_a_plan_reads_what_is_none(monkeypatch):
    monkeypatch.setenv("MY_SCRATCH", "here")
    with session() as loader:
        config = compose(loader, ["name=${oc.env:MY_SCRATCH}", "results=${oc.env:NOT_THERE,there}"])
        assert (config.name, config.results) == ("here", "there")
    for name in (
        "HOME",
        "USER",
        "SLURM_ACCOUNT",
        "TMPDIR",
        "KEYBOARD",
        "MONKEY",
        "KEY",
        "N_TOKENS",
        "TOKENIZER",
        "DATA_ROOT",
    ):
        assert not SECRET.search(name)


@pytest.mark.parametrize(
    "text",
    [
        "on_end: curl https://hooks.slack.com/services/T00/B00/x",
        "curl -H 'Authorization: Bearer abcdefghijkl0123456789'",
        "https://me:hunter2@host/x",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "token=abcdefghijklmnop0123",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "it holds v4lue-of-mine",
    ],
)
def test_a_bundle_publishes_no_secret(text):
    environment = {"MY_TOKEN": "v4lue-of-mine", "HOME": "a bundle", "SHORT_KEY": "a"}
    with pytest.raises(AnalysisError, match="looks like a secret"):
        refuse_secrets({"a.csv": b"", "sweep.yaml": text.encode()}, environment)


def test_a_bundle_publishes_all_else():
    text = b"tokens: 123456789012345678, data=https://host.org/a:b/c@1, a bundle, N_tokens=1e9, secret: no"
    refuse_secrets({"sweep.yaml": text, "x.png": b"hooks.slack.com/services/1"}, {"HOME": "a bundle", "A_KEY": "a"})
