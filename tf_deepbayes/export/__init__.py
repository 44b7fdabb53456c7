"""SavedModel and ONNX."""

from tf_deepbayes.export.saved_model import METADATA, export

__all__ = ["METADATA", "export"]
