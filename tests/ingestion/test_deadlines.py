"""One timer ends the waits of all requests."""

from __future__ import annotations

import asyncio
import time

import pytest

from ingestion.deadlines import Deadlines

PATIENCE = 0.6


async def wait(deadlines: Deadlines, seconds: float) -> str:
    with deadlines.begin():
        await asyncio.sleep(seconds)
    return "done"


def test_waits_end_one_by_one_when_their_time_is_up() -> None:
    async def play() -> tuple[list[object], float]:
        deadlines = Deadlines(PATIENCE)
        long = [asyncio.create_task(wait(deadlines, 60)) for _ in range(3)]
        short = [asyncio.create_task(wait(deadlines, 0)) for _ in range(3)]
        await asyncio.sleep(PATIENCE / 2)
        later = asyncio.create_task(wait(deadlines, PATIENCE * 0.75))  # ends after the others have run out
        started = time.monotonic()
        found = await asyncio.gather(*long, *short, later, return_exceptions=True)
        return found, time.monotonic() - started

    found, seconds = asyncio.run(play())
    assert [type(outcome) for outcome in found[:3]] == [TimeoutError] * 3
    assert found[3:] == ["done"] * 4
    assert seconds < 10 * PATIENCE


def test_a_wait_that_is_over_leaves_its_task_alone() -> None:
    async def play() -> str:
        deadlines = Deadlines(PATIENCE)
        outcome = await wait(deadlines, 0)
        await asyncio.sleep(2 * PATIENCE)
        return outcome

    assert asyncio.run(play()) == "done"


def test_waits_after_a_rest_are_ended_too() -> None:
    async def play() -> None:
        deadlines = Deadlines(PATIENCE)
        await wait(deadlines, 0)
        await asyncio.sleep(PATIENCE)  # nobody waits: nobody looks
        await wait(deadlines, 60)

    with pytest.raises(TimeoutError):
        asyncio.run(play())


def test_a_task_that_is_cancelled_by_others_stays_cancelled() -> None:
    async def play() -> None:
        task = asyncio.create_task(wait(Deadlines(PATIENCE), 60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(play())


def test_other_errors_pass() -> None:
    async def play() -> None:
        with Deadlines(PATIENCE).begin():
            raise OSError("of the body")

    with pytest.raises(OSError, match="of the body"):
        asyncio.run(play())
