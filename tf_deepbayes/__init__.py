"""Deep Bayes classifiers: inference, training, attacks and detection."""

from tf_deepbayes.cli.quiet_start import import_tensorflow_quietly

import_tensorflow_quietly()
