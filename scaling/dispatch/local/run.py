"""Many runs on this machine: workers with one queue, supervised until all have ended."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from scaling import devices
from scaling.dispatch.dispatches import dispatches, queued_elsewhere
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.limits import explain_cancelled, offer_of
from scaling.dispatch.local.pool import start_ahead
from scaling.dispatch.local.supervisor import Supervisor
from scaling.dispatch.order import Order
from scaling.dispatch.queue import LazyQueue
from scaling.dispatch.states.outcome import Outcome, outcome_of
from scaling.dispatch.states.read_state import Reader
from scaling.folders import SweepFolder
from scaling.numbers import many

if TYPE_CHECKING:
    from scaling.dispatch.show import View


def promised(folder: SweepFolder) -> set[str]:
    """Return the runs in the queues of other live dispatches, also of jobs that a scheduler has or may have."""
    found = queued_elsewhere(folder)
    for files, dispatch in dispatches(folder):
        queued = dispatch.jobs and dispatch.may_be_at_work
        if queued and launcher_of_dispatch(dispatch).job_states([(files, dispatch)]) != {}:
            found.update(LazyQueue(files.queue).run_ids)
    return found


def run_local(order: Order, settings: Local, view: View) -> Outcome:
    """Train the unsettled runs on this machine, and return the outcome; view: see `show.view`."""
    started = time.monotonic()
    gpus = 1 if order.device != "cpu" and devices.gpus() else 0
    todo = order.open_entries
    found = len(order.entries) - len(todo)
    pool = start_ahead(order, settings, most=len(todo)) if todo else None  # torch starts while the queue is made here
    with nullcontext() if pool is None else closing(pool):
        if pool is not None:
            view.say(f"starting {many(len(pool.jobs), 'worker')}")
        offer = offer_of(order, gpus=gpus, promised=promised(order.folder) if order.limits else ())
        reader = Reader(order.folder, [entry.planned for entry in order.entries], settled=order.settled)
        stopped, held, out_of_reach = False, offer.held, dict[str, str]()
        if pool is not None and offer.queue:
            pool.give(offer, order.limits)
            supervisor = Supervisor(pool, reader, view)
            stopped = supervisor.until_done()
            held, out_of_reach = held or supervisor.held, supervisor.out_of_reach
    outcome = replace(
        outcome_of(reader.read(afresh=True), out_of_reach),
        found=found,
        held=held,
        stopped=stopped,
        seconds=time.monotonic() - started,
    )
    return explain_cancelled(outcome, order)
