"""The PostgreSQL and Redis that come with pip: shared, survived, stopped by the last to leave."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
import redis

from xinstruct_site import embedded

ROOT = Path(embedded.__file__).resolve().parent.parent


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A data folder of its own, with neither variable set, removed with all its servers."""
    monkeypatch.setenv("XI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield tmp_path / "data"
    with embedded.running():
        pass  # joins whatever is still there, and as the last one stops it
    if not embedded.services_dir().is_relative_to(tmp_path):
        shutil.rmtree(embedded.services_dir(), ignore_errors=True)


def holder() -> subprocess.Popen[str]:
    """Another process that holds the services until its input closes."""
    code = textwrap.dedent("""
        import sys
        from xinstruct_site import embedded
        with embedded.running():
            print("up", flush=True)
            sys.stdin.read()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def postgres_answers() -> bool:
    try:
        psycopg.connect(embedded.database_url()).close()
    except psycopg.OperationalError:
        return False
    return True


def redis_answers() -> bool:
    try:
        return bool(redis.Redis.from_url(embedded.redis_url()).ping())
    except redis.ConnectionError:
        return False


def test_services_answer_inside_the_block_and_are_gone_after_it(data_dir):
    with embedded.running():
        assert postgres_answers()
        assert redis_answers()

    assert not postgres_answers()
    assert not redis_answers()


def test_the_last_to_leave_stops_them(data_dir):
    other = holder()
    with embedded.running():
        pass

    assert postgres_answers()
    other.communicate("")
    assert not postgres_answers()
    assert not redis_answers()


def test_a_killed_user_does_not_keep_them_running(data_dir):
    killed = holder()
    killed.kill()
    killed.wait()

    with embedded.running():
        assert postgres_answers()

    assert not postgres_answers()


def test_killed_servers_and_stale_pid_files_are_survived(data_dir):
    other = holder()
    with psycopg.connect(embedded.database_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postmaster = embedded.services_dir() / "postgres" / "postmaster.pid"
    os.kill(int(postmaster.read_text().split()[0]), signal.SIGKILL)
    os.kill(int((embedded.services_dir() / "valkey.pid").read_text()), signal.SIGKILL)
    time.sleep(0.3)
    assert postmaster.exists()

    with embedded.running():
        with psycopg.connect(embedded.database_url()) as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(7,)]
        assert redis_answers()
    other.communicate("")


def test_a_pid_file_that_names_another_program_is_survived(data_dir):
    with embedded.running():
        pass
    lines = f"{os.getpid()}\n{embedded.services_dir() / 'postgres'}\n1\n5432\n\n\n\nready\n"
    (embedded.services_dir() / "postgres" / "postmaster.pid").write_text(lines)

    with embedded.running():
        assert postgres_answers()


def test_two_data_folders_do_not_meet(data_dir, tmp_path, monkeypatch):
    with embedded.running():
        first = embedded.database_url()
        monkeypatch.setenv("XI_DATA_DIR", str(tmp_path / "second"))
        assert embedded.database_url() != first
        assert not postgres_answers()
        monkeypatch.setenv("XI_DATA_DIR", str(data_dir))


def test_a_first_start_that_was_killed_leaves_no_half_cluster(data_dir):
    partial = embedded.services_dir() / "postgres.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18")

    with embedded.running():
        assert postgres_answers()


def test_a_data_folder_with_a_very_long_path_works(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("XI_DATA_DIR", str(tmp_path / ("long" * 30)))
    with embedded.running():
        assert len(str(embedded.socket_dir())) < embedded.SOCKET_PATH_LIMIT
        assert postgres_answers()
    if not embedded.services_dir().is_relative_to(tmp_path):
        shutil.rmtree(embedded.services_dir(), ignore_errors=True)


def test_a_forked_child_that_ends_does_not_stop_them(data_dir):
    code = textwrap.dedent("""
        import os, sys
        from xinstruct_site import embedded
        with embedded.running():
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                import psycopg; psycopg.connect(embedded.database_url()).close()
                print("still up")
            # the child falls out of the block like an RQ work horse that ends
    """)

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "still up" in done.stdout


def test_nothing_is_started_where_the_environment_names_other_servers(data_dir, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere/else")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere/0")

    with embedded.running():
        assert not embedded.services_dir().exists()
