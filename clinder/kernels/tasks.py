"""Two ways to wait that asyncio has in more words. Knows nothing of kernels."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[..., _T], *args: Any) -> _T:
    """Return what work returns, which may block."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


async def first_of(*work: Awaitable[Any]) -> None:
    """Return when the first of these has ended, and raise what ended it; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
