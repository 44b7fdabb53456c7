"""The devices TensorFlow uses; python -m tf_deepbayes.core.devices says what it sees and why.

TensorFlow with CUDA silently falls back to the CPU if it finds no GPU, a common mistake in
containers. Apps say so in one line.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.framework import config as tf_config

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count

MAX_CPU_PARTS = 8  # parts of a CPU are for tests: they share its cores


def local_devices(count: int | None) -> list[str]:
    """Names of the devices to compute on; one empty name leaves the choice to TensorFlow.

    Comes before anything is computed: without GPUs the CPU is cut into `count` logical devices,
    which share its cores, and TensorFlow fixes its devices then.

    Args:
        count: number of devices; None takes every GPU where there are several.

    Raises:
        InputError: there are fewer GPUs, or TensorFlow has computed already.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if count is None:
        count = max(1, len(gpus))
    if check_count("devices", count) == 1:
        return [""]
    if gpus and count > len(gpus):
        raise InputError(f"asked for {count} devices, TensorFlow sees {len(gpus)} GPUs; use fewer")
    if not gpus and count > MAX_CPU_PARTS:
        raise InputError(
            f"asked for {count} devices, there is no GPU and a CPU is cut into at most "
            f"{MAX_CPU_PARTS}; use fewer"
        )
    if not gpus:
        _cut_cpu(count)
    return [f"/{'GPU' if gpus else 'CPU'}:{index}" for index in range(count)]


def _cut_cpu(count: int) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    wanted = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError:
        found = len(tf.config.list_logical_devices("CPU"))
        if found < count:
            raise InputError(
                f"asked for {count} devices, TensorFlow has started with {found}; ask before "
                "anything is computed"
            ) from None


def prepare_gpus() -> None:
    """Let GPU memory grow with use, and print one line if an expected GPU is missing."""
    if not gpus_with_growth() and gpu_expected():
        print(f"note: computing on the CPU: {why_no_gpu()}", file=sys.stderr)


def gpus_with_growth() -> list[tf.config.PhysicalDevice]:
    """The GPUs that TensorFlow sees, set to allocate memory as needed.

    Comes before anything is computed: TensorFlow fixes its use of memory then, and would take all
    of every GPU. The environment variable TF_FORCE_GPU_ALLOW_GROWTH=false still has the last word.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return gpus


def gpu_expected() -> bool:
    """Whether CUDA was installed with TensorFlow and GPUs are not hidden on purpose."""
    return tf.test.is_built_with_cuda() and _cuda_installed() and not _gpus_hidden()


def why_no_gpu() -> str:
    """The likely reason why TensorFlow sees no GPU, and what to do."""
    if not tf.test.is_built_with_cuda():
        return (
            "this TensorFlow is built for the CPU; for GPUs install tf_deepbayes[cuda], or build "
            "the image with --build-arg TENSORFLOW=cuda"
        )
    if not _cuda_installed():
        return "the CUDA libraries are not installed; for GPUs install tf_deepbayes[cuda]"
    if _gpus_hidden():
        return "CUDA_VISIBLE_DEVICES hides the GPUs; unset it to use them"
    listed = _gpus_of_driver()
    if not listed:
        return (
            "no NVIDIA GPU is visible here; start a container with --gpus all (its host needs the "
            "NVIDIA driver and the NVIDIA Container Toolkit), or set CUDA_VISIBLE_DEVICES=-1 to "
            "compute on the CPU"
        )
    return (
        f"the driver lists {'; '.join(listed)}, but TensorFlow cannot use it; run with "
        "TF_CPP_MIN_LOG_LEVEL=0 to see its reason, often a driver too old for this CUDA"
    )


def try_convolution(device: tf.config.PhysicalDevice) -> str | None:
    """None when a convolution and its gradient run on the device, else what went wrong, one line.

    A GPU that is seen can still fail here: cuDNN is loaded by the first convolution, and TensorFlow
    silently computes on another device what it cannot place on this one.
    """
    name = _short_name(device)
    try:
        with tf.device(name), tf.GradientTape() as tape:
            kernel = tf.ones([5, 5, 1, 8])
            tape.watch(kernel)
            features = tf.nn.conv2d(tf.ones([2, 28, 28, 1]), kernel, strides=2, padding="SAME")
        gradient = tape.gradient(features, kernel)
        gradient.numpy()  # waits for the device
    except tf.errors.OpError as error:
        return str(error).splitlines()[0]
    return None if gradient.device.endswith(name) else f"TensorFlow used {gradient.device} instead"


def main() -> int:
    """Print the build and each device; 1 when a device fails or an expected GPU is not seen."""
    cuda = tf.sysconfig.get_build_info().get("cuda_version")
    print(f"TensorFlow {tf.__version__}, built for {f'CUDA {cuda}' if cuda else 'the CPU'}")
    gpus = gpus_with_growth()
    ran = [_report(device) for device in [*gpus, *tf.config.list_physical_devices("CPU")]]
    if not gpus:
        print(f"GPU: {why_no_gpu()}")
    return 0 if all(ran) and (gpus or not gpu_expected()) else 1


def _report(device: tf.config.PhysicalDevice) -> bool:
    """Print one line about the device; whether a convolution ran on it."""
    error = try_convolution(device)
    model = tf.config.experimental.get_device_details(device).get("device_name")
    name = _short_name(device) + (f", {model}" if model else "")
    print(f"{name}: {error or 'a convolution and its gradient ran'}")
    return error is None


def _short_name(device: tf.config.PhysicalDevice) -> str:
    return device.name.removeprefix("/physical_device:")


def _cuda_installed() -> bool:
    """Whether the packages that the extra `cuda` adds are there; cuDNN stands for them."""
    return all(importlib.util.find_spec(name) for name in ("nvidia", "nvidia.cudnn"))


def _gpus_hidden() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")


def _gpus_of_driver() -> list[str]:
    """What `nvidia-smi` lists, without serial numbers; nothing where there is no driver."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [line.split(" (UUID")[0].strip() for line in lines if line.startswith("GPU ")]


if __name__ == "__main__":
    sys.exit(main())


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels for the block; what the caller had before comes back."""
    before = tf_config.is_op_determinism_enabled()
    tf_config.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            tf_config.disable_op_determinism()
