"""Detectors of adversarial images. They only see logits and labels."""

from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal

__all__ = ["Detector", "Divergence", "Logit", "Marginal"]
