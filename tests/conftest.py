"""What every test shares: reproducible property tests, and no thread or process left behind.

Property tests draw the same examples each time, so a red run stays red for whoever repeats it.
``pytest --hypothesis-profile=explore`` draws new ones and more of them.
"""

import signal
import threading
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,  # two cores run the whole suite: a slow example is no failure
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("fixed"), derandomize=False, max_examples=2000)
settings.load_profile("fixed")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of whatever a shell puts in the background; the programs that tests start, and interrupt, inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """``close()`` joins what it started: a thread that is alive after its test failed to stop."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"threads left running: {left}"


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests() -> Iterator[None]:
    """Whoever starts a process ends it, also when its test fails."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [process for process in psutil.Process().children(recursive=True) if process not in before]
    assert not left, f"processes left running: {[' '.join(process.cmdline()) for process in left]}"
