"""Deep Bayes classifiers: inference, training, attacks and detection."""
