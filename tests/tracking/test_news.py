"""News for the studio: new runs behind the client's back, the rest in order."""

from __future__ import annotations

import asyncio

from gateway.mlflow.news import AT_ONCE, News


def test_what_happened_to_a_run_comes_behind_the_news_that_it_was_made() -> None:
    async def play() -> list[str]:
        news, told, gate = News(), [], asyncio.Event()

        async def say(what: str, wait: bool = False) -> None:
            if wait:
                await gate.wait()
            told.append(what)

        await news.of_new_run("a", "", say("a is made", wait=True))
        await news.of_new_run("b", "a", say("b, its child, is made"))
        await news.of_run("a", say("a is over"))
        await news.of_run("c", say("c, known long ago, is over"))
        assert told == ["c, known long ago, is over"]
        gate.set()
        await news.settled("b")
        await news.close()
        return told

    told = asyncio.run(play())
    assert told[:2] == ["c, known long ago, is over", "a is made"]
    assert set(told[2:]) == {"a is over", "b, its child, is made"}


def test_too_much_at_once_is_passed_on_before_the_client_goes_on() -> None:
    async def play() -> tuple[int, int]:
        news, told, gate = News(), [], asyncio.Event()

        async def wait() -> None:
            await gate.wait()
            told.append("later")

        async def broken() -> None:
            told.append("at once")
            raise RuntimeError("away")

        for number in range(AT_ONCE):
            await news.of_new_run(str(number), "", wait())
        await news.of_new_run("more", "", broken())
        before = len(told)
        gate.set()
        await news.close()
        return before, len(told)

    assert asyncio.run(play()) == (1, AT_ONCE + 1)
