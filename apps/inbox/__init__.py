"""Inbox: what a person should know, on the page and by e-mail, and the way from data to a watched model.

A notification is a row written in the transaction of what it tells (docs/decisions/0008), so none is lost when a
process dies. Public modules: models, states, actions, news (who is told what), mailing, queries.
Job kind: inbox.send. Chores: inbox.digest, inbox.post, inbox.tidy.
"""
