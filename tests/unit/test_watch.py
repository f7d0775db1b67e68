"""What looks at a session mean: whether it is lost, whether it was used, and what has most likely ended it."""

import pytest

from clinder.session import Finding, KernelStatus, Look, MemoryStatus, SessionStatus
from clinder.watch import LastSeen, Watch, WatchPolicy, is_nearly_full, likely_end, was_used

POLICY = WatchPolicy()
STARTED = "2026-01-01T00:00:00.000000Z"
GB = 1 << 30


def status(activity: str = STARTED, started: str = STARTED, kernel: str = "", memory: float = 0) -> SessionStatus:
    running = (KernelStatus("python3", kernel, activity, 1),) if kernel else ()
    usage = MemoryStatus(int(memory * GB), 2 * GB) if memory else None
    return SessionStatus(started, activity, len(running), len(running), running, usage)


ALIVE = Look(Finding.ALIVE, status(), "1")
SAME = Look(Finding.ALIVE, None, "1")
ANEW = Look(Finding.ALIVE, status(started="2026-01-01T00:09:00Z"), "2")
ENDED, REPLACED, NOTHING = Look(Finding.ENDED), Look(Finding.REPLACED), Look(Finding.NOTHING)

STOPPED = "It ran out of memory, was stopped by the hub, or its machine went away"
ENDED_IT, BEGAN_ANEW = "the session ended", "the session's server was started again"


@pytest.mark.parametrize(
    ("looks", "loss"),
    [
        ([(0, ALIVE), (20, SAME), (40, SAME)], ""),
        ([(0, ALIVE), (20, ENDED)], ""),
        ([(0, ALIVE), (20, ENDED), (23, ENDED)], ENDED_IT),
        ([(0, ALIVE), (20, ENDED), (23, NOTHING), (26, ENDED)], ""),
        ([(0, ALIVE), (20, ENDED), (23, ALIVE), (43, ENDED)], ""),
        ([(0, ALIVE), (20, REPLACED), (23, REPLACED), (85, REPLACED)], ""),
        ([(0, ALIVE), (20, REPLACED), (80, REPLACED), (83, SAME), (103, REPLACED), (106, REPLACED)], ""),
        ([(0, ALIVE), (20, REPLACED), (23, REPLACED), (95, REPLACED)], ENDED_IT),
        ([(0, ALIVE), (20, NOTHING), (94, NOTHING), (97, REPLACED)], ""),
        ([(0, ALIVE), (20, NOTHING), (599, NOTHING)], ""),
        ([(0, ALIVE), (20, NOTHING), (600, NOTHING)], "the session had not answered for 10 min"),
        ([(20, NOTHING), (600, NOTHING)], "the session had not answered for 10 min"),
        ([(0, ALIVE), (20, NOTHING), (23, ANEW)], BEGAN_ANEW),
        ([(0, ALIVE), (20, ANEW)], BEGAN_ANEW),
    ],
)
def test_a_session_is_lost_when_that_is_certain(looks: list[tuple[float, Look]], loss: str) -> None:
    watch = Watch(POLICY, 0)
    for now, look in looks:
        assert watch.loss == "", "the earlier looks do not say so"
        watch.note(look, now)
    assert watch.loss == loss


def test_a_minute_of_trouble_of_a_hubs_proxy_is_no_death() -> None:
    assert POLICY.patience > 60


def test_a_session_in_doubt_is_looked_at_again_soon() -> None:
    watch = Watch(POLICY, 0)
    assert watch.note(ALIVE, 0) == POLICY.interval
    for doubtful in (ENDED, REPLACED, NOTHING):
        assert watch.note(doubtful, 1) == POLICY.doubt < POLICY.interval


def test_an_idle_session_is_not_asked_for_what_stays_as_it_was() -> None:
    watch = Watch(POLICY, 0)
    assert watch.known(ALIVE) == ALIVE.status
    watch.note(ALIVE, 0)
    assert watch.known(SAME) is None


def test_a_busy_session_is_asked_for_its_memory_and_what_it_does_not_tell_stays() -> None:
    watch = Watch(POLICY, 0)
    busy = status(kernel="busy", memory=0.5)
    watch.note(Look(Finding.ALIVE, busy, "1"), 0)
    assert watch.known(SAME) == busy
    known = watch.known(Look(Finding.ALIVE, status("2026-01-01T00:05:00Z"), "2"))
    assert known is not None
    assert (known.last_activity, known.running, known.memory) == ("2026-01-01T00:05:00Z", busy.running, busy.memory)


