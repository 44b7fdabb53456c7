"""Imports TensorFlow as an app does: without its notes on the machine."""

from tf_deepbayes.cli.process import quiet_start

with quiet_start():
    pass
