"""What SLURM's tools print is taken for an answer where it is one, and for silence where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.dispatches import DispatchFolder, new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.limits import Offer
from scaling.dispatch.slurm import sbatch, scheduler
from scaling.dispatch.slurm.cluster import needed_cluster
from scaling.dispatch.slurm.deal import JobShare
from scaling.dispatch.slurm.diagnosis import diagnose_jobs
from scaling.dispatch.slurm.scheduler import QueuedJob
from scaling.dispatch.slurm.shared_answer import FILE
from scaling.dispatch.slurm.submit import arrays
from scaling.dispatch.slurm.worker import WARNED, SlurmWorker
from scaling.dispatch.task import Task
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED

HEAD = "JOBID|STATE|REASON|NAME|COMMAND"


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Put a tool on the path that prints bytes, and words on stderr, and ends well or not."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(tool: str, out: bytes | str = b"", err: str = "", code: int = 0) -> None:
        (tmp_path / f"{tool}.out").write_bytes(out.encode() if isinstance(out, str) else out)
        script = tmp_path / tool
        script.write_text(f"#!/bin/sh\ncat {tmp_path}/{tool}.out\necho '{err}' >&2\nexit {code}\n")
        script.chmod(0o755)

    return put


@pytest.mark.parametrize(
    "said",
    ["", "<html>502 Bad Gateway</html>", "7|RUNNING|None|mine|/a.sh", "\N{LATIN SMALL LETTER A WITH DIAERESIS}|x|y|z",
     f"{HEAD}\n7|RUNNING|No", f"{HEAD}\n7|l\N{LATIN SMALL LETTER A WITH DIAERESIS}uft|None|mine|/a.sh"],
)  # fmt: skip
def test_an_answer_of_squeue_that_is_none_is_silence(says, said):
    says("squeue", said.encode("latin-1"), err="slurm_load_jobs error: Socket timed out")
    assert scheduler.all_jobs() is None
    assert scheduler.accepted_job(Path("/a.sh")) is None


def test_what_else_is_printed_does_not_spoil_an_answer(says):
    says(
        "squeue",
        f"maintenance on Friday\n{HEAD}\n7_0|PENDING|Priority|mine|/a|b.sh\n8|RUNNING|None|mine|/c.sh\nthe end\n",
    )
    assert scheduler.all_jobs() == {
        "7_0": QueuedJob("PENDING", "Priority", "mine", "/a|b.sh"),
        "8": QueuedJob("RUNNING", "", "mine", "/c.sh"),
    }
    assert scheduler.accepted_job(Path("/a|b.sh")) == "7"
    says("squeue", f"{HEAD}\n7|PENDING|None|a|b\nc|d|/od|d\nx|y.sh\n8|RUNNING|None|mine|/c.sh\n")  # a name of two lines
    assert set(scheduler.all_jobs() or ()) == {"7", "8"}
    says("squeue", HEAD)
    assert scheduler.all_jobs() == {}


@pytest.mark.parametrize(("left", "cause"), [("1:05:00", "preempted"), ("0:45", "timed_out")])
def test_squeue_is_asked_once_why_a_stack_was_warned(tmp_path, says, left, cause):
    says("squeue", left)
    script = tmp_path / "squeue"
    script.write_text(script.read_text().replace("cat", f"echo asked >> {tmp_path}/asked\ncat", 1))
    stop = Stop()
    stop.say(WARNED)
    task = Task(SweepFolder(tmp_path, "s"), tmp_path / "queue.jsonl", job="7")
    worker = SlurmWorker(task, signal_seconds=60, stop=stop, heartbeat=Heartbeat(stop))
    assert {worker.cause_of_stop(run_id) for run_id in ("a", "b", "c")} == {cause}
    assert (tmp_path / "asked").read_text().split() == ["asked"]


def test_what_keeps_jobs_is_looked_for_without_what_starts_them():
    code = "import sys, scaling.dispatch.slurm.diagnosis; print({'submitit', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("PENDING", "JobHeldUser", "JobHeldUser"),
        ("SPECIAL_EXIT", "job requeued in held state", "job requeued in held state"),
        ("REQUEUE_HOLD", "None", "REQUEUE_HOLD"),
        ("SUSPENDED", "None", "suspended"),
        ("RUNNING", "None", ""),
        ("COMPLETING", "Resources", ""),
    ],
)
def test_why_a_job_does_not_train_is_said_in_every_state(says, state, reason, told):
    says("squeue", f"{HEAD}\n7|{state}|{reason}|mine|/a.sh")
    assert (scheduler.all_jobs() or {})["7"].reason == told


@pytest.mark.parametrize(
    ("partitions", "config"),
    [
        ("", "SLURM_VERSION = 22.05.8"),
        ("gpu*|infinite|n/a|?|?|x", "SLURM_VERSION = 22.05.8"),
        ("gpu*|1:00|4|8|9|x", ""),
    ],
)
def test_a_cluster_that_does_not_say_what_it_has_does_not_answer(says, partitions, config):
    for tool, said in (("sbatch", ""), ("sinfo", partitions), ("scontrol", config)):
        says(tool, said)
    with pytest.raises(UserError, match="no SLURM that answers"):
        needed_cluster()


def test_a_line_of_sinfo_that_is_none_is_passed_over(says):
    for tool, said in (
        ("sbatch", ""),
        ("sinfo", "x|y\ngpu*|1:00|4|8+|9000+|(null)"),
        ("scontrol", "SLURM_VERSION = 9"),
    ):
        says(tool, said)
    [found] = needed_cluster().partitions
    assert (found.name, found.default, found.minutes, found.cpus, found.gpus) == ("gpu", True, 1, 8, "")


def test_a_setting_of_the_cluster_without_a_value_hides_none_that_follows(says):
    config = "MailDomain =\nMaxArraySize = 77\nTaskPluginParam = \nSLURM_VERSION = 23.11.4\n"
    for tool, said in (("sbatch", ""), ("sinfo", "gpu*|1:00|4|8|9000|(null)"), ("scontrol", config)):
        says(tool, said)
    found = needed_cluster()
    assert (found.max_array, found.version) == (77, "23.11.4")


@pytest.mark.parametrize(
    "said",
    ["Submitted batch job 12", "12", "12;cluster", "Submitted batch job 12 on cluster north", "job 7 used 3 %\n\n12\n",
     "your last job 7 waited\nSubmitted batch job 12", "Submitted batch job 12\nhours left:\n1500\n",
     "sbatch: Submitted batch job 12 to the partition gpu"],
)  # fmt: skip
def test_the_id_of_a_job_is_that_which_sbatch_says_it_has_made(says, said):
    says("sbatch", said, err="sbatch: warning: job 9 is old")
    assert sbatch.submit_file(Path("/a.sh")) == "12"


def test_what_sbatch_took_is_taken_though_what_wraps_it_ends_badly(says):
    says("squeue", HEAD)
    says("sbatch", "Submitted batch job 12\nno quota left for mails\n", code=1)
    assert sbatch.submit_file(Path("/a.sh")) == "12"


def test_what_sbatch_took_without_saying_so_is_found_in_the_queue(says):
    says("squeue", f"{HEAD}\n7|RUNNING|None|mine|/b.sh\n8_1|PENDING|None|mine|/a.sh")
    says("sbatch", err="sbatch: error: Batch job submission failed: Socket timed out", code=1)
    assert sbatch.submit_file(Path("/a.sh")) == "8"  # at once, and not given again
    says("sbatch", "see you")
    assert sbatch.submit_file(Path("/a.sh")) == "8"
    with pytest.raises(UserError, match=r"sbatch refuses \(see you\)"):
        sbatch.submit_file(Path("/c.sh"))


def test_a_job_that_was_accepted_while_its_submission_was_interrupted_is_cancelled(says, tmp_path, monkeypatch):
    """As by Ctrl-C while sbatch is slow: nobody would know its id."""

    def interrupted(file):
        raise KeyboardInterrupt

    says("squeue", f"{HEAD}\n7|RUNNING|None|mine|/b.sh\n8_1|PENDING|None|mine|/a.sh")
    says("scancel")
    script = tmp_path / "scancel"
    script.write_text(script.read_text().replace("cat", f"echo $@ >> {tmp_path}/cancelled\ncat", 1))
    monkeypatch.setattr(sbatch, "_submit_once", interrupted)
    for file in ("/a.sh", "/c.sh"):
        with pytest.raises(KeyboardInterrupt):
            sbatch.submit_file(Path(file))
    assert (tmp_path / "cancelled").read_text().split() == ["8"]


def test_jobs_do_not_inherit_the_job_that_submits_them(says, tmp_path, monkeypatch):
    says("sbatch", "12")
    (tmp_path / "sbatch").write_text(f"#!/bin/sh\nenv > {tmp_path}/env\necho 12\n")
    names = ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SBATCH_PARTITION")
    for name in (*names, "SLURM_CONF"):
        monkeypatch.setenv(name, "1")
    assert sbatch.submit_file(Path("/a.sh")) == "12"
    given = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "SLURM_CONF" in given
    assert not given & set(names)
    assert os.environ["SLURM_JOB_ID"] == "1"


@pytest.mark.parametrize(
    "said", ["", "COMPLETED", "|||", "|Unknown|Unknown", "a|b|c|d\nOUT_OF_MEMORY|2020-01-01T00:00:00|"]
)
def test_sacct_may_say_anything(says, said):
    says("sacct", said)
    assert scheduler.accounted("7", 1.7e9) == ("out_of_memory" if "MEMORY" in said else "")


def test_jobs_of_several_arrays_run_no_more_at_a_time_than_those_of_one():
    assert arrays(16, 16, 1000) == [(16, 16)]
    assert arrays(100, 16, 50) == [(50, 8), (50, 8)]
    assert arrays(5, 2, 1) == arrays(5, 2, -1) == [(1, 1), (1, 1)]  # arrays may be switched off
    assert arrays(7, 7, 3) == [(3, 3), (3, 2), (1, 2)]
    for jobs, parallel, most in ((9, 4, 2), (40, 7, 6), (3, 1, 1)):
        assert sum(share for _, share in arrays(jobs, parallel, most)) <= parallel


@pytest.mark.parametrize(
    ("folder", "said"),
    [("100%j", "a per cent sign"), ("a\\b", "a backslash"), ("a\\''\ntouch b #", "line break|backslash")],
)
def test_a_folder_that_sbatch_misreads_is_refused_before_it_leads_logs_astray(tmp_path, folder, said):
    share = JobShare("4GB", 1, 1, 1.0, minutes=15, memory_gb=4)
    with pytest.raises(UserError, match=said):
        sbatch.sheet(share, Slurm(), DispatchFolder(tmp_path / folder / "jobs"), "mine")


@pytest.mark.parametrize(
    ("private", "hidden"), [("none", False), ("cloud,jobs", True), ("all", True), ("nodes,usage", False), ("", False)]
)
def test_whether_slurm_hides_the_jobs_of_others(says, private, hidden):
    says("scontrol", f"SlurmctldPort = 6817\nPrivateData             = {private}\nSLURM_VERSION = 22.05.8\n")
    assert scheduler.hides_jobs() is hidden


def test_how_a_job_ended_is_asked_of_the_controller_where_nothing_is_accounted(says):
    says("sacct", err="Slurm accounting storage is disabled", code=1)
    says("scontrol", "JobId=7 JobName=a UserId=root(0) JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15 Command=/a.sh")
    assert scheduler.end_of("7") == "TIMEOUT, exit code 0:15"
    says("scontrol", "JobId=7 JobState=RUNNING ExitCode=0:0")
    assert scheduler.end_of("7") == ""
    says("scontrol", err="slurm_load_jobs error: Invalid job id specified", code=1)
    assert scheduler.end_of("7") == ""
    says("sacct", "NODE_FAIL|1:0\nCANCELLED by 0|0:0\n")
    assert scheduler.end_of("7") == "CANCELLED by 0"


def test_what_became_of_jobs_is_told_until_a_later_submission_takes_up_their_runs(folder, says):
    for tool in ("sacct", "scontrol"):
        says(tool)
    made = []
    for job in ("7", "8"):
        files = new_dispatch(folder)
        facts = replace(files.begin(Slurm(), Offer(()), UNLIMITED), jobs=(job,))
        files.write(facts)
        (files.path / f"{job}_0_0_log.err").write_text("no such module\n")
        made.append((files, facts))
    says("squeue", HEAD)
    assert len(diagnose_jobs(made[:1])) == 1
    [told] = diagnose_jobs(made)
    assert told.startswith("job 8_0 ended before its worker could report: no such module")
    (folder.jobs / FILE).unlink()
    says("squeue", f"{HEAD}\n7_1|RUNNING|None|sweep|{made[0][0].path}/a.sh")
    assert [words.split()[1] for words in diagnose_jobs(made)] == ["7_0", "8_0"]
