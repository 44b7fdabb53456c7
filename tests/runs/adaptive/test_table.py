"""How success and rejection are counted, and the published settings of each attack."""

import numpy as np

from tf_deepbayes.detection import Divergence
from tf_deepbayes.runs.adaptive.table import counted, published_rows


def test_counting_is_over_all_images() -> None:
    random = np.random.default_rng(0)
    train = 3.0 * random.normal(size=(90, 3))
    detector = Divergence("kl").fit(train, train.argmax(1), 0.3)
    logits, labels = 3.0 * random.normal(size=(50, 3)), np.arange(50) % 3
    found = counted(logits, labels, detector)
    wrong, rejected = logits.argmax(1) != labels, detector.reject(logits)
    assert found == {
        "success": np.count_nonzero(wrong) / 50,
        "rejected": np.count_nonzero(rejected) / 50,
        "passed": np.count_nonzero(wrong & ~rejected) / 50,
    }


def test_the_published_settings() -> None:
    rows = published_rows(200, 1)
    full, head = rows["full logits"], rows["head logit"]
    assert round(full.attack.eps_iter, 6) == 0.001255  # type: ignore[attr-defined]
    assert full.attack.nb_iter == 100 and full.eps == 8 / 255  # type: ignore[attr-defined]
    assert head.eps == 4 / 255 and (head.success, head.rejected) == (0.978, 0.118)
    for name in ("head logit", "head logit matching", "feature matching"):
        attack = rows[name].attack
        step = attack.step_factor * rows[name].eps / attack.nb_iter  # type: ignore[attr-defined]
        assert round(step, 6) == (0.000314 if name == "head logit" else 0.000627)
