"""The command line: the only package that imports absl."""

from tf_deepbayes.cli.start import deepbayes, main

__all__ = ["deepbayes", "main"]
