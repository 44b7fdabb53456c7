"""One process at a time writes a run or a result."""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import IO

from tf_deepbayes.core.errors import InputError

BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")  # of the running kernel; Linux only


@contextlib.contextmanager
def locked(path: pathlib.Path, what: str) -> Iterator[None]:
    """Hold the lock file for as long as the block runs.

    The file says who holds it: host, boot, process and since when. The system releases the lock of
    a process that has died, so the next one takes it over. Where another host's locks do not arrive
    (some network file systems), what the file says decides. Containers of one machine have host
    names of their own and one boot, whose locks reach all of them.

    Args:
        what: what the lock is for, as the error message names it.

    Raises:
        InputError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _taken(path, what) as file:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(_me()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _me() -> dict[str, str | int]:
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    me = {"host": socket.gethostname(), "boot": _boot(), "pid": os.getpid(), "started": started}
    return {name: value for name, value in me.items() if value is not None}


def _boot() -> str | None:
    """Which start of which machine's kernel this is; None where the system does not say."""
    try:
        return BOOT_ID.read_text().strip() or None
    except OSError:
        return None


def _taken(path: pathlib.Path, what: str) -> IO[str]:
    """The lock file, open and locked."""
    while True:
        file, is_ours = path.open("a+"), True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _refuse(file, path, what)
        except OSError:  # a file system without locks: what the file says has to do
            is_ours = False
        if not _may_follow(_owner(file), is_ours):
            _refuse(file, path, what)
        if _is_still(file, path):
            return file
        file.close()  # its owner has just finished and removed it


def _may_follow(owner: dict[str, str | int], is_ours: bool) -> bool:
    """Whether the file may be taken over from whom it names, given whether its lock is ours."""
    if not owner or owner.get("host") == socket.gethostname():
        return True
    return is_ours and owner.get("boot", "") == _boot()


def _is_still(file: IO[str], path: pathlib.Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _owner(file: IO[str]) -> dict[str, str | int]:
    """Who the file names; empty where it names nobody."""
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:  # killed while it was written
        return {}
    return found if isinstance(found, dict) else {}


def _refuse(file: IO[str], path: pathlib.Path, what: str) -> None:
    with file:
        owner = _owner(file)
    raise InputError(
        f"{what} is in use by process {owner.get('pid', '?')} on {owner.get('host', '?')} since "
        f"{owner.get('started', '?')}; wait for it, or delete {path} if it no longer runs"
    )
