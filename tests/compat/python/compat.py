"""What every test program here shares: named tests, and one line about each.

A program is called with the broker's address and the names to leave out. It prints `begin NAME`
and then `ok NAME` or `not ok NAME: why`, or `left out NAME`, and at the end `plan N`.
"""

import asyncio
import faulthandler
import inspect
import signal
import sys
import time
import traceback

TESTS = []
ADDRESS = sys.argv[1]
LEFT_OUT = set(sys.argv[2].split(",")) if len(sys.argv) > 2 else set()
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Seconds of a test. One that takes longer fails under its name, and the others still run.
TEST_LIMIT = 200
# Makes topics of two runs against the same broker distinct.
RUN = format(int(time.time() * 1000), "x")


def test(function):
    """Registers a test under its name, with dashes."""
    TESTS.append((function.__name__.replace("_", "-"), function))
    return function


def each_codec(function):
    """Registers a test once for each compression codec, which is its argument."""
    for codec in CODECS:
        name = f"{function.__name__.replace('_', '-')}-{codec}"
        TESTS.append((name, lambda codec=codec: function(codec)))
    return function


def topic(name):
    return f"compat-{name}-{RUN}"


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {shortened(got)}, wanted {shortened(wanted)}")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def shortened(value):
    text = repr(value)
    return text if len(text) < 300 else text[:140] + " ... " + text[-140:]


def compressible(count, size=200):
    """Distinct values that every codec makes smaller."""
    return [(f"{n:06d} " + "abcdefgh" * (size // 8)).encode() for n in range(count)]


def too_late(*_):
    raise TimeoutError(f"took longer than {TEST_LIMIT} s")


def run():
    """Runs what was registered. Every test is run, also after a failure."""
    failed = False
    signal.signal(signal.SIGALRM, too_late)
    for name, function in TESTS:
        if name in LEFT_OUT:
            print(f"left out {name}", flush=True)
            continue
        print(f"begin {name}", flush=True)
        # A call that never comes back from a library in C hears no signal: what it hangs in is told all the same.
        faulthandler.dump_traceback_later(TEST_LIMIT + 5)
        signal.alarm(TEST_LIMIT)
        try:
            result = function()
            if inspect.isawaitable(result):
                asyncio.run(asyncio.wait_for(result, TEST_LIMIT - 20))
            signal.alarm(0)
            print(f"ok {name}", flush=True)
        except Exception as error:
            signal.alarm(0)
            traceback.print_exc()
            why = f"{type(error).__name__} {error}".replace("\n", " ")
            print(f"not ok {name}: {why}", flush=True)
            failed = True
        faulthandler.cancel_dump_traceback_later()
    print(f"plan {len(TESTS)}")
    sys.exit(1 if failed else 0)
