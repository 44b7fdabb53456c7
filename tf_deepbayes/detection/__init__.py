"""Detectors of adversarial images. They see logits and labels, nothing else."""

from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal
from tf_deepbayes.detection.selection import fit

__all__ = ["Detector", "Divergence", "Logit", "Marginal", "fit"]
