"""Pictures of a generative classifier, and the page made of results."""

import re

import numpy as np
import pytest

from tests.small import classifier, images
from tf_deepbayes.models import generation
from tf_deepbayes.models.factorisations import FACTORISATIONS
from tf_deepbayes.reporting import html_report

GENERATIVE = [name for name in FACTORISATIONS if name not in ("DFX", "DBX")]


@pytest.mark.parametrize("name", GENERATIVE)
@pytest.mark.parametrize("likelihood", ["l2", "logit_laplace", "l2_logistic"])
def test_pictures_are_pixels(name: str, likelihood: str) -> None:
    model = classifier(name, likelihood=likelihood)
    for pictures in (
        generation.reconstruct(model, images(3), [0, 1, 2]),
        generation.sample(model, [0, 1, 2], candidates=20),
    ):
        assert pictures.shape == (3, 28, 28, 1)
        assert pictures.min() >= 0 and pictures.max() <= 1


def test_samples_of_a_class_follow_the_label_factor() -> None:
    """GBZ with p(y|z) a steep function of z: each class must get its own part of z."""
    model = classifier("GBZ")
    for layer in model.p_y_z.network.dense:
        kernel = np.eye(*layer.kernel.shape)
        layer.set_weights([5 * kernel, np.zeros(kernel.shape[1])])
    labels = np.repeat([0, 1, 2], 30)
    same = generation.sample(model, labels, seed=1, candidates=50).reshape(3, 30, -1)
    spread_within = same.std(axis=1).mean()
    assert np.abs(same.mean(1)[0] - same.mean(1)[1]).mean() > 0.2 * spread_within


@pytest.mark.parametrize("name", ["DFX", "DBX"])
def test_discriminative_models_make_no_images(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has no p\\(x|·\\)"):
        generation.sample(classifier(name), [0])


def attack_result(eps: float, accuracy: float) -> dict:
    figures = {
        "num_images": 50,
        "clean_accuracy": 0.9,
        "accuracy": accuracy,
        "success_rate": None,
        "zero_gradients": 0.0,
        "perturbation": {"l2": {"mean": 2.5}},
    }
    return {"settings": {"eps": eps}, "figures": figures}


def test_the_page_is_self_contained_and_holds_the_figures() -> None:
    runs = {"GFZ": [attack_result(0.1, 0.625), attack_result(0.2, 0.5)]}
    saved = {
        "adversarial": images(10, 1),
        "labels": np.arange(10),
        "clean_logits": np.eye(10),
        "adversarial_logits": np.eye(10)[::-1],
    }
    grid = html_report.attack_grid(images(10), [("ε = 0.1", saved)])
    html = html_report.render(
        "A <title>",
        {
            "introduction": "words",
            "models": [
                {
                    "name": "GFZ",
                    "formula": "p(x, z, y)",
                    "epochs": 3,
                    "seconds": 12.3,
                    "accuracy": 0.912,
                    "changes": 0.05,
                }
            ],
            "num_images": 50,
            "num_samples": 10,
            "curves": html_report.accuracy_curves(runs),
            "attacks": [{"model": "GFZ", **run} for run in runs["GFZ"]],
            "grids": [{"title": "GFZ", "image": grid}],
            "target_rate": 0.05,
            "detections": [],
            "generative": "GFZ",
            "reconstructions": grid,
            "samples": grid,
            "footer": "end",
        },
    )
    assert "A &lt;title&gt;" in html and "62.5%" in html and "91.2%" in html
    assert "<svg" in html and "data:image/png;base64," in html
    outside = [link for link in re.findall(r'(?:src|href)="([^"]+)"', html) if "://" in link]
    assert not outside
