"""Call every signature of the models exported to a folder: python tests/export_client.py FOLDER.

Neither Keras, TensorFlow Probability, SciPy nor our library can be imported here, as where only
TensorFlow is installed. Reads FOLDER/inputs.npz, writes FOLDER/outputs.npz.
"""

import importlib.abc
import importlib.machinery
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

BLOCKED = {"keras", "tf_keras", "tensorflow_probability", "tf_deepbayes", "cleverhans", "scipy"}


class Blocker(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the blocked packages, which TensorFlow does while it is imported, and loads none."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        blocked = name.split(".")[0] in BLOCKED
        return importlib.machinery.ModuleSpec(name, self) if blocked else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        raise ImportError(f"{spec.name} is blocked")

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(f"{module.__name__} is blocked")


sys.meta_path.insert(0, Blocker())
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

Found = dict[str, Any]


def call(function: Any, **inputs: Any) -> dict[str, Any]:
    """The outputs of a signature as arrays."""
    specs = function.structured_input_signature[1]
    tensors = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in function(**tensors).items()}


def batches(loaded: Any, x: np.ndarray) -> Found:
    """Logits of small and large batches, and the peak of the memory after each, MB."""
    found: Found = {}
    for batch in (1, 7, 100, 100, 1000):
        many = np.resize(x, (batch, *x.shape[1:]))
        found[f"batch/{batch}"] = call(loaded.signatures["logits"], x=many)["logits"][:7]
        found[f"memory/{batch}"] = peak_memory()
    return found


def peak_memory() -> int:
    """MB; ru_maxrss would start at the size of the process that started this one."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    assert peak is not None
    return int(peak[1]) // 1024


def refusals(loaded: Any, x: np.ndarray) -> Found:
    """What is said to bytes as floats and to a label that is none."""
    found: Found = {}
    bad: dict[str, Any] = {"logits": {"x": 255 * x}, "sample": {"labels": [3]}}
    for name, inputs in bad.items():
        try:
            call(loaded.signatures[name], **inputs)
        except tf.errors.InvalidArgumentError as error:
            found[f"refused/{name}"] = str(error)
    return found


def answers(
    model: str, loaded: Any, bytes_: np.ndarray, x: np.ndarray, labels: np.ndarray
) -> Found:
    """The outputs of the signatures of one model, and the gradient of its logits."""
    outputs = {name: sorted(f.structured_outputs) for name, f in loaded.signatures.items()}
    found: Found = {f"{model}/signatures": json.dumps(outputs)}
    for name, function in loaded.signatures.items():
        images = {"x": bytes_ if "uint8" in name else x}
        inputs: dict[str, Any] = {"labels": labels} if name.startswith("sample") else images
        if name.endswith("_seeded"):
            inputs["seed"] = 11
        for output, value in call(function, **inputs).items():
            found[f"{model}/{name}/{output}"] = value
    logits = loaded.signatures["logits"]
    found[f"{model}/reversed"] = call(logits, x=x[::-1])["logits"][::-1]
    found[f"{model}/alone"] = call(logits, x=x[:1])["logits"]
    return {**found, f"{model}/gradient": gradient(logits, x)}


def gradient(logits: Any, x: np.ndarray) -> np.ndarray:
    """Of the first logit minus the second, with respect to x."""
    pixels = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        values = logits(x=pixels)["logits"]
        objective = tf.reduce_sum(values[:, 0] - values[:, 1])
    return tape.gradient(objective, pixels).numpy()


def main(root: pathlib.Path) -> None:
    """Call the models of the folder."""
    with np.load(root / "inputs.npz") as given:
        bytes_, labels = given["bytes"], given["labels"]
    x = (bytes_ / np.float32(255.0)).astype(np.float32)
    first = tf.saved_model.load(str(root / "GFZ"))
    found = {**batches(first, x), **refusals(first, x)}
    # The graphs of a hundred signatures are not worth optimising for one call each.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    for path in sorted(root.glob("*/saved_model.pb")):
        model = path.parent.name
        loaded = first if model == "GFZ" else tf.saved_model.load(str(path.parent))
        found |= answers(model, loaded, bytes_, x, labels)
    assert not BLOCKED & {name.split(".")[0] for name in sys.modules}
    np.savez(root / "outputs.npz", **found)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
