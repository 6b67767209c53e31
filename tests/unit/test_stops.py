"""Signals stop a command where it waits for a line, and nowhere else."""

import signal
from typing import NoReturn

import pytest

from holdfast import Interrupted
from holdfast.cli.stops import Stops


def test_a_signal_raises_at_once_where_a_line_is_awaited() -> None:
    stops = Stops(KeyboardInterrupt)
    with stops.taken():
        with pytest.raises(Interrupted, match="SIGTERM"), stops.awaiting():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stops.awaiting():
            signal.raise_signal(signal.SIGINT)
        with stops.awaiting():
            pass  # what was told is over


def test_a_signal_that_came_while_a_line_was_answered_stops_the_next_one() -> None:
    stops = Stops(KeyboardInterrupt)
    with stops.taken():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"), stops.awaiting():
            pass


def test_a_second_signal_while_a_line_is_answered_does_what_it_did_before() -> None:
    class Before(Exception):
        pass

    def before(number: int, frame: object) -> NoReturn:
        raise Before

    was = signal.signal(signal.SIGTERM, before)
    try:
        stops = Stops(KeyboardInterrupt)
        with stops.taken():
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(Before):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, was)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    was = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stops = Stops(KeyboardInterrupt)
        with stops.taken(), stops.awaiting():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, was)
