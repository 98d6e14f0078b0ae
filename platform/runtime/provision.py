"""Database, roles, schemas and grants of a studio. Every step may be repeated.

Embedded: one database with the schemas atelier (Django), mlflow and optuna, each owned by its own role
without superuser rights. Role atelier may read and write the rows of schema mlflow, now and for tables that
MLflow adds later, because it makes runs by SQL and reads what was logged; it may not change that schema.
External: one role may own all three schemas.
"""

from __future__ import annotations

from typing import Any

from runtime.errors import RuntimeFault

SCHEMAS = ("atelier", "mlflow", "optuna")


def provision_cluster(admin_url: str, *, database: str, passwords: dict[str, str]) -> None:
    """Roles and the database of an embedded cluster. `admin_url` names the superuser and database postgres.

    `passwords` has one entry per role of SCHEMAS.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(admin_url, autocommit=True) as connection:
        existing = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for role in SCHEMAS:
            verb = "alter" if role in existing else "create"
            connection.execute(
                sql.SQL(
                    verb + " role {} with login nosuperuser nocreatedb nocreaterole noreplication password {}"
                ).format(sql.Identifier(role), sql.Literal(passwords[role]))
            )
        found = connection.execute("select 1 from pg_database where datname = %s", [database]).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("create database {} template template0").format(sql.Identifier(database))
            )
        for closed in ("postgres", "template1", database):
            connection.execute(
                sql.SQL("revoke all on database {} from public").format(sql.Identifier(closed))
            )
        for role in SCHEMAS:
            connection.execute(
                sql.SQL("grant connect, temporary on database {} to {}").format(
                    sql.Identifier(database), sql.Identifier(role)
                )
            )
            connection.execute(
                sql.SQL("alter role {0} in database {1} set search_path = {0}").format(
                    sql.Identifier(role), sql.Identifier(database)
                )
            )


def provision_schemas(admin_url: str) -> None:
    """Schemas and grants inside the database that `admin_url` (as superuser) names."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(admin_url) as connection:
        connection.execute("revoke all on schema public from public")
        for schema in SCHEMAS:
            name = sql.Identifier(schema)
            connection.execute(sql.SQL("create schema if not exists {0} authorization {0}").format(name))
        connection.execute("grant usage on schema mlflow to atelier")
        connection.execute("grant select, insert, update, delete on all tables in schema mlflow to atelier")
        connection.execute("grant usage, select on all sequences in schema mlflow to atelier")
        connection.execute(
            "alter default privileges for role mlflow in schema mlflow "
            "grant select, insert, update, delete on tables to atelier"
        )
        connection.execute(
            "alter default privileges for role mlflow in schema mlflow "
            "grant usage, select on sequences to atelier"
        )


def provision_external(url: str) -> None:
    """The three schemas in an external database, made by the role that will own them.

    Raises RuntimeFault when the database cannot be reached or the role may not create schemas.
    """
    import psycopg
    from psycopg import sql

    connection: psycopg.Connection[Any]
    try:
        connection = psycopg.connect(url, connect_timeout=10, autocommit=True)
    except psycopg.OperationalError as error:
        raise RuntimeFault(
            f"The database named in ATELIER_DATABASE_URL cannot be reached: {first_line(error)}"
        ) from error
    with connection:
        if connection.info.server_version < 150000:
            raise RuntimeFault(
                "The database named in ATELIER_DATABASE_URL is PostgreSQL "
                f"{connection.info.server_version // 10000}, but Atelier needs 15 or newer."
            )
        for schema in SCHEMAS:
            found = connection.execute("select 1 from pg_namespace where nspname = %s", [schema]).fetchone()
            if found:
                continue
            try:
                connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            except psycopg.errors.InsufficientPrivilege as error:
                raise RuntimeFault(
                    f"The role in ATELIER_DATABASE_URL may not create the schema {schema}: "
                    "grant it CREATE on the database, or make the schemas atelier, mlflow and optuna for it."
                ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text: server messages repeat themselves below it."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
