"""Deep Bayes classifiers: inference, training, attacks and detection."""

from tf_deepbayes.native_log import import_tensorflow_quietly

import_tensorflow_quietly()
