"""`manage.py restore`: goes back to a dump, or leaves everything as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime import children, postgres, prepare, restore
from runtime.errors import RuntimeFault
from runtime.home import Home, make_socket_folder, remove_socket_folder
from tests.faults.servers import Servers


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.stop()


def names(servers: Servers) -> list[str]:
    """What the database holds, asked of a server that is started for that."""
    account = servers.account
    folder = make_socket_folder((account.uid, account.gid) if account else None)
    command = servers.server.command(folder)
    process = children.spawn(command, servers.home.logs / "postgres.log")
    try:
        address = postgres.url(folder, postgres.SUPERUSER, servers.passwords["superuser"])
        postgres.wait_until_ready(address, process, data=servers.server.data)
        with psycopg.connect(address) as connection:
            return [name for (name,) in connection.execute("select name from atelier.things order by 1")]
    finally:
        children.stop(process, command)
        remove_socket_folder(folder)


def test_it_goes_back_saves_what_it_replaces_and_has_the_next_start_migrate(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.make()
    home, address = servers.home, servers.superuser()
    monkeypatch.setenv("ATELIER_HOME", str(home.path))
    monkeypatch.setattr(
        restore, "service_account", lambda _: servers.account
    )  # the suite's, in its own folder
    with psycopg.connect(address, autocommit=True) as connection:
        # By months, as the histories are: what pg_restore --clean cannot take apart.
        connection.execute(
            "create table atelier.things (name text, at date, primary key (name, at)) partition by range (at)"
        )
        connection.execute(
            "create table atelier.things_1 partition of atelier.things for values from ('2026-01-01') to ('2027-01-01')"
        )
        connection.execute("insert into atelier.things values ('then', '2026-05-05')")
        dump = prepare.save(home, address, embedded=True)
        assert dump is not None
        connection.execute("insert into atelier.things values ('later', '2026-06-06')")
    prepared = home.run / "prepared.json"
    prepared.write_text("{}")
    damaged = home.backups / "damaged.dump"
    damaged.write_bytes(dump.read_bytes()[:-200])
    servers.kill_database()

    for file, sentence in ((damaged, "cannot be read"), (home.path / "none.dump", "There is no file")):
        with pytest.raises(RuntimeFault, match=sentence):
            restore.main(["restore", str(file)])
        assert prepared.exists()
    assert names(servers) == ["later", "then"]

    assert restore.main(["restore", str(dump)]) == 0
    assert names(servers) == ["then"]
    assert not prepared.exists()
    (saved,) = home.backups.glob("before-restoring-*.dump")
    for year in range(2030, 2036):  # so many newer ones that it would be the next to go
        (home.backups / f"before-restoring-{year}0101-000000.dump").write_text("newer")
    assert restore.main(["restore", str(saved), "--home", str(home.path)]) == 0
    assert names(servers) == ["later", "then"], "the way back is kept"


def test_a_home_without_a_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "new"))
    monkeypatch.setattr(restore, "_check", lambda file: None)
    monkeypatch.setattr(restore, "service_account", lambda home: None)
    file = tmp_path / "some.dump"
    file.write_bytes(b"PGDMP")
    with pytest.raises(RuntimeFault, match="has no database yet"):
        restore.main(["restore", str(file)])
    assert not (Home(tmp_path / "new").path / "postgres").exists()
