"""Promotions: what moves an alias, who may, and what leaves it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.actions import set_member
from apps.accounts.models import AuditEvent
from apps.jobs.models import Job
from apps.registry import actions, events, promoting, tasks
from apps.registry.models import Alias, AliasMove, Model, ModelVersion, Promotion
from apps.registry.states import MovedBy, PromotionState, VersionState
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid
from foundation.events import subscribe
from tests.registry.conftest import FAILED, PASSED
from tests.support.people import People

pytestmark = pytest.mark.django_db
Make = Callable[..., ModelVersion]
Promote = Callable[..., Promotion]


def test_staging_moves_when_the_checks_have_passed(
    people: People, make_version: Make, promote: Promote, fake_tracking: Any
) -> None:
    version = make_version()
    promotion = promote(version, "staging")
    assert promotion.state == PromotionState.APPLIED
    assert fake_tracking.aliases(people.project.pk, "churn") == {"staging": 1}
    move = AliasMove.objects.get()
    assert (move.alias, move.version, move.before, move.moved_by) == (
        "staging",
        version,
        None,
        MovedBy.PROMOTION,
    )
    assert AuditEvent.objects.filter(action="model.alias_moved").count() == 1


def test_production_waits_for_a_maintainer(
    people: People, make_version: Make, promote: Promote, fake_tracking: Any
) -> None:
    promotion = promote(make_version())
    assert promotion.state == PromotionState.AWAITING_APPROVAL
    assert fake_tracking.aliases(people.project.pk, "churn") == {}
    for name in ("viewer", "contributor", "stranger"):
        with pytest.raises(Forbidden):
            promoting.approve(actor=people.actor(name), promotion=promotion)
    done = promoting.approve(actor=people.actor("maintainer"), promotion=promotion, comment="looks good")
    assert (done.state, done.decided_by, done.decision) == ("applied", people.maintainer, "looks good")
    assert fake_tracking.aliases(people.project.pk, "churn") == {"production": 1}


def test_approving_or_rejecting_twice_is_a_conflict(
    people: People, make_version: Make, promote: Promote
) -> None:
    promotion = promote(make_version())
    promoting.approve(actor=people.actor("maintainer"), promotion=promotion)
    for decide in (promoting.approve, promoting.reject):
        with pytest.raises(Conflict) as caught:
            decide(actor=people.actor("owner"), promotion=promotion)
        assert "applied" in caught.value.message
    assert AliasMove.objects.count() == 1


def test_nobody_approves_their_own_while_another_maintainer_is_there(
    people: People, make_version: Make, promote: Promote
) -> None:
    promotion = promote(make_version(), by="maintainer")
    with pytest.raises(Forbidden) as caught:
        promoting.approve(actor=people.actor("maintainer"), promotion=promotion)
    assert caught.value.code == "promotion.own"
    assert promoting.approve(actor=people.actor("owner"), promotion=promotion).state == "applied"


def test_the_only_maintainer_approves_their_own(people: People, make_version: Make, promote: Promote) -> None:
    set_member(actor=people.actor("owner"), team=people.team, username="maintainer", role="viewer")
    promotion = promote(make_version(), by="owner")
    assert promoting.approve(actor=people.actor("owner"), promotion=promotion).state == "applied"


def test_a_rejection_leaves_the_alias_alone(
    people: People, make_version: Make, promote: Promote, fake_tracking: Any
) -> None:
    promotion = promote(make_version())
    done = promoting.reject(actor=people.actor("maintainer"), promotion=promotion, comment="too early")
    assert (done.state, done.reason) == ("rejected", "too early")
    assert fake_tracking.aliases(people.project.pk, "churn") == {}
    again = promote(make_version())
    withdrawn = promoting.reject(actor=people.actor("contributor"), promotion=again)
    assert withdrawn.state == PromotionState.REJECTED
    with pytest.raises(Forbidden):
        promoting.reject(actor=people.actor("viewer"), promotion=promote(make_version()))


@pytest.mark.parametrize("to", ["staging", "production"])
def test_a_failed_check_refuses_and_leaves_the_alias_alone(
    people: People, make_version: Make, promote: Promote, to: str, fake_tracking: Any
) -> None:
    promotion = promote(make_version(), to, checks=FAILED)
    assert (promotion.state, promotion.reason) == ("refused", "It is worse.")
    assert fake_tracking.aliases(people.project.pk, "churn") == {}
    assert Alias.objects.count() == 0


def test_checks_that_could_not_run_fail_the_promotion(
    people: People, make_version: Make, promote: Promote
) -> None:
    promotion = promote(make_version(), checks=None)
    job = promotion.job
    assert job is not None
    Job.objects.filter(pk=job.pk).update(
        state="errored", reason="The worker was killed twice.", finished_at=now()
    )
    job.refresh_from_db()
    tasks.Check().ended(job)
    promotion.refresh_from_db()
    assert (promotion.state, promotion.reason) == ("failed", "The worker was killed twice.")
    promoting.finish_checks(promotion=promotion, checks=PASSED)
    assert promotion.state == PromotionState.FAILED
    assert Alias.objects.count() == 0


def test_a_version_is_promoted_once_at_a_time_and_not_to_what_it_holds(
    people: People, make_version: Make, promote: Promote
) -> None:
    version = make_version()
    promote(version, checks=None)
    with pytest.raises(Conflict) as caught:
        promote(version)
    assert caught.value.code == "promotion.running"
    promote(version, "staging")
    with pytest.raises(Conflict) as caught:
        promote(version, "staging")
    assert caught.value.code == "promotion.holds_already"


@pytest.mark.parametrize("to", ["", "latest", "Production", None, 3, "best"])
def test_only_the_two_protected_aliases_are_promoted_to(
    make_version: Make, promote: Promote, to: Any
) -> None:
    with pytest.raises(Invalid):
        promote(make_version(), to)


def test_a_version_that_is_not_ready_is_not_promoted(make_version: Make, promote: Promote) -> None:
    version = make_version()
    ModelVersion.objects.update(state=VersionState.FAILED, reason="The MLmodel file cannot be read.")
    version.refresh_from_db()
    with pytest.raises(Conflict) as caught:
        promote(version)
    assert "MLmodel" in caught.value.message


def test_the_second_of_two_waiting_promotions_is_overtaken(
    people: People, make_version: Make, promote: Promote, fake_tracking: Any
) -> None:
    one, two = promote(make_version()), promote(make_version())
    promoting.approve(actor=people.actor("maintainer"), promotion=one)
    two.refresh_from_db()
    assert two.state == PromotionState.FAILED
    assert "meanwhile" in two.reason
    assert fake_tracking.aliases(people.project.pk, "churn") == {"production": 1}


def test_checks_against_a_holder_that_is_gone_do_not_count(
    people: People, make_version: Make, promote: Promote
) -> None:
    first, second, third = make_version(), make_version(), make_version()
    promote(first, "staging")
    late = promote(third, "staging", checks=None)
    promote(second, "staging")
    promoting.finish_checks(promotion=late, checks=PASSED)
    assert late.state == PromotionState.FAILED
    assert promoting.holder_of(first.model, "staging") == second


def test_what_holds_a_protected_alias_is_not_thrown_away(
    people: People, churn: Model, make_version: Make, promote: Promote, fake_tracking: Any
) -> None:
    version, actor = make_version(), people.actor("contributor")
    promote(version, "staging")
    for throw in (
        lambda: actions.trash_model(actor=actor, model=churn),
        lambda: actions.trash_version(actor=actor, version=version),
    ):
        with pytest.raises(Conflict) as caught:
            throw()
        assert caught.value.code == "model.in_use"
    with pytest.raises(Forbidden):
        promoting.release_alias(actor=actor, model=churn, alias="staging")
    promoting.release_alias(actor=people.actor("maintainer"), model=churn, alias="staging")
    assert fake_tracking.aliases(people.project.pk, "churn") == {}
    with pytest.raises(Conflict):
        promoting.release_alias(actor=people.actor("maintainer"), model=churn, alias="staging")
    actions.trash_version(actor=actor, version=version)


def test_a_trashed_version_ends_its_promotion(people: People, make_version: Make, promote: Promote) -> None:
    version = make_version()
    promotion = promote(version)
    actions.trash_version(actor=people.actor("contributor"), version=version)
    promotion.refresh_from_db()
    assert promotion.state == PromotionState.FAILED


def test_the_layers_above_hear_of_a_moved_alias(
    make_version: Make, promote: Promote, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[events.AliasMoved] = []
    subscribe(events.AliasMoved)(heard.append)
    version = make_version()
    with django_capture_on_commit_callbacks(execute=True):
        promote(version, "staging")
    mine = [event for event in heard if event.version_id == version.pk]
    assert [(event.model_name, event.alias, event.number) for event in mine] == [("churn", "staging", 1)]
