"""Each way to cancel a launch has the same deadline, reason to end and period of grace."""

import signal
import threading
import time

import pytest

from clinder.launch.cancellation import Cancellation, CancelRequested, DeadlinePassed, Grace

GRACE = Grace(launching=0.6, before=0.2, draining=0.1, stopping=0.1)


def test_the_first_reason_counts() -> None:
    cancellation = Cancellation(100)
    cancellation.check()
    for reason in (KeyboardInterrupt(), ValueError()):
        cancellation.cancel(reason)
    with pytest.raises(KeyboardInterrupt):
        cancellation.check()


def test_the_deadline_is_a_reason() -> None:
    with pytest.raises(DeadlinePassed):
        Cancellation(0.1).sleep(10)


def test_another_thread_ends_a_pause_at_once() -> None:
    event = threading.Event()
    threading.Timer(0.1, event.set).start()
    began = time.monotonic()
    with pytest.raises(CancelRequested):
        Cancellation(100, event).sleep(50)
    assert time.monotonic() - began < 5


def test_before_a_launch_it_listens_for_a_moment_and_again_after_each_sign_of_one() -> None:
    cancellation = Cancellation(100, grace=GRACE)
    began = time.monotonic()
    cancellation.cancel(ValueError())
    while not cancellation.is_over():
        time.sleep(0.01)
    assert time.monotonic() - began >= GRACE.before
    cancellation.grace = GRACE._replace(launching=100, before=50)
    cancellation.sign_of_launch(launching=False)
    assert not cancellation.is_over()
    cancellation.check_listening()


def test_during_a_launch_it_listens_for_the_grace_and_never_longer() -> None:
    cancellation = Cancellation(100, grace=GRACE)
    cancellation.sign_of_launch(launching=True)
    cancellation.cancel(ZeroDivisionError())
    began = time.monotonic()
    while not cancellation.is_over():
        cancellation.sign_of_launch(launching=True)
        time.sleep(0.01)
    assert 0.5 < time.monotonic() - began < 5
    with pytest.raises(ZeroDivisionError):
        cancellation.check_listening()


def test_the_next_attempt_launches_nothing_yet() -> None:
    cancellation = Cancellation(100, grace=GRACE._replace(launching=50))
    cancellation.sign_of_launch(launching=True)
    cancellation.new_attempt()
    began = time.monotonic()
    cancellation.cancel(ValueError())
    while not cancellation.is_over():
        time.sleep(0.01)
    assert time.monotonic() - began < 20


def test_a_read_is_interrupted_when_the_listening_ends() -> None:
    cancellation = Cancellation(100, grace=GRACE)
    interrupted = threading.Event()
    with cancellation.watching(interrupted.set):
        assert not interrupted.wait(0.2)
        cancellation.cancel(ValueError())
        assert interrupted.wait(5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1])
def test_any_signal_whose_handler_raises_is_a_reason_and_the_handler_comes_back(number: int) -> None:
    def raise_it(number: int, _: object) -> None:
        raise ZeroDivisionError(number)

    before = signal.signal(number, raise_it)
    try:
        cancellation = Cancellation(100)
        with cancellation.signals():
            signal.raise_signal(number)
            signal.raise_signal(number)
        with pytest.raises(ZeroDivisionError):
            cancellation.check()
        assert signal.getsignal(number) is raise_it
    finally:
        signal.signal(number, before)


def test_what_still_arrives_is_read_before_the_launch_is_given_up_but_not_for_ever() -> None:
    cancellation = Cancellation(100, grace=GRACE._replace(draining=0.5))
    cancellation.cancel(ValueError())
    began = time.monotonic()
    while not cancellation.is_read():
        cancellation.waiting_since = time.monotonic()  # as after each chunk
        time.sleep(0.01)
    assert 0.6 < time.monotonic() - began < 5


def test_a_launch_that_is_quiet_is_given_up_at_once() -> None:
    cancellation = Cancellation(100, grace=GRACE._replace(draining=50))
    cancellation.cancel(ValueError())
    cancellation.waiting_since = time.monotonic()
    time.sleep(0.25)
    assert cancellation.is_read()


def test_the_time_that_was_not_needed_to_listen_is_there_to_stop_the_server() -> None:
    cancellation = Cancellation(100, grace=GRACE._replace(launching=60))
    assert cancellation.time_to_stop() == GRACE.unhurried
    cancellation.cancel(ValueError())
    assert 30 < cancellation.time_to_stop() <= 60 + GRACE.stopping
    cancellation._cancelled_at -= 100
    assert cancellation.time_to_stop() == GRACE.stopping


def test_a_read_that_is_interrupted_while_bytes_still_come_is_cut_short() -> None:
    for waiting_since, is_cut_short in ((0.0, False), (float("inf"), True)):
        cancellation = Cancellation(100, grace=GRACE)
        interrupted = threading.Event()
        with cancellation.watching(interrupted.set):
            cancellation.waiting_since = waiting_since
            cancellation.cancel(ValueError())
            assert interrupted.wait(5)
        assert cancellation.is_cut_short is is_cut_short
