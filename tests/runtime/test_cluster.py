"""The throw-away databases of the suite are what a studio runs on."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from runtime import postgres
from runtime.config import load
from runtime.errors import RuntimeFault
from runtime.testing import Cluster


def test_the_database_answers_as_an_ordinary_role(studio_cluster: Cluster) -> None:
    with psycopg.connect(load().database_url) as connection:
        row = connection.execute(
            "select current_user::text, current_schema()::text, rolsuper, rolcreaterole "
            "from pg_roles where rolname = current_user"
        ).fetchone()
    assert row == ("atelier", "atelier", False, False)


def test_the_database_does_not_listen_on_tcp(studio_cluster: Cluster) -> None:
    with psycopg.connect(load().database_url) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_a_wrong_password_is_refused(studio_cluster: Cluster) -> None:
    address = postgres.url(studio_cluster.database_dir, "atelier", "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address)


def test_data_of_a_home_that_was_deleted_are_named_at_once(studio_cluster: Cluster) -> None:
    address = postgres.url(studio_cluster.database_dir, postgres.SUPERUSER, "another", "postgres")
    data = postgres.Postgres(studio_cluster.home, None).data
    with pytest.raises(RuntimeFault, match=f"The database in {data} was made with other passwords"):
        postgres.wait_until_ready(address, studio_cluster._running[0][0], data=data)


def test_no_rule_trusts_anybody(studio_cluster: Cluster) -> None:
    with psycopg.connect(studio_cluster.superuser_url()) as connection:
        methods = connection.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
    assert {method for (method,) in methods} <= {"scram-sha-256", "reject"}


def test_roles_cannot_enter_the_maintenance_database(studio_cluster: Cluster) -> None:
    parts = urlsplit(load().database_url)
    address = postgres.url(studio_cluster.database_dir, "atelier", str(parts.password), "postgres")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(address)


def test_the_socket_folders_are_closed(studio_cluster: Cluster) -> None:
    for folder in (studio_cluster.database_dir, studio_cluster.broker_dir, load().socket_dir):
        assert folder is not None
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700


def test_the_server_does_not_run_as_root(studio_cluster: Cluster) -> None:
    data = postgres.Postgres(studio_cluster.home, None).data
    location = studio_cluster.home.path / "data-location"
    if location.exists():
        data = Path(location.read_text().strip()) / "postgres"
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    assert os.stat(f"/proc/{pid}").st_uid != 0


def test_the_broker_wants_its_password(studio_cluster: Cluster) -> None:
    assert redis.Redis.from_url(load().redis_url).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(unix_socket_path=str(studio_cluster.broker_dir / "valkey.sock")).ping()


def test_mlflow_rows_can_be_written_but_its_tables_not_changed(mlflow_schema: Cluster) -> None:
    with psycopg.connect(load().database_url) as connection:
        connection.execute("insert into mlflow.workspaces (name) values ('p-test')")
        assert connection.execute("select count(*) from mlflow.runs").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("drop table mlflow.runs")


@pytest.mark.django_db
def test_django_tables_lie_in_their_own_schema() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select schemaname from pg_tables where tablename = 'django_migrations'")
        assert cursor.fetchall() == [("atelier",)]


def test_a_second_start_of_the_same_cluster_is_nothing(studio_cluster: Cluster) -> None:
    studio_cluster.start()
    assert postgres.is_ready(studio_cluster.superuser_url())
