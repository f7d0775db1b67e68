"""Two ways to wait with asyncio. This module knows no kernels."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[..., _T], *args: Any) -> _T:
    """Call a function that may block in a thread, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


async def first_of(*work: Awaitable[Any]) -> None:
    """Wait until the first of these has ended, and cancel the others. Raises the exception of the first."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
