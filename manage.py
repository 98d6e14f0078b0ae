#!/usr/bin/env python3
"""The only entry point of Atelier. It needs nothing but Python 3.11 to 3.14.

On first use it makes .venv beside itself, installs the locked requirements and re-executes itself in there.
`python3 manage.py up` starts a studio; without arguments it lists the commands.
"""

# Kept to syntax that old Pythons can read, so that they end with a sentence and not with a SyntaxError.
import os
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))


def main():
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        found = ".".join(str(number) for number in sys.version_info[:2])
        sys.exit(
            "Atelier needs Python 3.11 to 3.14, but this is Python " + found + ": "
            "run it as, for example, python3.12 manage.py."
        )
    if sys.platform == "win32":
        sys.exit("Atelier does not run on Windows itself: run it inside WSL2.")
    # The repository, and its source root `platform`. Without an __init__.py that folder does not hide the
    # standard library's module of the same name.
    for folder in (os.path.join(ROOT, "platform"), ROOT):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)

    from runtime.commands import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
