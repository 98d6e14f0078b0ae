"""`manage.py up` for real: what it promises at start, while it runs, when it is killed, and at its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from runtime import children, postgres, recovery
from runtime.config import load
from runtime.home import Home, read_json
from runtime.processes import QUIET, SERVICES
from runtime.testing import Cluster
from tests.runtime.test_children import until
from tests.support.outside import remote_of, sockets_of
from tests.support.studio import Studio, temporary_home

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc"),
]


def generation(studio: Studio) -> set[tuple[int, float]]:
    """Every process of a running studio, the keeper aside: recorded ones, their trees and marked ones."""
    keeper = studio.process.pid if studio.process else 0
    return {one for one in recovery.orphans(Home(studio.home)) if one[0] != keeper}


def by_name(studio: Studio) -> dict[str, int]:
    """Name → pid from the studio's own record."""
    return {name: int(pid) for name, (pid, _) in read_json(Home(studio.home).processes)["processes"].items()}


@pytest.fixture(scope="module")
def second() -> Iterator[Studio]:
    """Another studio beside the session's, on another home and port. Its end must leave nothing behind."""
    other = Studio(temporary_home("a second"))
    try:
        yield other.start()
        running = generation(other)
        assert len(running) > len(SERVICES)
        assert other.process is not None
        other.process.send_signal(signal.SIGHUP)  # its terminal is closed; others are stopped by SIGTERM
        assert other.process.wait(60) == 0
        until(lambda: not any(children.is_alive(one) for one in running))
        assert not Home(other.home).endpoints.exists()
        until(lambda: other.output[-1] == "Stopped.")
    finally:
        other.discard()


def test_two_studios_run_side_by_side(studio: Studio, second: Studio) -> None:
    assert studio.call("GET", "/readyz")[0] == second.call("GET", "/readyz")[0] == 200
    token = second.token()
    assert second.call("GET", "/api/v1/me", token=token)[0] == 200
    assert studio.call("GET", "/api/v1/me", token=token)[0] == 401


def test_the_last_line_of_the_start_is_the_promised_one(second: Studio) -> None:
    assert second.output.count(f"Atelier is ready at {second.url}") == 1


def test_the_password_is_shown_once_and_kept_privately(second: Studio) -> None:
    kept = second.home / "admin-password"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    starts = "\n".join(second.earlier + second.output)  # another test may have restarted it
    assert starts.count(second.admin_password) == 1


def test_a_token_is_printed_and_nothing_else(second: Studio) -> None:
    assert re.fullmatch(r"atl_\S+\n", second.manage("token", "admin"))


def test_doctor_finds_nothing_to_mend(second: Studio) -> None:
    report = second.manage("doctor")
    assert "Nothing to mend." in report
    for name in ("tracking", "worker", "scheduler", "serving"):
        assert f"{name}: ready" in report


def test_a_connection_beyond_this_machine_would_be_seen(second: Studio) -> None:
    row = "0: {} {} 02 0:0 0:0 0 0 0 77 1 0 20"
    assert remote_of(row.format("0100007F:1F40", "0A0200C0:01BB")) == ("192.0.2.10", 443, 77)
    assert remote_of(row.format("0100007F:1F40", "0100007F:01BB")) is None
    assert remote_of(row.format("0100007F:1F40", "00000000:0000")) is None
    assert remote_of(row.format("0" * 32 + ":1F40", "0000000000000000FFFF00000100007F:01BB")) is None
    with socket.create_connection(("127.0.0.1", second.port)) as own:
        assert os.fstat(own.fileno()).st_ino in sockets_of([os.getpid()])


def test_no_process_may_talk_home(second: Studio) -> None:
    pids = by_name(second)
    for name in SERVICES:
        try:
            environment = Path(f"/proc/{pids[name]}/environ").read_bytes().decode().split("\0")
        except PermissionError:  # what holds the secrets of jobs and models is closed, to its own account too
            assert name in ("worker", "serving")
            assert os.geteuid() != 0
            continue
        for variable, value in QUIET.items():
            assert f"{variable}={value}" in environment, name


def test_no_secret_stands_on_a_command_line_or_in_an_environment(second: Studio) -> None:
    home = Home(second.home)
    secrets = [*home.passwords_kept().values(), home.secret_key_kept(), second.admin_password]
    for pid, _ in generation(second):
        for file in ("cmdline", "environ"):
            try:
                text = Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace")
            except OSError:
                continue  # it has just ended
            assert not any(secret in text for secret in secrets), (pid, file)


