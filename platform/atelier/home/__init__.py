"""Pages that look over every app: the project list, a project's home, its settings, /patterns.

This is the composition root, so it may ask each app's queries; it never writes but through their actions.
Public: navigation.navigation_for (what the rail shows), urls.
"""
