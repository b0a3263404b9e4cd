"""The supervisor restarts what dies, gives up on what cannot start, and leaves nothing behind."""

import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from xinstruct_site.supervisor import Child, ChildFailed, supervise


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_child_that_cannot_start_stops_the_others():
    sleeper = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    broken = Child("broken", [sys.executable, "-c", "raise SystemExit(3)"])

    with pytest.raises(ChildFailed, match="broken stops at once"):
        supervise([sleeper, broken])

    assert sleeper.process is not None
    assert sleeper.process.poll() is not None


def test_terminating_the_supervisor_ends_children_and_grandchildren(tmp_path):
    pids = tmp_path / "pids"
    child = f"""
        import os, subprocess, sys, time
        grandchild = subprocess.Popen(["sleep", "60"])
        open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{grandchild.pid}}")
        time.sleep(60)
    """
    code = f"""
        import sys
        from xinstruct_site.supervisor import Child, supervise
        supervise([Child("child", [sys.executable, "-c", {textwrap.dedent(child)!r}])])
    """
    supervisor = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    deadline = time.monotonic() + 20
    while not (pids.exists() and pids.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    started = [int(pid) for pid in pids.read_text().split()]

    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(timeout=20)

    assert len(started) == 2
    assert not [process for process in map(running, started) if process]


def test_a_child_that_dies_later_is_started_again(tmp_path):
    starts = tmp_path / "starts"
    code = f"import time; open({str(starts)!r}, 'a').write('x'); time.sleep(0.2)"
    child = Child("short", [sys.executable, "-c", code])

    with pytest.raises(ChildFailed):
        supervise([child])

    assert starts.read_text() == "xxx"
