"""Cases of a client's programme: each runs by itself, and its outcome is told on a line.

A case is a function with @case. Its name is the function's. One that runs longer than CASE_SECONDS_MAX has
failed, as has one that raises anything but Skip.
"""

import asyncio
import inspect
import os
import signal
import sys
import traceback

CASE_SECONDS_MAX = 60

# Of a programme that runs its cases once more with other settings.
PREFIX = os.environ.get("CASE_PREFIX", "")

_cases = []


class Skip(Exception):
    """The case does not apply here; the reason is told."""


class TooLong(BaseException):
    """Not an Exception, so that no driver's handler swallows it."""


def case(function):
    _cases.append(function)
    return function


def equal(got, expected, what=""):
    """Values and their types, deeply enough that 1 is not 1.0 and '1' is not 1."""
    if got != expected or type(got) is not type(expected):
        raise AssertionError(f"{what or 'value'}: got {got!r}, expected {expected!r}")


def one_line(text):
    return " ".join(str(text).split())[:400]


def tell(outcome, name, reason=None):
    # A test runner may have left its line of dots open.
    print(f"\n{outcome} {name}" + (f": {one_line(reason)}" if reason else ""), flush=True)


def _alarm(signum, frame):
    raise TooLong(f"took longer than {CASE_SECONDS_MAX} s")


def run(version):
    if not PREFIX:
        print(f"version {version}", flush=True)
    signal.signal(signal.SIGALRM, _alarm)
    only = sys.argv[1:]
    for function in _cases:
        name = PREFIX + function.__name__
        if only and function.__name__ not in only:
            continue
        signal.alarm(CASE_SECONDS_MAX)
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(function())
            else:
                function()
        except Skip as reason:
            tell("skipped", name, reason)
        except (Exception, TooLong) as error:
            traceback.print_exc()
            tell("failed", name, f"{type(error).__name__}: {error}")
        else:
            tell("passed", name)
        finally:
            signal.alarm(0)
