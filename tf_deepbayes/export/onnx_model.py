"""The logits of a classifier as one ONNX file, with the noise of the SavedModel inside.

ONNX has no equivalent of the loop over blocks, so all K·C·B terms of a batch are computed at once:
memory grows with the batch, by about 62 kB per term for a decoder at MNIST sizes.
"""

import importlib.util
import pathlib
from typing import Any

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export.signatures import Signatures, logits_of
from tf_deepbayes.inference.encoding import Encoding
from tf_deepbayes.inference.noise import fixed_noise
from tf_deepbayes.inference.proposals import Density, proposal_of
from tf_deepbayes.models.baselines import Baseline
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.fusion.classifier import FusionClassifier, latent_of
from tf_deepbayes.models.registry import Classifier

FILE, OPSET = "model.onnx", 17


def check_possible(model: Classifier) -> None:
    """InputError if the converter is not installed or the model cannot be converted."""
    if importlib.util.find_spec("tf2onnx") is None:
        raise InputError('--onnx needs tf2onnx; run pip install "tf_deepbayes[onnx]"')
    if isinstance(model, Baseline) and model.dropout_rate:
        raise InputError(f"--onnx does not apply to {type(model).__name__}, which loops over masks")


def write(server: Signatures, path: pathlib.Path) -> dict[str, Any]:
    """Write `[B, …]` float32 "x" → `[B, C]` "logits"; returns its entry in the metadata."""
    import tf2onnx

    x = tf.TensorSpec([None, *server.architecture.input_shape], tf.float32, "x")
    logits = tf.function(
        lambda x: {"logits": _logits(server, x)}, input_signature=[x], autograph=False
    )
    tf2onnx.convert.from_function(
        logits,
        input_signature=[x],
        opset=OPSET,
        custom_op_handlers={"BroadcastArgs": (_broadcast_args, [])},
        output_path=str(path),
    )
    return {"file": FILE, "opset": OPSET, "input": "x", "output": "logits"}


def _logits(server: Signatures, x: Tensor) -> Tensor:
    """`fixed_log_weights` without the loop over blocks."""
    model = latent_of(server.model)
    if isinstance(server.model, FusionClassifier):
        x = server.model.features(x)
    if not isinstance(model, LatentClassifier):
        return logits_of(model.fixed_log_weights(x))
    a, scheme = model.architecture, server.scheme
    noise = fixed_noise(server.num_samples, a.dim_z, server.seed, scheme, a.num_classes)
    proposal = proposal_of(scheme)
    return logits_of(proposal.at_once(Density(model), Encoding.of(model, x), noise, is_z=False))


def _broadcast_args(context: Any, node: Any, name: str, arguments: Any) -> None:
    """The shape that two shapes broadcast to, which tf2onnx 1.17 does not know.

    Shape(Expand(an array of the one shape, the other shape)): Expand broadcasts both ways.
    """
    inputs, outputs = list(node.input), list(node.output)
    context.remove_node(node.name)
    int32, int64 = 6, 7  # of ONNX's TensorProto
    shapes = [context.make_node("Cast", [i], attr={"to": int64}).output[0] for i in inputs]
    zeros = context.make_node("ConstantOfShape", [shapes[0]]).output[0]
    whole = context.make_node("Expand", [zeros, shapes[1]]).output[0]
    shape = context.make_node("Shape", [whole]).output[0]
    context.make_node("Cast", [shape], attr={"to": int32}, outputs=outputs, name=name)
