"""What is said about GPUs, on machines with none, with hidden ones, and with one that fails."""

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tf_deepbayes.core import devices

GPU = tf.config.PhysicalDevice("/physical_device:GPU:7", "GPU")  # there is no such GPU


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """TensorFlow as the extra `cuda` installs it, without GPU and driver; a folder for programs."""
    _install_cudnn(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _install_cudnn(folder: pathlib.Path) -> None:
    (folder / "nvidia" / "cudnn").mkdir(parents=True)
    (folder / "nvidia" / "cudnn" / "__init__.py").touch()


def _program(path: pathlib.Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_memory_grows_on_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = ["gpu 0", "gpu 1"]
    grows: dict[str, bool] = {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grows.__setitem__)
    devices.prepare_gpus()
    assert grows == {"gpu 0": True, "gpu 1": True}


def test_a_missing_gpu_is_one_line_that_says_what_to_do(
    cuda: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    devices.prepare_gpus()
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert err.startswith("note: computing on the CPU") and "--gpus all" in err


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_missed(
    cuda: pathlib.Path,
    hidden: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    devices.prepare_gpus()
    assert capsys.readouterr() == ("", "")
    assert "CUDA_VISIBLE_DEVICES" in devices.why_no_gpu()


def test_a_cpu_build_is_not_expected_to_see_gpus(
    cuda: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: False)
    assert not devices.gpu_expected()
    assert "--build-arg TENSORFLOW=cuda" in devices.why_no_gpu()


def test_a_cuda_build_without_cuda_is_not_expected_to_see_gpus(
    cuda: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cuda / "nvidia" / "cudnn" / "__init__.py").unlink()
    (cuda / "nvidia" / "cudnn").rmdir()
    if devices._cuda_installed():
        pytest.skip("the CUDA libraries are installed here")
    assert not devices.gpu_expected()
    assert "tf_deepbayes[cuda]" in devices.why_no_gpu()


def test_a_gpu_that_only_the_driver_sees_is_named(cuda: pathlib.Path) -> None:
    _program(cuda / "nvidia-smi", 'echo "GPU 0: NVIDIA L4 (UUID: GPU-1234)"')
    reason = devices.why_no_gpu()
    assert "lists GPU 0: NVIDIA L4, but" in reason and "TF_CPP_MIN_LOG_LEVEL=0" in reason


def test_a_driver_that_fails_lists_nothing(cuda: pathlib.Path) -> None:
    _program(cuda / "nvidia-smi", 'echo "GPU access blocked"; exit 9')
    assert "--gpus all" in devices.why_no_gpu()


def test_a_convolution_runs_here_and_not_on_a_gpu_that_fails() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert devices.try_convolution(cpu) is None
    assert "CPU:0 instead" in (devices.try_convolution(GPU) or "")


def test_status_1_when_a_gpu_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: [GPU] if kind == "GPU" else real(kind)
    )
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda d: {"device_name": "NVIDIA L4"}
    )
    assert devices.main() == 1
    assert "\nGPU:7, NVIDIA L4: " in capsys.readouterr().out


def test_the_module_says_what_tensorflow_sees() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "tf_deepbayes.core.devices"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"TensorFlow {tf.__version__}, built for")
    assert lines[1].startswith("CPU:0") and lines[1].endswith("a convolution and its gradient ran")
    assert lines[2].startswith("GPU: ")


APP = """
from tf_deepbayes.cli.process import quiet_start

with quiet_start():
    from tf_deepbayes.cli import app
    import tensorflow as tf

tf.test.is_built_with_cuda = lambda: True
tf.config.list_physical_devices = lambda kind=None: []

def main(arguments):
    raise PermissionError(13, "Permission denied", "/study/runs/mnist")

app.run(main, lambda: None)
"""


def test_apps_say_that_the_gpu_and_permission_are_missing(tmp_path: pathlib.Path) -> None:
    _install_cudnn(tmp_path)
    environment = {
        **os.environ,
        "PATH": "",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
    }
    for name in ("CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL"):
        environment.pop(name, None)
    command = [sys.executable, "-c", APP]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    note, error = done.stderr.splitlines()
    assert done.returncode == 2 and note.startswith("note: computing on the CPU")
    assert error == (
        "error: cannot use /study/runs/mnist: Permission denied; change its owner or give another"
    )
