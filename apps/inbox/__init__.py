"""Inbox: what a person should know (a job ended, a promotion waits, an alert fired), on the page and by e-mail."""
