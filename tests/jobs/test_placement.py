"""What a job asks for, what a worker has, and what a waiting job waits for."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from adapters.executors.inprocess import InProcessExecutor
from apps.jobs import attempts, turns
from apps.jobs.capacity import Capacity
from apps.jobs.models import Job, Worker
from apps.jobs.placement import GB, Needs, Placement, read_placement
from apps.jobs.supervisor import Supervisor
from apps.jobs.turns import next_for, next_jobs, overlooked
from apps.jobs.waiting import why_it_waits
from apps.jobs.worker import Slots
from foundation.clock import now
from foundation.errors import Invalid
from tests.support.people import People

BIG = Placement(needs=Needs(cpus=4, memory_bytes=16 * GB))


class TestReading:
    def test_what_is_left_out_has_its_default(self) -> None:
        assert read_placement({}) == read_placement({"queue": "", "resources": {}, "priority": ""})
        assert read_placement({}) == Placement("cpu", Needs(), 0)

    def test_texts_of_a_form_are_numbers(self) -> None:
        given = {
            "queue": "gpu-2",
            "priority": "-5",
            "resources": {"cpus": "1.5", "memory_gb": "8", "gpus": "2"},
        }
        found = read_placement(given)
        assert found == Placement("gpu-2", Needs(1.5, 8 * GB, 2), -5)
        again = found.as_json()
        assert again == {
            "queue": "gpu-2",
            "priority": -5,
            "resources": {"cpus": 1.5, "memory_gb": 8, "gpus": 2},
        }
        assert read_placement(again) == found

    @pytest.mark.parametrize(
        ("data", "code", "field"),
        [
            ({"queue": "GPU"}, "placement.queue", "queue"),
            ({"queue": "a" * 41}, "placement.queue", "queue"),
            ({"queue": "cpu; drop table"}, "placement.queue", "queue"),
            ({"queue": ["cpu"]}, "placement.queue", "queue"),
            ({"queue": "cpu\x00"}, "placement.queue", "queue"),
            ({"priority": 101}, "placement.priority", "priority"),
            ({"priority": 1.5}, "placement.priority", "priority"),
            ({"priority": True}, "placement.priority", "priority"),
            ({"priority": "high"}, "placement.priority", "priority"),
            ({"priority": float("nan")}, "placement.priority", "priority"),
            ({"resources": 4}, "placement.resources", "resources"),
            ({"resources": {"cpu": 4}}, "placement.resources", "resources"),
            ({"resources": {"cpus": -1}}, "placement.resources", "resources.cpus"),
            ({"resources": {"cpus": 1e400}}, "placement.resources", "resources.cpus"),
            ({"resources": {"memory_gb": "16 GB"}}, "placement.resources", "resources.memory_gb"),
            ({"resources": {"memory_gb": 10**400}}, "placement.resources", "resources.memory_gb"),
            ({"resources": {"gpus": 0.5}}, "placement.resources", "resources.gpus"),
            ({"resources": {"gpus": [1]}}, "placement.resources", "resources.gpus"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: dict[str, Any], code: str, field: str) -> None:
        with pytest.raises(Invalid) as error:
            read_placement(data)
        assert (error.value.code, error.value.detail["field"]) == (code, field)


class TestCapacity:
    def test_what_is_given_comes_back(self) -> None:
        capacity = Capacity({"cpus": 4, "memory_bytes": 8 * GB, "gpus": 2})
        first = capacity.take(Needs(cpus=3, gpus=1))
        assert first is not None
        assert first.gpus == (0,)
        assert capacity.take(Needs(cpus=2)) is None
        second = capacity.take(Needs(gpus=1))
        assert second is not None
        assert second.gpus == (1,)
        assert capacity.take(Needs(gpus=1)) is None
        capacity.give(first)
        third = capacity.take(Needs(cpus=4, gpus=1))
        assert third is not None
        assert third.gpus == (0,)

    def test_tenths_of_processors_add_up(self) -> None:
        capacity = Capacity({"cpus": 1})
        assert all(capacity.take(Needs(cpus=0.1)) for _ in range(10))
        assert capacity.take(Needs(cpus=0.1)) is None

    def test_a_worker_that_does_not_say_has_processors_and_memory_but_no_gpu(self) -> None:
        capacity = Capacity({})
        assert capacity.take(Needs(cpus=500, memory_bytes=10**15)) is not None
        assert capacity.take(Needs(gpus=1)) is None

    def test_a_program_is_told_what_it_was_given(self) -> None:
        grant = Capacity({"gpus": 4}).take(Needs(cpus=2.5, gpus=2))
        assert grant is not None
        told = grant.environment()
        assert (told["OMP_NUM_THREADS"], told["CUDA_VISIBLE_DEVICES"]) == ("2", "0,1")
        assert Capacity({}).take(Needs()).environment() == {}  # type: ignore[union-attr]


@pytest.mark.django_db
class TestTaking:
    def test_a_worker_takes_what_fits_its_queues_tier_and_room(self, submit: Callable[..., Job]) -> None:
        small, big = submit(), submit(placement=BIG)
        gpu = submit(placement=Placement("gpu", Needs(gpus=1)))
        Job.objects.filter(pk=small.pk).update(minimum_tier=1)

        def taken(**options: Any) -> set[Any]:
            found = next_jobs(**{"queues": ["cpu", "gpu"], "tier": 1, **options})
            return {one.job_id for one in found}

        assert taken() == {small.pk, big.pk, gpu.pk}
        assert taken(tier=0) == {big.pk, gpu.pk}
        assert taken(queues=["cpu"]) == {small.pk, big.pk}
        assert taken(room=Needs(8, 8 * GB, 0)) == {small.pk}
        assert taken(room=Needs(8, 16 * GB, 1)) == {small.pk, big.pk, gpu.pk}
        assert taken(queues=[]) == set()

    def test_a_large_job_that_waits_long_has_the_room_of_one_worker_kept_for_it(
        self, submit: Callable[..., Job], worker: Callable[..., Worker]
    ) -> None:
        resources = {"cpus": 4, "memory_bytes": 16 * GB}
        first, second = sorted(worker(resources=resources).name for _ in range(2))
        big = submit(placement=BIG)
        some, shared = submit(placement=Placement(needs=Needs(cpus=1))), submit()

        def taken(name: str) -> set[Any]:
            capacity = Capacity(resources)
            assert capacity.take(Needs(cpus=1)) is not None
            found = next_for(queues=["cpu"], tier=0, capacity=capacity, worker=name)
            return {one.job_id for one in found}

        assert taken(first) == taken(second) == {some.pk, shared.pk}
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE jobs_job SET queued_at = now() - make_interval(secs => %s) WHERE id = %s",
                [turns.PATIENCE + 1, big.pk],
            )
        assert taken(first) == {shared.pk}
        assert taken(second) == {some.pk, shared.pk}

    def test_work_is_overlooked_only_where_a_worker_could_take_it(
        self, submit: Callable[..., Job], worker: Callable[..., Worker]
    ) -> None:
        name = worker(resources={"cpus": 2}, slots=1).name
        submit(placement=Placement(needs=Needs(cpus=3)))
        submit(queue="gpu")
        fits = submit(placement=Placement(needs=Needs(cpus=2)))
        assert overlooked(0.0) == [(fits.pk, "cpu")]
        assert overlooked(60.0) == []
        held = attempts.claim(job_id=fits.pk, worker=name, tier=0, lease_seconds=60)
        assert held is not None
        submit()
        assert overlooked(0.0) == []


@pytest.mark.django_db
class TestWhatItWaitsFor:
    @pytest.mark.parametrize(
        ("about", "placement", "tier", "sentence"),
        [
            (None, Placement(), 0, "no worker is running"),
            (None, Placement("gpu"), 0, "no worker serves the queue gpu"),
            ({}, Placement(), 2, "it needs isolation tier 2, and the workers of the queue cpu have tier 0"),
            ({"cpus": 2}, BIG, 0, "no worker of the queue cpu has 4 processors"),
            ({"cpus": 8, "memory_bytes": 8 * GB}, BIG, 0, "no worker of the queue cpu has 16 GB of memory"),
            ({}, Placement(needs=Needs(gpus=1)), 0, "no worker of the queue cpu has 1 GPU"),
        ],
    )
    def test_a_job_that_no_worker_can_take_says_what_is_missing(
        self,
        submit: Callable[..., Job],
        worker: Callable[..., Worker],
        about: dict[str, Any] | None,
        placement: Placement,
        tier: int,
        sentence: str,
    ) -> None:
        if about is not None:
            worker(resources=about)
        job = submit(placement=placement)
        job.minimum_tier = tier
        assert sentence in why_it_waits(job)
        assert why_it_waits(job).endswith("It begins by itself when there is one.")

    def test_no_single_worker_has_all_of_it(
        self, submit: Callable[..., Job], worker: Callable[..., Worker]
    ) -> None:
        worker(resources={"cpus": 8, "memory_bytes": 8 * GB})
        worker(resources={"cpus": 2, "memory_bytes": 64 * GB})
        assert "has all of 4 processors, 16 GB of memory" in why_it_waits(submit(placement=BIG))

    def test_its_place_among_the_jobs_of_its_project(
        self, people: People, submit: Callable[..., Job], worker: Callable[..., Worker]
    ) -> None:
        worker()
        first = submit(project=people.project)
        for _ in range(2):
            submit(project=people.project, placement=Placement(priority=5))
        last = submit(project=people.project)
        submit(project=people.other_project, placement=Placement(priority=9))
        assert why_it_waits(first) == "Waits for a free slot; 2 jobs of this project go first."
        assert why_it_waits(last) == "Waits for a free slot; 3 jobs of this project go first."

    def test_what_others_hold_although_a_slot_is_free(
        self, submit: Callable[..., Job], worker: Callable[..., Worker]
    ) -> None:
        name = worker(resources={"cpus": 2}).name
        first, second = (submit(placement=Placement(needs=Needs(cpus=1.5))) for _ in range(2))
        assert attempts.claim(job_id=first.pk, worker=name, tier=0, lease_seconds=60) is not None
        assert why_it_waits(second) == "Waits for 1.5 processors to become free."
        assert why_it_waits(submit()) == "Waits for a free slot; 1 job of this project goes first."

    def test_its_time(self, submit: Callable[..., Job], worker: Callable[..., Worker]) -> None:
        worker()
        job = submit(not_before=now() + datetime.timedelta(minutes=1))
        assert why_it_waits(job) == "Waits for its time."


@pytest.mark.django_db(transaction=True)
def test_a_slot_keeps_to_what_the_worker_has_and_tells_the_program(
    submit: Callable[..., Job], make_supervisor: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Any] = []
    start = InProcessExecutor.start

    def watched(self: Any, plan: Any, folder: Any) -> Any:
        plans.append(plan)
        return start(self, plan, folder)

    monkeypatch.setattr(InProcessExecutor, "start", watched)
    fits = submit(placement=Placement(needs=Needs(cpus=2, memory_bytes=GB)))
    too_large = submit(placement=Placement(needs=Needs(cpus=3)))
    slots = Slots(make_supervisor(), ["cpu"], 1, {"cpus": 2, "memory_bytes": 2 * GB})
    assert slots.work_off() == 1
    assert (plans[0].memory_bytes, plans[0].env["OMP_NUM_THREADS"]) == (GB, "2")
    states = dict(Job.objects.values_list("pk", "state"))
    assert states == {fits.pk: "succeeded", too_large.pk: "queued"}
    assert slots.capacity.room() == slots.capacity.total


@pytest.mark.django_db(transaction=True)
def test_a_stale_ring_does_not_stand_in_the_way_of_a_fresh_one(
    submit: Callable[..., Job], make_supervisor: Callable[..., Supervisor]
) -> None:
    """After a long queue has been worked off, its rings are still to be heard: one of them finds what is new."""
    slots = Slots(make_supervisor(), ["cpu"], 1)
    first = submit()
    slots.answer(str(first.pk))
    assert Job.objects.get(pk=first.pk).state == "succeeded"
    second = submit()
    slots._looked_at = time.monotonic() + 60
    slots.answer(str(first.pk))
    assert Job.objects.get(pk=second.pk).state == "queued", "stale rings do not look again and again"
    slots._looked_at = 0.0
    slots.answer(str(first.pk))
    assert Job.objects.get(pk=second.pk).state == "succeeded"
