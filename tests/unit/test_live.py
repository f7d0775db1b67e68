"""What a terminal shows of the current phase: pure functions of what is known, the time and the width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinder.cli.live import Step, View, end_line, find_step, live_lines
from clinder.text import display_width

BUILDING = View("building", 100.0, "Collecting numpy\n", Step(12, 30))


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Step 12/30 : RUN conda install", Step(12, 30)),
        ("#12 [5/9] RUN pip install", Step(5, 9)),
        ("#12 [ 5/12] RUN pip install", Step(5, 12)),
        ("#7 [stage-1 2/4] COPY . .", Step(2, 4)),
        ("#7 [build-env  2/4] COPY . .", Step(2, 4)),
        ("Step 1/1 : FROM x", Step(1, 1)),
        ("Step 31/30 : RUN x", None),
        ("Step 0/0 : RUN x", None),
        ("Step 12/30", None),
        (" ---> Running in Step 12/30 : ", None),
        ("#12 0.532 [5/9] no step, but what a step printed", None),
        ("Collecting numpy", None),
    ],
)
def test_how_far_a_build_is_stands_in_dockers_lines(line: str, step: Step | None) -> None:
    assert find_step(line, None) == step


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        (Step(5, 9), "#3 [2/9] RUN x", Step(5, 9)),  # buildkit builds stages side by side
        (Step(5, 9), "#3 [6/9] RUN x", Step(6, 9)),
        (Step(5, 9), "#3 [2/4] RUN x", Step(2, 4)),
        (Step(5, 9), "Collecting numpy", Step(5, 9)),
    ],
)
def test_a_bar_goes_back_only_when_it_is_another(before: Step, line: str, after: Step) -> None:
    assert find_step(line, before) == after


@pytest.mark.parametrize(
    ("view", "columns", "lines"),
    [
        (View(), 80, []),
        (View("waiting", 100.0), 80, ["waiting 1m12s"]),
        (BUILDING, 80, ["building 1m12s  [########............] 12/30", "  Collecting numpy"]),
        (BUILDING, 40, ["building 1m12s  [######.........] 12/30", "  Collecting numpy"]),
        (BUILDING, 25, ["building 1m12s  12/30", "  Collecting numpy"]),
        (BUILDING, 17, ["building 1m12s", "  Collecting num"]),
        (BUILDING, 8, ["buildin"]),
        (
            BUILDING._replace(line="\x1b[31mred\tand\x1b[0m wide"),
            80,
            [*live_lines(BUILDING, 172, 80)[:1], "  red and wide"],
        ),
        (
            BUILDING._replace(line="\u5efa\u9020\u4e2d" * 20),
            20,
            ["building 1m12s", "  " + "\u5efa\u9020\u4e2d\u5efa\u9020\u4e2d\u5efa\u9020"],
        ),
        (View("pushing", 100.0, "", Step(40, 100)), 80, ["pushing 1m12s  [########............] 40%"]),
    ],
)
def test_the_current_phase_has_its_time_a_bar_and_the_newest_line(view: View, columns: int, lines: list[str]) -> None:
    assert live_lines(view, 172.0, columns) == lines


WIDE = st.text(st.sampled_from("ab \t\u5efa\u0301\u00e9\U0001f600"), max_size=60)


@given(WIDE, WIDE, st.integers(1, 120), st.one_of(st.none(), st.builds(Step, st.integers(1, 9), st.integers(9, 9999))))
def test_no_live_line_is_as_wide_as_the_terminal(phase: str, line: str, columns: int, step: Step | None) -> None:
    for shown in live_lines(View(phase, 0.0, line, step), 7200.0, columns):
        assert display_width(shown) < max(columns, 2)
        assert "\n" not in shown


@given(st.integers(1, 9), st.integers(9, 9999), st.integers(20, 120))
def test_a_bar_is_full_only_at_its_end(done: int, total: int, columns: int) -> None:
    [line] = live_lines(View("building", 0.0, "", Step(done, total)), 1.0, columns)
    bar = line.partition("[")[2].partition("]")[0]
    assert (bar == "#" * len(bar) and bar != "") <= (done == total)


@pytest.mark.parametrize(
    ("seconds", "failed", "line"),
    [
        (0.04, False, "* building 0.0s"),
        (1.25, True, "x building 1.2s"),
        (9.96, False, "* building 9s"),
        (72, False, "* building 1m12s"),
    ],
)
def test_what_stays_of_a_phase_is_how_it_ended_and_how_long_it_took(seconds: float, failed: bool, line: str) -> None:
    assert end_line(View("building", 100.0), 100.0 + seconds, failed=failed) == line
