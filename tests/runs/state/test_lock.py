"""One process at a time, and the next one when it has died."""

import json
import multiprocessing
import os
import pathlib
import signal
import socket
import time

import pytest

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.runs.state import lock
from tf_deepbayes.runs.state.lock import locked


def hold(path: str) -> None:
    with locked(pathlib.Path(path), "the run"):
        time.sleep(60)


def wait_for(path: pathlib.Path) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file() and path.read_text():
            return json.loads(path.read_text())
        time.sleep(0.02)
    raise AssertionError("the other process did not take the lock")


def test_a_second_process_is_refused_and_a_dead_one_is_followed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run" / ".lock"
    other = multiprocessing.get_context("spawn").Process(target=hold, args=(str(path),))
    other.start()
    try:
        owner = wait_for(path)
        assert owner["pid"] == other.pid and owner["host"] == socket.gethostname()
        with pytest.raises(InputError, match=f"the run is in use by process {other.pid} on "):
            locked(path, "the run").__enter__()
    finally:
        os.kill(int(other.pid or 0), signal.SIGKILL)
        other.join()
    assert path.is_file()  # what it leaves behind
    with locked(path, "the run"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_lock_of_another_host_is_respected_until_it_is_deleted(tmp_path: pathlib.Path) -> None:
    path = tmp_path / ".lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "2026-01-01T00:00"}))
    with pytest.raises(InputError, match=rf"process 7 on elsewhere .* or delete {path}"):
        locked(path, "the run").__enter__()
    path.write_text('{"host": "els')  # written half
    with locked(path, "the run"):
        pass


def test_a_dead_container_of_this_machine_is_followed(tmp_path: pathlib.Path) -> None:
    """Each has a host name of its own, and the machine's kernel holds the locks of all."""
    path = tmp_path / ".lock"
    with locked(path, "the run"):
        owner = json.loads(path.read_text())
    assert owner["boot"] == lock.BOOT_ID.read_text().strip()
    path.write_text(json.dumps({**owner, "host": "4f2a91c07d3e"}))
    with locked(path, "the run"):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("case", ["another boot", "boot unknown", "no locks"])
def test_another_host_is_respected_where_its_locks_may_not_arrive(
    case: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks available")

    path = tmp_path / ".lock"
    with locked(path, "the run"):
        owner = json.loads(path.read_text()) | {"host": "elsewhere"}
    if case == "another boot":
        owner["boot"] = "0c2f"
    elif case == "boot unknown":
        del owner["boot"]
        monkeypatch.setattr(lock, "BOOT_ID", tmp_path / "absent")
    else:
        monkeypatch.setattr("fcntl.flock", unsupported)
    path.write_text(json.dumps(owner))
    with pytest.raises(InputError, match=r"in use by process \d+ on elsewhere"):
        locked(path, "the run").__enter__()


def test_an_error_in_the_block_releases_it(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock", "the run"):
        raise RuntimeError
    assert not (tmp_path / ".lock").exists()