def test_the_idle_time_is_counted_from_the_last_look_that_found_something_new() -> None:
    watch = Watch(POLICY, 0)
    watch.note(ALIVE, 0)
    watch.note(Look(Finding.ALIVE, status("2026-01-01T00:05:00Z"), "2"), 20)
    watch.note(Look(Finding.ALIVE, None, "2"), 80)
    watch.note(ENDED, 100)
    seen = watch.last_seen(110)
    assert seen is not None
    assert (seen.idle, seen.seconds_ago) == (60, 30)


def test_a_running_cell_is_no_idle_time() -> None:
    watch = Watch(POLICY, 0)
    watch.note(Look(Finding.ALIVE, status(kernel="busy"), "1"), 0)
    watch.note(Look(Finding.ALIVE, status(kernel="busy"), "1"), 400)
    seen = watch.last_seen(400)
    assert seen is not None
    assert (seen.idle, seen.is_busy) == (0, True)


def test_of_a_server_that_began_anew_the_one_before_is_what_was_seen() -> None:
    watch = Watch(POLICY, 0)
    watch.note(Look(Finding.ALIVE, status(memory=1.9), "1"), 0)
    watch.note(ANEW, 20)
    seen = watch.last_seen(20)
    assert seen is not None
    assert seen.status.started == STARTED
    assert watch.peak == MemoryStatus(int(1.9 * GB), 2 * GB)


def test_nothing_is_known_of_a_session_that_never_answered() -> None:
    watch = Watch(POLICY, 0)
    watch.note(NOTHING, 0)
    assert watch.last_seen(5) is None
    assert not watch.is_unused


@pytest.mark.parametrize(
    ("one", "used"),
    [
        (status(), False),
        (status("2026-01-01T00:00:00.900000Z"), False),
        (status("2026-01-01T00:00:07.900000Z"), True),
        (status("2025-12-31T23:59:59Z"), False),
        (status(kernel="idle"), True),
        (status("", ""), True),
        (status("yesterday", STARTED), True),
        (status("2026-01-01T00:00:00"), True),
        (status("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"), False),
    ],
)
def test_a_session_was_used_when_it_has_kernels_or_was_active(one: SessionStatus, used: bool) -> None:
    assert was_used(one) == used
    watch = Watch(POLICY, 0)
    watch.note(Look(Finding.ALIVE, one, "1"), 0)
    assert watch.is_unused == (not used)
    watch.note(ENDED, 1)
    assert not watch.is_unused, "who knows what it was used for by then"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "It ran out of memory, was idle for so long that the hub culled it, or was stopped by the hub."),
        (
            LastSeen(status(memory=1.9, kernel="busy"), 12),
            "Most likely it ran out of memory: 1.9 of 2.0 GB were in use 12 s before.",
        ),
        (LastSeen(status(), 15, 650), "Most likely the hub culled it: it had been idle for 11 min."),
        (LastSeen(status(memory=0.3), 15, 300), "Most likely the hub culled it: it had been idle for 5 min."),
        (LastSeen(status(), 600), f"{STOPPED}."),
        (LastSeen(status(memory=0.1), 9), f"{STOPPED}: 0.1 of 2.0 GB were in use 9 s before."),
        (
            LastSeen(status(kernel="busy"), 600),
            f"{STOPPED}: a cell was running 10 min before.",
        ),
        (
            LastSeen(status(kernel="busy", memory=0.4), 7, 0),
            f"{STOPPED}: a cell was running 7 s before, 0.4 of 2.0 GB were in use 7 s before.",
        ),
        (
            LastSeen(status(kernel="idle"), 7, 30),
            f"{STOPPED}: no cell was running 7 s before.",
        ),
    ],
)
def test_what_has_most_likely_ended_a_session(seen: LastSeen | None, words: str) -> None:
    assert likely_end(seen) == words


@pytest.mark.parametrize(
    ("memory", "full"),
    [(MemoryStatus(2 * GB, None), False), (MemoryStatus(GB, 2 * GB), False), (MemoryStatus(3 * GB, 2 * GB), True)],
)
def test_a_memory_without_a_limit_is_never_full(memory: MemoryStatus, full: bool) -> None:
    assert is_nearly_full(memory) == full
