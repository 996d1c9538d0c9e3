"""The steps at which members of a stack are checked: milestones, forks, and checks that their losses are finite."""

from __future__ import annotations

from scaling.train.sizes import CHECK_STEPS
from scaling.train.stacked.member_state import MemberState


def steps_left(member: MemberState) -> int:
    """Return the steps until a member is checked next: its next milestone, fork or check that it is finite."""
    return min(_milestone(member), _next_fork(member), _next_check(member)) - member.step


def steps_after(member: MemberState) -> int:
    """Return the steps from a member's present check to its next one, 0 if it ends now."""
    later = [step for step in member.attempt.run.quantities.milestones if step > member.step]
    return min(later[0], _next_fork(member), _next_check(member)) - member.step if later else 0


def _next_fork(member: MemberState) -> int:
    """Return the next step from which a run of another length continues; the last step if there is none."""
    return next((step for step in member.attempt.run.forks if step > member.step), member.steps)


def _next_check(member: MemberState) -> int:
    return member.step - member.step % CHECK_STEPS + CHECK_STEPS


def _milestone(member: MemberState) -> int:
    """Return the next milestone; one that was requested only after the run had passed it is left out."""
    least = max(member.step, member.attempt.journal.last_step + 1)
    return next(step for step in member.attempt.run.quantities.milestones if step >= least)


def is_checked(member: MemberState) -> bool:
    """Return whether a member is at a step where a run trained alone checks that its losses are finite."""
    return member.step % CHECK_STEPS == 0 or member.step in member.attempt.run.forks or is_at_milestone(member)


def is_at_milestone(member: MemberState) -> bool:
    """Return whether a member is at a milestone that has not been evaluated yet."""
    return member.step == _milestone(member)
