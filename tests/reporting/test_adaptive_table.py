"""The table of attacks as markdown: published beside ours, nothing invented where there is none."""

from tf_deepbayes.reporting.adaptive_table import adaptive_table

ROW = {
    **{"published_success": 0.978, "success": 0.5, "published_rejected": None, "rejected": 0.25},
    **{"passed": 0.4, "success_rate": 0.45, "zero_gradients": 0.1, "eps": 4 / 255},
    **{"num_images": 20, "clean_accuracy": 0.9, "clean_prediction_changes": 0.05},
    **{"top2_gap": 12.34, "clean_rejected": 0.06},
}
EXTRACTOR = {"file": "vgg.keras", "layer": "mid", "feature_shape": [4, 4, 8], "test_accuracy": 0.8}


def test_a_row_has_published_and_ours() -> None:
    lines = adaptive_table("GBZ", EXTRACTOR, {"head logit": ROW}).splitlines()
    assert lines[-1] == (
        "| head logit | 4/255 | 0.978 | 0.500 | – | 0.250 | 0.400 | 0.450 | 0.100 |"
    )
    assert lines[0].startswith("GBZ on vgg.keras, layer mid (|f| = 128, itself 0.800 right): 20 im")
    assert "top-2 gap 12.3 nats" in lines[0]


def test_a_run_of_images_has_no_extractor() -> None:
    line = adaptive_table("GBZ", None, {"head logit": ROW}).splitlines()[0]
    assert line.startswith("GBZ: 20 images, clean accuracy 0.900")
