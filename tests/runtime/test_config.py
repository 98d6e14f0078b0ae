"""Settings: what wins, what is refused and with which sentence, what stays secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime import records
from runtime.config import load
from runtime.errors import ConfigError, RuntimeFault
from runtime.home import Home, make_socket_folder, remove_socket_folder, write_private, write_record
from runtime.settings_table import PATIENCE, PATIENCE_THERE
from runtime.up import check_store
from runtime.web import bind

DATABASE = "postgresql://user:s%40cret@db.example:5433/studio?sslmode=require"


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"ATELIER_HOME": str(home), **more}


def test_nothing_set_is_a_studio_that_does_not_run(tmp_path: Path) -> None:
    config = load(environment(tmp_path))
    assert (config.host, config.port, config.public_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert not config.running
    with pytest.raises(ConfigError, match=r"start `manage\.py up`, or name the services"):
        config.require_services()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ATELIER_PORT", "80x", "whole number"),
        ("ATELIER_PORT", "70000", "from 1 to 65535"),
        ("ATELIER_WORKERS", "0", "from 1 to 256"),
        ("ATELIER_HOST", "a b", "must be an address"),
        ("ATELIER_DATABASE_URL", "mysql://h/d", "must begin with postgresql://"),
        ("ATELIER_DATABASE_URL", "postgresql://h", "names no database"),
        ("ATELIER_DATABASE_URL", "postgresql:///d", "names no host"),
        ("ATELIER_DATABASE_URL", "postgresql://h:port/d", "is not an address"),
        ("ATELIER_REDIS_URL", "amqp://h", "must begin with redis://"),
        ("ATELIER_REDIS_URL", "redis://", "names no host"),
        ("ATELIER_STORAGE_URL", "gs://bucket", "must begin with file:// or s3://"),
        ("ATELIER_STORAGE_URL", "s3://", "names no bucket"),
        ("ATELIER_STORAGE_URL", "file://relative", "absolute folder"),
        ("ATELIER_SECRET_KEY", "short", "at least 32"),
        ("ATELIER_PUBLIC_URL", "studio.example", "must look like https://"),
        ("ATELIER_PUBLIC_URL", "https://studio.example/path", "no path"),
        ("ATELIER_DATABASE_POOL", "many", "whole number"),
        ("ATELIER_DATABASE_POOL", "-3", "from 0 to 1000"),
        ("ATELIER_LEASE_SECONDS", "nan", "from 2 to 3600"),
        ("ATELIER_GRACE_SECONDS", "-1", "from 0.1 to 600"),
        ("ATELIER_DRAIN_SECONDS", "x", "number of seconds"),
        ("ATELIER_LOG_LEVEL", "LOUD", "not one of DEBUG"),
        ("ATELIER_DEBUG", "yes", "neither 0 nor 1"),
        ("ATELIER_INTERNAL_URL", "web:8000", "must look like http://"),
        ("ATELIER_QUEUES", "a b,;", "names of queues"),
        ("ATELIER_QUEUES", "GPU", "small letters"),
        ("ATELIER_CPUS", "many", "number from 0.1"),
        ("ATELIER_MEMORY_GB", "nan", "number from 0.1"),
        ("ATELIER_GPUS", "-1", "whole number from 0 to 64"),
        ("ATELIER_ALLOWED_HOSTS", "good.example, http://bad", "not a host name"),
        ("ATELIER_SMTP_URL", "http://mail.example", "must begin with smtp://"),
        ("ATELIER_SMTP_URL", "smtp://", "must name a host"),
        ("ATELIER_SMTP_URL", "smtp://mail.example/inbox", "no path"),
        ("ATELIER_SMTP_URL", "smtp://ada@mail.example", "a user and a password, or neither"),
        ("ATELIER_SMTP_URL", "smtp://mail.example?tls=1", "one option"),
        ("ATELIER_SMTP_URL", "smtp://mail.example?starttls=perhaps", "one option"),
        ("ATELIER_SMTP_URL", "smtp://ada:pw@mail.example?starttls=try", "without encryption"),
        ("ATELIER_SMTP_URL", "smtp://mail.example:port", "is not an address"),
        ("ATELIER_EMAIL_FROM", "Atelier", "must be an address"),
        ("ATELIER_EMAIL_FROM", "a@b.example\nBcc: c@d.example", "must be an address"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, name: str, value: str, reason: str
) -> None:
    sender = {"ATELIER_EMAIL_FROM": "atelier@example.org"} if name == "ATELIER_SMTP_URL" else {}
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path, **{**sender, name: value}))
    assert str(caught.value).startswith(name)
    assert reason in str(caught.value)


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="which is a file"):
        load(environment(file))


def test_a_refusal_never_repeats_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path, ATELIER_DATABASE_URL="mysql://user:hunter22@h/d"))
    assert "hunter22" not in str(caught.value)


def test_external_services_are_taken_from_the_environment(tmp_path: Path) -> None:
    config = load(
        environment(tmp_path, ATELIER_DATABASE_URL=DATABASE, ATELIER_REDIS_URL="rediss://:pw@cache:6380/1")
    )
    assert config.running
    assert not config.embedded_database
    assert not config.embedded_redis
    django = config.django_database()
    assert (django["HOST"], django["PORT"], django["NAME"]) == ("db.example", "5433", "studio")
    assert (django["USER"], django["PASSWORD"]) == ("user", "s@cret")
    there = [f"-c{name}={value}" for name, value in PATIENCE_THERE.items()]
    assert django["OPTIONS"] == {
        **PATIENCE,
        "sslmode": "require",
        "options": " ".join([*there, "-csearch_path=atelier"]),
    }
    assert config.mlflow_database_url.startswith("postgresql+psycopg://user:s%40cret@db.example:5433/studio?")
    assert "search_path%3Dmlflow" in config.mlflow_database_url
    assert "search_path%3Doptuna" in config.optuna_database_url
    assert config.broker_url == "rediss://:pw@cache:6380/1"


def test_a_socket_broker_gets_the_form_that_celery_wants(tmp_path: Path) -> None:
    config = load(environment(tmp_path, ATELIER_REDIS_URL="unix://:p%2Fw@/run/v.sock?db=1"))
    assert config.broker_url == "redis+socket://:p%2Fw@/run/v.sock?virtual_host=1"


def test_passwords_stay_out_of_the_representation(tmp_path: Path) -> None:
    config = load(environment(tmp_path, ATELIER_DATABASE_URL=DATABASE, ATELIER_SECRET_KEY="k" * 40))
    assert "s%40cret" not in repr(config)
    assert "kkkk" not in repr(config)


@pytest.fixture
def described(tmp_path: Path) -> Home:
    """A home as a keeper leaves it for others to join."""
    home = Home(tmp_path / "home")
    home.make()
    folders = {name: tmp_path / name for name in ("database_dir", "broker_dir", "socket_dir")}
    addresses = records.service_addresses(
        home, database_dir=folders["database_dir"], broker_dir=folders["broker_dir"]
    )
    records.write_services(home, addresses)
    write_record(
        home.endpoints,
        {"port": "8123", "slots": "3", "keeper_pid": 1, "allowed_hosts": "studio.example", "generation": "g"}
        | {name: str(path) for name, path in folders.items()},
    )
    return home


def test_another_terminal_joins_through_the_records(described: Home) -> None:
    config = load(environment(described.path)).require_services()
    assert (config.port, config.slots, config.generation) == (8123, 3, "g")
    assert config.django_database()["USER"] == "atelier"
    assert "studio.example" in config.allowed_hosts
    assert config.sockets["tracking"].endswith("socket_dir/tracking.sock")


def test_the_environment_wins_over_the_records(described: Home) -> None:
    config = load(environment(described.path, ATELIER_PORT="9001", ATELIER_DATABASE_URL=DATABASE))
    assert config.port == 9001
    assert config.django_database()["HOST"] == "db.example"


def test_up_leaves_the_records_of_the_last_start_aside(described: Home) -> None:
    config = load(environment(described.path), join=False)
    assert config.port == 8000
    assert not config.running


def test_the_records_hold_no_password(described: Home) -> None:
    passwords = described.passwords_kept().values()
    text = described.endpoints.read_text()
    assert not any(password in text for password in passwords)


def test_secrets_are_private_files_in_a_private_folder(described: Home) -> None:
    described.secret_key_kept()
    assert stat.S_IMODE(described.secrets.stat().st_mode) == 0o700
    for path in described.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_passwords_and_the_key_are_kept_over_starts(described: Home) -> None:
    again = Home(described.path)
    assert again.passwords_kept() == described.passwords_kept()
    assert again.secret_key_kept() == described.secret_key_kept()


def test_a_damaged_record_is_named(described: Home) -> None:
    write_private(described.endpoints, "{half")
    with pytest.raises(ConfigError, match=r"endpoints\.json is damaged"):
        load(environment(described.path))


def test_socket_folders_are_private_short_and_removed_exactly(tmp_path: Path) -> None:
    folder = make_socket_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(str(folder / "tracking.sock")) < 107
    (folder / "m").mkdir()
    remove_socket_folder(folder)
    assert not folder.exists()
    other = tmp_path / "not-ours"
    other.mkdir()
    remove_socket_folder(other)
    assert other.exists()


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(RuntimeFault, match="is not an address of this machine"):
        bind("203.0.113.9", 8399)


def test_an_object_store_that_cannot_be_written_stops_the_start() -> None:
    with pytest.raises(
        ConfigError, match=r"^ATELIER_STORAGE_URL names /proc/nothing, which cannot be written"
    ):
        check_store("file:///proc/nothing")


def test_the_mail_server_and_its_sender_go_together_and_stay_secret(tmp_path: Path) -> None:
    url = "smtp://ada:s3cret@mail.example:587"
    with pytest.raises(ConfigError, match="ATELIER_EMAIL_FROM is missing"):
        load(environment(tmp_path, ATELIER_SMTP_URL=url))
    config = load(environment(tmp_path, ATELIER_SMTP_URL=url, ATELIER_EMAIL_FROM="Atelier <a@b.example>"))
    assert (config.smtp_url, config.email_from) == (url, "Atelier <a@b.example>")
    assert "s3cret" not in repr(config)
    assert load(environment(tmp_path)).smtp_url == ""


def test_doctor_says_whether_the_mail_server_takes_us(tmp_path: Path) -> None:
    from runtime import services_check
    from tests.support.smtp import SmtpSink

    assert services_check.mail(load(environment(tmp_path)))[0] == "note"
    with SmtpSink(login=("ada", "s3cret")) as sink:
        for password, level in (("s3cret", "ok"), ("wr0ng", "bad")):
            url = sink.url.replace("//", f"//ada:{password}@") + "?starttls=never"
            config = load(environment(tmp_path, ATELIER_SMTP_URL=url, ATELIER_EMAIL_FROM="a@b.example"))
            answer = services_check.mail(config)
            assert answer[0] == level, answer
            assert password not in " ".join(answer)
        assert sink.letters == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"ATELIER_HOST": "0.0.0.0", "ATELIER_PORT": "8100"}, "http://127.0.0.1:8100"),
        ({"ATELIER_PUBLIC_URL": "https://studio.example"}, "https://studio.example"),
        (
            {"ATELIER_PUBLIC_URL": "https://studio.example", "ATELIER_INTERNAL_URL": "http://web:8000/"},
            "http://web:8000",
        ),
    ],
)
def test_jobs_reach_web_where_this_machine_sees_it(
    tmp_path: Path, settings: dict[str, str], expected: str
) -> None:
    assert load(environment(tmp_path, **settings)).internal_url == expected


def test_a_worker_says_what_it_offers(tmp_path: Path) -> None:
    config = load(
        environment(
            tmp_path,
            ATELIER_QUEUES="gpu, cpu,gpu",
            ATELIER_CPUS="2.5",
            ATELIER_MEMORY_GB="4",
            ATELIER_GPUS="0",
        )
    )
    assert (config.queues, config.cpus, config.memory_bytes, config.gpus) == (
        ("gpu", "cpu"),
        2.5,
        4_000_000_000,
        0,
    )
    assert load(environment(tmp_path)).cpus is None


def test_a_database_elsewhere_is_given_up_in_time_unless_its_address_says_otherwise(tmp_path: Path) -> None:
    named = environment(
        tmp_path,
        ATELIER_DATABASE_URL="postgresql://u:p@db/studio?connect_timeout=3&options=-ctcp_keepalives_idle%3D60",
        ATELIER_REDIS_URL="redis://r",
    )
    options = load(named).django_database()["OPTIONS"]
    assert options["connect_timeout"] == "3"
    assert options["tcp_user_timeout"] == PATIENCE["tcp_user_timeout"]
    assert "-ctcp_keepalives_idle=60 -ctcp_keepalives_interval=5 " in options["options"]
    socket = environment(
        tmp_path, ATELIER_DATABASE_URL="postgresql://u:p@/studio?host=/run/pg", ATELIER_REDIS_URL="redis://r"
    )
    assert "tcp_user_timeout" not in load(socket).django_database()["OPTIONS"]
