"""Random trials of start, run and both steps of the Action: ``python -m tests.soak 2000 --seed 7``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.soak.plan import draw
from tests.soak.trial import run

PARALLEL = 16  # they mostly wait


def failures(seeds: Iterable[str], parallel: int = PARALLEL) -> Iterator[str]:
    """Run the trials of these seeds; yield what is wrong with each that fails, and how to run it again."""
    with ThreadPoolExecutor(parallel) as pool:
        for seed, faults in pool.map(lambda seed: (seed, run(seed)), seeds):
            if faults:
                again = f"python -m tests.soak --trial {seed}"
                yield "\n  ".join([f"{again}\n  {draw(seed)}", *faults])


def seeds(count: int, seed: int) -> list[str]:
    return [f"{seed}/{number}" for number in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trial", action="append", help="only this one; may be repeated")
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    args = parser.parse_args()
    chosen = args.trial or seeds(args.count, args.seed)
    began, failed = time.monotonic(), 0
    for failure in failures(chosen, args.parallel):
        failed += 1
        print(failure, flush=True)
    print(f"{len(chosen)} trials in {time.monotonic() - began:.0f} s, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
