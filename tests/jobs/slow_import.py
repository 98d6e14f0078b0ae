"""A program that hangs before its first line."""

import os
import time

if os.environ.get("ATELIER_TEST_HANG"):
    time.sleep(60)


def main(ctx: object) -> dict[str, object]:
    """Never reached in time."""
    return {}
