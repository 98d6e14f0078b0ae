"""Processes of a studio: its settings, embedded PostgreSQL and Valkey, the keeper behind `up`, the doctor.

Public modules: `config` (what a process knows about its studio), `home` (folders, secrets, records),
`postgres` and `valkey` (embedded servers), `provision` (database, roles, schemas), `processes` (what runs),
`keeper` (who watches it), `doctor`, `testing` (a throw-away studio for the test suite).
"""
