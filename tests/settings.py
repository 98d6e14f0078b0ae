"""Django's settings of the test suite: the studio's own, on a throw-away home that is made first.

Children of a test read the plain settings; they find the same home through ATELIER_HOME.
"""

import os

from runtime.testing import prepare

TEST_HOME = prepare()

from atelier.settings import *  # noqa: E402, F403  (after the home is made: they read it)

os.environ["DJANGO_SETTINGS_MODULE"] = "atelier.settings"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, and only here
