"""The tests; kernels are chosen before anything imports TensorFlow, as in the apps."""

from tf_deepbayes.core.keras_config import choose_kernels

choose_kernels()
