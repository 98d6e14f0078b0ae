"""Schedules: a cron expression in a time zone that starts something of another app, exactly once per due time."""
