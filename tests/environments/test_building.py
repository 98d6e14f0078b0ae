"""Building with the real uv from a folder of wheels: resolved once, shared, removed, built again; and who waits."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.environments import actions, places, uses
from apps.environments.models import Environment, EnvironmentFolder
from apps.environments.tasks import purge
from apps.environments.usage import package_bytes
from apps.jobs.actions import request_cancel, submit
from apps.jobs.models import Job, Outbox
from apps.jobs.waiting import why_it_waits
from foundation.clock import now
from foundation.errors import AtelierError
from tests.support.datasets import run_inline
from tests.support.people import People

pytestmark = pytest.mark.django_db
Built = Callable[..., Environment]


def use(environment: Environment) -> Job:
    """A job in it, as a run's action submits one."""
    locked = uses.lock(environment)
    job = submit(
        kind="environments.build",
        project=environment.project,
        created_by=None,
        spec={"environment": str(environment.pk), "requirements": ""},
        title="Uses it",
        not_before=uses.not_before(locked),
    )
    uses.bind(job=job, environment=locked)
    return job


def test_it_is_resolved_installed_and_described(built: Built, home: Path) -> None:
    made = built("boost", "tinyboost\n")
    assert (made.state, made.reason) == ("ready", "")
    assert made.packages == [
        {"name": "tinyboost", "version": "2.0"},
        {"name": "tinymath", "version": "2.1"},
    ]
    assert "tinyboost==2.0" in made.lock
    assert "--hash=sha256:" in made.lock
    assert made.size
    assert made.size > 1000
    python = home / made.digest / "bin" / "python"
    said = subprocess.run(
        [python, "-I", "-c", "import tinyboost, sys; print(tinyboost.VERSION, sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == ["2.0", str(home / made.digest)]
    assert list((home / made.digest).rglob("tinyboost*.pyc"))  # nobody can write byte code later
    folder = EnvironmentFolder.objects.get()
    assert (folder.digest, folder.size) == (made.digest, made.size)


def test_the_same_requirements_are_built_once(people: People, built: Built) -> None:
    made = built("boost", "tinyboost>=2\ntinymath")
    again = actions.ensure(
        actor=people.actor("contributor"),
        project=people.project,
        given={"requirements": "tinymath # any\ntinyboost >= 2"},
    )
    assert again.pk == made.pk
    named = actions.ensure(actor=people.actor("contributor"), project=people.project, given="boost")
    assert named.pk == made.pk
    assert Job.objects.count() == 1


def test_other_requirements_of_the_same_packages_share_a_folder(built: Built, home: Path) -> None:
    one, other = built("one", "tinymath==2.1"), built("other", "tinymath>2")
    assert one.digest == other.digest
    assert one.request != other.request
    assert places.digests_here() == [one.digest]
    assert not list(home.glob(".waste-*"))


@pytest.mark.parametrize(
    ("requirements", "code", "words"),
    [
        ("nosuchpackage", "environment.unresolvable", "nosuchpackage was not found"),
        (
            "tinyboost==2.0\ntinymath<2",
            "environment.unresolvable",
            "And because you require tinymath<2, so nothing fits.",
        ),
        (f"tinymath==2.1 --hash=sha256:{'0' * 64}", "environment.hash", "None of the files of tinymath==2.1"),
    ],
)
def test_what_does_not_resolve_says_why(built: Built, requirements: str, code: str, words: str) -> None:
    made = built("bad", requirements)
    assert (made.state, made.error_code) == ("failed", code)
    assert words in made.reason
    assert not EnvironmentFolder.objects.exists()
    assert not places.digests_here()


def test_a_run_waits_for_its_environment(people: People, built: Built) -> None:
    actor = people.actor("contributor")
    environment = actions.ensure(actor=actor, project=people.project, given={"requirements": "tinymath"})
    assert environment.name.startswith("env-")
    assert environment.is_building
    job = use(environment)
    assert why_it_waits(job) == f"Waits for the environment {environment.name} to be built."
    run_inline(environment.job)
    job.refresh_from_db()
    assert (job.state, job.not_before, job.progress) == ("queued", None, {})
    assert Outbox.objects.filter(job=job, due_at__lte=now()).count() == 1
    environment.refresh_from_db()
    assert use(environment).not_before is None
    interpreter = uses.interpreter_for(job)
    assert interpreter == str(places.folder_of(environment.digest) / "bin" / "python")


def test_a_run_fails_with_the_words_of_its_environment(people: People, built: Built) -> None:
    actor = people.actor("contributor")
    environment = actions.ensure(actor=actor, project=people.project, given={"requirements": "nosuchpackage"})
    job = use(environment)
    run_inline(environment.job)
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("failed", "environment.failed")
    assert f"The environment {environment.name} could not be built: " in job.reason
    assert "nosuchpackage was not found" in job.reason
    assert not Outbox.objects.filter(job=job).exists()
    environment.refresh_from_db()
    with pytest.raises(AtelierError, match="could not be built"):
        actions.ensure(actor=actor, project=people.project, given=environment.name)


def test_a_failed_one_is_built_again_on_request(people: People, built: Built, index: Path) -> None:
    from tests.environments.conftest import wheel

    actor = people.actor("contributor")
    bad = built("later", "tinylate")
    assert bad.state == "failed"
    wheel(index, "tinylate", "0.1")
    again = actions.ensure(actor=actor, project=people.project, given={"requirements": "tinylate"})
    assert again.pk == bad.pk
    assert again.is_building
    run_inline(again.job)
    again.refresh_from_db()
    assert again.state == "ready"
    twin = built("same", "tinylate")
    Environment.objects.filter(pk=bad.pk).update(state="failed")
    assert actions.ensure(actor=actor, project=people.project, given={"requirements": "tinylate"}) == twin
    Environment.objects.filter(pk=bad.pk).update(state="ready")
    with pytest.raises(AtelierError) as caught:
        actions.build_again(actor=actor, environment=again)
    assert caught.value.code == "environment.not_failed"


def test_a_cancelled_build_ends_what_waits(people: People, built: Built) -> None:
    actor = people.actor("contributor")
    environment = actions.ensure(actor=actor, project=people.project, given={"requirements": "tinymath"})
    job = use(environment)
    request_cancel(job=environment.job, actor=actor)
    environment.refresh_from_db()
    job.refresh_from_db()
    assert (environment.state, job.state) == ("failed", "failed")
    assert "was cancelled" in job.reason


def test_another_host_installs_the_lock(people: People, built: Built) -> None:
    environment = built("boost", "tinyboost==1.0")
    job = use(environment)
    places.remove(environment.digest)
    assert not places.is_here(environment.digest)
    interpreter = uses.interpreter_for(job)
    assert Path(interpreter).exists()
    assert places.is_here(environment.digest)
    assert EnvironmentFolder.objects.get().digest == environment.digest


def test_a_host_that_cannot_install_it_gives_the_job_back(built: Built, index: Path) -> None:
    environment = built("boost", "tinyboost==1.0")
    job = use(environment)
    places.remove(environment.digest)
    for path in index.iterdir():
        path.unlink()
    with pytest.raises(AtelierError) as caught:
        uses.interpreter_for(job)
    assert caught.value.code == "environment.not_here"
    assert caught.value.status == 503
    assert not places.is_here(environment.digest)


def test_what_nobody_uses_leaves_the_disk_and_comes_back(
    people: People, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = built("boost", "tinyboost==1.0")
    purge()
    assert places.is_here(environment.digest)  # just used
    old = now() - datetime.timedelta(days=31)
    EnvironmentFolder.objects.update(used_at=old)
    job = use(environment)
    purge()
    assert places.is_here(environment.digest)  # a job waits for it
    request_cancel(job=job)
    purge()
    assert not places.is_here(environment.digest)
    assert not EnvironmentFolder.objects.exists()
    environment.refresh_from_db()
    assert environment.state == "ready"
    assert Path(uses.interpreter_for(use(environment))).exists()


def test_the_trash_waits_for_runs_and_frees_the_disk(people: People, built: Built) -> None:
    actor = people.actor("contributor")
    environment = built("boost", "tinyboost==1.0")
    job = use(environment)
    with pytest.raises(AtelierError, match="A run uses boost right now"):
        actions.trash_environment(actor=actor, environment=environment)
    request_cancel(job=job)
    actions.trash_environment(actor=actor, environment=environment)
    EnvironmentFolder.objects.update(used_at=now() - datetime.timedelta(hours=2))
    purge()
    assert not places.is_here(environment.digest)
    with pytest.raises(AtelierError) as caught:
        uses.lock(environment)
    assert caught.value.code == "environment.trashed"
    assert actions.restore_environment(actor=actor, environment=environment).deleted_at is None


def test_it_is_off_where_own_code_is_off(people: People) -> None:
    with pytest.raises(AtelierError) as caught:
        actions.ensure(
            actor=people.actor("owner"), project=people.project, given={"requirements": "tinymath"}
        )
    assert caught.value.code == "environment.not_allowed"
    assert not Environment.objects.exists()


@pytest.mark.parametrize("given", [3, {}, {"requirements": "six", "name": "x"}, {"conda": "x"}, {"name": 4}])
def test_another_form_is_refused(people: People, allowed: None, given: object) -> None:
    with pytest.raises(AtelierError) as caught:
        actions.ensure(actor=people.actor("contributor"), project=people.project, given=given)
    assert caught.value.code == "environment.invalid"
    assert caught.value.detail["field"] == "environment"


def test_its_bytes_count_for_the_team(people: People, built: Built) -> None:
    one, other = built("one", "tinymath==2.1"), built("other", "tinymath>2")
    assert one.digest == other.digest
    assert package_bytes([people.project.pk]) == {people.project.pk: {"environments": float(one.size or 0)}}
    assert package_bytes([people.other_project.pk]) == {}
    places.remove(one.digest)
    assert package_bytes([people.project.pk]) == {}
