"""The published code's letters, names and variables; nothing else knows them."""

from tf_deepbayes.legacy.variables import model_from_params, params_from_model

__all__ = ["model_from_params", "params_from_model"]
