"""The old path of `load_model`, kept for one release; use `tf_deepbayes.runs.checkpoints`."""

import warnings

from tf_deepbayes.runs.checkpoints import load_model as load_model

_MOVED = "tf_deepbayes.checkpoints moved: import load_model from tf_deepbayes.runs.checkpoints"
warnings.warn(_MOVED, DeprecationWarning, stacklevel=2)
