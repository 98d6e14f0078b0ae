"""Progress that is read from what programs print."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.executors.bars import BarReader
from adapters.executors.joblog import LogWriter


def read(*pieces: str) -> tuple[float, float, str] | None:
    reader, found = BarReader(), None
    for number, piece in enumerate(pieces):
        found = reader.read(piece.encode(), float(number)) or found
    return None if found is None else (found["step"], found["total"], found["message"])


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("\r 45%|████▌     | 45/100 [00:10<00:12,  4.5it/s]", (45, 100, "")),
        ("\rtrain:  45%|████▌     | 45/100 [00:10<00:12,  4.5it/s, loss=0.4]", (45, 100, "train")),
        ("\rDownloading: 50%|#####     | 1.50k/3.00k [00:01<00:01, 1.5kB/s]", (1500, 3000, "Downloading")),
        ("\rEpoch 3:  20%|██        | 2/10 [00:01<00:04,  1.9it/s, v_num=0]", (2, 10, "Epoch 3")),
        (
            "\x1b[1m12/100\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m━━━━━━\x1b[0m 5s 50ms/step - loss: 0.4\r",
            (12, 100, ""),
        ),
        (" 12/100 [==>...........................] - ETA: 5s - loss: 0.4\r", (12, 100, "")),
        ("Working... ━━━━━━━━╸━━━━━━━━━━━━  45% 0:00:10\r", (45, 100, "Working...")),
        ("Epoch 5/20 - loss: 0.31\n", (5, 20, "Epoch 5/20 - loss: 0.31")),
        ("Epoch [5/20], Step [1/3]\n", (5, 20, "Epoch [5/20], Step [1/3]")),
        ("step 12 of 100\n", (12, 100, "step 12 of 100")),
        ("[Fold 2/5] accuracy 0.9\n", (2, 5, "[Fold 2/5] accuracy 0.9")),
        ("\rprocessed 12/100 files", (12, 100, "processed")),
        ("\rdone 45.5 %", (45.5, 100, "done")),
    ],
)
def test_it_reads_the_common_bars(printed: str, expected: Any) -> None:
    assert read(printed) == expected


@pytest.mark.parametrize(
    "printed",
    [
        "nothing here\n",
        "saved to /data/12/100\n",
        "started on 12/10/2024\n",
        "\rat 12/10/2024",
        "accuracy 45 %\n",
        "ratio 3/4\n",
        "Epoch 30/20 - odd\n",
        "\r120/100",
        "steps 1/0\n",
        "9" * 5000 + "/" + "9" * 5000 + "\r",
        "\r 45%|███| 1.2.3/4.5.6 [00:10<",
    ],
)
def test_it_leaves_other_numbers_alone(printed: str) -> None:
    assert read(printed) is None


def test_bars_below_a_heading_are_parts_of_its_epoch() -> None:
    said = read("Epoch 3/10\n", " 25/100 [====>......] - ETA: 5s - loss: 0.4\r")
    assert said == (2.25, 10, "Epoch 3/10, 25/100")
    assert read("Epoch 1/4\n") == (0, 4, "Epoch 1/4")


def test_a_bar_that_comes_in_two_pieces_is_read() -> None:
    assert read("\r 45%|████▌     | 45/1", "00 [00:10<00:12]") == (45, 100, "")


def test_a_flood_is_looked_at_now_and_then() -> None:
    reader = BarReader()
    flood = b"x/y 1 %\n" * 8192
    assert reader.read(flood + b"\r5/10 ", 0.0) is not None
    assert reader.read(flood + b"\r6/10 ", 0.05) is None
    assert reader.read(flood + b"\r7/10 ", 0.2) is not None


def test_a_bar_that_rewrites_its_line_is_never_cut_as_too_long(tmp_path: Any) -> None:
    log = LogWriter(tmp_path / "log.txt")
    for n in range(2000):
        log.write(f"\r {n:4}/2000 {'#' * 40}".encode())
    log.write(b"\nafter\n")
    log.close()
    text = (tmp_path / "log.txt").read_text()
    assert "left out" not in text
    assert text.endswith(f"1999/2000 {'#' * 40}\nafter\n")
    assert len(text) < 10_000, "states that are overwritten at once need no place"


def test_the_last_state_of_a_bar_is_written_when_nothing_follows(tmp_path: Any) -> None:
    log = LogWriter(tmp_path / "log.txt")
    log.write(b"\r 1/3")
    log.write(b"\r 2/3")
    log.write(b"\r 3/3")
    log._state_at -= 1.0  # a second later
    log.settle()
    assert (tmp_path / "log.txt").read_bytes().endswith(b"\r 3/3")
    log.close()


def test_a_line_with_rewrites_is_still_cut_where_it_is_too_long(tmp_path: Any) -> None:
    log = LogWriter(tmp_path / "log.txt")
    log.write(b"a\r" + b"x" * 40_000 + b"\rshort\nnext\n")
    log.close()
    text = (tmp_path / "log.txt").read_text()
    assert "characters of this line left out" in text
    assert text.endswith("short\nnext\n")
