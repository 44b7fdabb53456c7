"""Measurements: python -m benchmark.bench and others, without TensorFlow's start-up log."""

from tf_deepbayes.cli.process import quiet_start

with quiet_start():
    pass
