"""Detectors of adversarial images. They only see logits and labels."""

from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal
from tf_deepbayes.detection.selection import fit

__all__ = ["Detector", "Divergence", "Logit", "Marginal", "fit"]