def test_nothing_listens_but_the_studios_port(second: Studio) -> None:
    listening = set()
    for pid, _ in generation(second):
        try:
            connections = psutil.Process(pid).net_connections(kind="inet")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        listening |= {one.laddr[:2] for one in connections if one.status == psutil.CONN_LISTEN}
    assert listening <= {("127.0.0.1", second.port)}


def test_a_second_keeper_on_the_same_home_is_refused(second: Studio) -> None:
    done = subprocess.run(
        second.argv("up", "--port", "1"), env=second.env(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "A studio already runs on the home" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_sentence(second: Studio) -> None:
    home = temporary_home("port")
    other = Studio(home, port=second.port)
    try:
        done = subprocess.run(
            other.argv("up", "--port", str(second.port)),
            env=other.env(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert f"Port {second.port} on 127.0.0.1 cannot be used" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        other.discard()


def test_a_killed_process_is_started_again(second: Studio) -> None:
    for name in ("scheduler", "valkey", "postgres"):
        before = by_name(second)[name]
        os.kill(before, signal.SIGKILL)
        until(lambda name=name, before=before: by_name(second).get(name) not in (None, before), 30)
    until(lambda: second.call("GET", "/readyz")[0] == 200, 60)


def test_an_idle_studio_leaves_no_zombie(second: Studio) -> None:
    assert second.process is not None
    below = psutil.Process(second.process.pid).children(recursive=True)

    def zombies() -> list[psutil.Process]:
        return [one for one in below if one.is_running() and one.status() == psutil.STATUS_ZOMBIE]

    until(lambda: not zombies())


@pytest.mark.timeout(600)
def test_a_killed_keeper_is_recovered_by_the_next_start(second: Studio) -> None:
    token = second.token()
    assert second.process is not None
    old = generation(second)
    records = read_json(Home(second.home).endpoints)
    folders = [Path(records[f"{name}_dir"]) for name in ("database", "broker", "socket")]
    second.process.kill()
    second.process.wait()
    (second.home / "run" / "prepared.json").unlink()  # as if a migration had come with an update
    second.start()  # the same home, at once
    assert any("backup of the database" in line for line in second.output)
    (backup,) = (second.home / "backups").iterdir()
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert backup.read_bytes().startswith(b"PGDMP")
    assert not any(children.is_alive(one) for one in old)
    assert not any(folder.exists() for folder in folders)
    assert second.call("GET", "/api/v1/me", token=token)[0] == 200
    assert not any("password:" in line for line in second.output)  # shown at the first start only


def test_a_command_without_a_running_studio_says_so(tmp_path: Path) -> None:
    absent = Studio(tmp_path / "home")
    done = subprocess.run(
        absent.argv("token", "admin"), env=absent.env(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "No studio runs on the home" in done.stderr
    assert "Traceback" not in done.stderr


def test_external_services_take_the_place_of_the_embedded_ones(studio_cluster: Cluster) -> None:
    with psycopg.connect(studio_cluster.superuser_url("postgres"), autocommit=True) as admin:
        admin.execute("create role outside login password 'out-side'")
        admin.execute("create database outside owner outside")
    home = temporary_home("external")
    services = {
        "ATELIER_DATABASE_URL": postgres.url(
            studio_cluster.database_dir, "outside", "out-side", "outside"
        ).replace("@/", "@localhost/"),
        "ATELIER_REDIS_URL": load().redis_url.replace("db=0", "db=1"),
        "ATELIER_ADMIN_PASSWORD": "a-given-password",
    }
    other = Studio(home, environment=services)
    try:
        other.start()
        assert not {"postgres", "valkey"} & set(by_name(other))
        assert not (home / "admin-password").exists()
        web = Path(f"/proc/{by_name(other)['web']}/environ").read_bytes()
        assert b"out-side" not in web
        assert b"a-given-password" not in web
        joined = Studio(home, port=other.port)  # another terminal, which knows nothing but the home
        assert other.call("GET", "/api/v1/me", token=joined.token())[0] == 200
        assert other.stop() == 0
    finally:
        other.discard()


def test_a_bad_setting_stops_the_start_with_a_sentence() -> None:
    home = temporary_home("bad")
    try:
        studio = Studio(home, environment={"ATELIER_DATABASE_URL": "mysql://x/y"})
        done = subprocess.run(studio.argv("up"), env=studio.env(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.strip().startswith("Atelier: ATELIER_DATABASE_URL must begin with postgresql://")
        assert not list(home.iterdir())
    finally:
        home.rmdir()


def test_it_works_when_launched_from_another_folder(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, os.path.relpath(root / "manage.py", tmp_path), "doctor"],
        cwd=tmp_path,
        env={**os.environ, "ATELIER_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "packages have the locked versions" in done.stdout
