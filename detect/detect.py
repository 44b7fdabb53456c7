"""Detect a saved attack: python detect/detect.py --victim GFZ --data mnist --attack fgsm_eps0.10.

The guard (the victim unless given) scores the images; its detectors are fitted on its logits of
training images. Writes <victim's run>/detection/<attack>[_guard_<model>].json.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from tf_deepbayes import cli, data, detection, metrics, results
from tf_deepbayes.detection_figures import detection_figures
from tf_deepbayes.errors import InputError
from tf_deepbayes.validation import check_count
from tf_deepbayes.victims import Victim

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those of the published script keep their meaning."""
    flags.DEFINE_string("victim", None, "the attacked classifier, as for attack/attack.py")
    flags.DEFINE_string("guard", None, "the classifier that detects (default: the victim)")
    flags.DEFINE_string("attack", "fgsm_eps0.10", "name of the saved attack")
    flags.DEFINE_string("data", "mnist", "data set of both: " + ", ".join(data.TASKS))
    flags.DEFINE_float("false_positive_rate", 5.0, "percent of training images to reject")
    flags.DEFINE_enum("threshold", "published", list(detection.THRESHOLDS), "kind of threshold")
    flags.DEFINE_integer("num_train", None, "fit on the first N training images (default: all)")
    flags.DEFINE_integer("num_clean", 1000, "clean test images for the false-positive rate")
    flags.DEFINE_integer("num_samples", None, "K (default: of the guard's name, or 10)")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_integer("seed", 0, "of the classifier's noise")
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


def detectors_for(guard: Victim) -> list[detection.Detector]:
    """Those that mean something for the guard: log p(x, y) must be a density for two of them."""
    kind = FLAGS.threshold
    found = [detection.Marginal(kind), detection.Logit(kind), detection.Divergence("kl", kind)]
    if guard.model.has_p_x:
        return found
    print(f"{guard.config.model} has no p(x): the marginal and logit detectors are left out")
    return [detector for detector in found if not detector.needs_density]


def detect(victim: Victim, guard: Victim) -> list[dict[str, Any]]:
    """Fit the guard's detectors and score the saved attack on fresh noise."""
    size = check_count("batch_size", FLAGS.batch_size)
    saved = results.read_attack_arrays(victim.folder / "attacks" / f"{FLAGS.attack}.npz")
    dataset = guard.load_data(FLAGS.data_dir)
    train = dataset.train.first(FLAGS.num_train)
    clean = dataset.test.first(min(FLAGS.num_clean, len(dataset.test)))

    def logits(images: Any) -> Any:
        return metrics.predict(guard.logits_fn, images, size)

    print(f"fitting the detectors of {guard.config.model} on {len(train)} images", flush=True)
    train_logits, clean_logits = logits(train.pixels), logits(clean.pixels)
    adversarial_logits = logits(saved["adversarial"])
    # As published: the victim's class of the attack itself, a guard's own class of a transfer.
    own = guard.folder.resolve() == victim.folder.resolve()
    predicted = (saved["adversarial_logits"] if own else adversarial_logits).argmax(1)
    rate = FLAGS.false_positive_rate / 100.0
    return [
        detection_figures(
            detector.fit(train_logits, train.labels, rate),
            clean_logits,
            clean.labels,
            adversarial_logits,
            saved["labels"],
            predicted,
        )
        for detector in detectors_for(guard)
    ]


def main(arguments: Sequence[str]) -> None:
    """Run the detectors and print a line for each."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    runs = pathlib.Path(FLAGS.runs) if FLAGS.runs else cli.project_runs(__file__)
    load = lambda name: Victim.load(name, FLAGS.data, runs, FLAGS.num_samples, seed=FLAGS.seed)  # noqa: E731
    victim = load(FLAGS.victim)
    guard = load(FLAGS.guard) if FLAGS.guard else victim
    figures = detect(victim, guard)
    name = FLAGS.attack + (f"_guard_{guard.folder.name}" if FLAGS.guard else "")
    settings = {
        "attack": FLAGS.attack,
        "guard": guard.config.model,
        "false_positive_rate": FLAGS.false_positive_rate / 100.0,
        "num_train": FLAGS.num_train,
        "num_clean": FLAGS.num_clean,
        "num_samples": guard.num_samples,
        "seed": FLAGS.seed,
    }
    path = victim.folder / "detection" / f"{name}.json"
    results.write_result(path, "detection", victim.config, settings, figures)
    for row in figures:
        print(
            f"{row['detector']:9} detects {cli.share(row['detection_rate'])} of "
            f"{row['successful_attacks']} successful attacks  "
            f"false positives {row['false_positive_rate']:.3f}  "
            f"misclassified and undetected {row['misclassified_undetected']:.3f}"
        )


if __name__ == "__main__":
    cli.run(main, define_flags)
