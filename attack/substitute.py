"""Train a substitute of a victim: python attack/substitute.py --victim GFZ --data mnist_5k.

Writes a run folder, <victim's run>/substitute_<kind>, that every app takes as a model, the victim's
answers below it, and substitute.json with its agreement with the victim on test images.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.baselines import CNN
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig, prepare_folder
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training import substitutes
from tf_deepbayes.training.settings import BOUND_SETTINGS, TrainingSettings
from tf_deepbayes.training.substitutes import JacobianSettings, Oracle
from tf_deepbayes.training.train import VALIDATION_IMAGES

FLAGS = flags.FLAGS
# Kind → its default epochs (of each round: Papernot et al. 2017) and the flags only it has.
EPOCHS = {"distilled": 20, "jacobian": 10}
OWN_FLAGS = {
    "distilled": ("num_train",),
    "jacobian": ("num_seed_images", "augmentation_rounds", "lambda"),
}
# Settings that a resumed run may change; the rounds of a jacobian substitute hang on its epochs.
CHANGEABLE = {"distilled": ("epochs", "eval_every"), "jacobian": ("eval_every",)}
NUM_SEED_IMAGES = 200


def define_flags() -> None:
    """The flags; a distilled substitute is grey-box, a jacobian one black-box."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the substitute and of the victim's noise")
    flags.DEFINE_enum("kind", "distilled", list(EPOCHS), "victim's probabilities, or its classes")
    flags.DEFINE_string("out", None, "run folder (default: <victim's run>/substitute_<kind>)")
    flags.DEFINE_bool("resume", False, "continue the run in the folder")
    flags.DEFINE_integer("epochs", None, "distilled: 20; jacobian: 10 in each round")
    flags.DEFINE_integer("batch_size", 50, "images per step")
    flags.DEFINE_float("learning_rate", 1e-3, "of Adam")
    flags.DEFINE_integer("eval_every", 5, "epochs between agreements on test images")
    flags.DEFINE_integer("num_train", None, "distilled: the first N training images (all)")
    flags.DEFINE_integer("num_seed_images", None, "jacobian: the last N test images (200)")
    flags.DEFINE_integer("augmentation_rounds", None, "jacobian: doublings of the images (6)")
    flags.DEFINE_float("lambda", None, "jacobian: size of a step, in pixels (0.1)")


def check_flags() -> None:
    """Refuse the flags that only the other kind has."""
    for kind, names in OWN_FLAGS.items():
        for name in names:
            if kind != FLAGS.kind and FLAGS[name].value is not None:
                raise InputError(f"--{name} does not apply to --kind {FLAGS.kind}; leave it out")


def training_settings() -> TrainingSettings:
    """Those of the flags."""
    epochs = EPOCHS[FLAGS.kind] if FLAGS.epochs is None else FLAGS.epochs
    return TrainingSettings(
        epochs, FLAGS.batch_size, FLAGS.learning_rate, seed=FLAGS.seed, eval_every=FLAGS.eval_every
    )


def jacobian_settings() -> JacobianSettings:
    """Those of the flags."""
    given = {"augmentation_rounds": FLAGS.augmentation_rounds, "step": FLAGS["lambda"].value}
    return JacobianSettings(**{name: value for name, value in given.items() if value is not None})


def choose_images(dataset: Dataset) -> tuple[Array, Split]:
    """(images that the victim is asked about, test images to compare on): none is in both."""
    test = dataset.test
    if FLAGS.kind == "distilled":
        images = dataset.train.first(FLAGS.num_train).images
        return images, test.first(min(VALIDATION_IMAGES, len(test)))
    count = NUM_SEED_IMAGES if FLAGS.num_seed_images is None else FLAGS.num_seed_images
    check_count("num_seed_images", count)
    if count >= len(test):
        raise InputError(f"num_seed_images must be below the {len(test)} test images, got {count}")
    # Attacks take the first test images, so these are the last.
    return test.images[-count:], test.first(min(VALIDATION_IMAGES, len(test) - count))


def run_config(
    victim: Run, dataset: Dataset, settings: TrainingSettings, num_images: int
) -> RunConfig:
    """The run that the flags describe."""
    training = dataclasses.asdict(settings)
    for name in BOUND_SETTINGS:
        del training[name]
    training |= {"kind": FLAGS.kind, "mode": FLAGS.mode, "num_samples": victim.sampling.num_samples}
    training |= {"noise": victim.recorded_scheme, "victim": victim.folder.resolve().name}
    if FLAGS.kind == "distilled":
        training["num_train"] = num_images
    else:
        rounds, step = dataclasses.astuple(jacobian_settings())
        training |= {"num_seed_images": num_images, "augmentation_rounds": rounds, "lambda": step}
    return RunConfig("CNN", dataset.name, dataset.architecture, None, settings.seed, training)


def train(
    oracle: Oracle, settings: TrainingSettings, images: Array, test: Split, config: RunConfig
) -> dict[str, Any]:
    """Train the substitute and compare it with the victim on the test images."""
    folder, substitute = oracle.folder.parent, CNN(config.architecture, config.seed)
    victim = oracle.ask("test", test.images).argmax(1)
    again = oracle.ask("test_again", test.images, first=len(test)).argmax(1)
    common = (oracle, substitute, images, Split(test.images, victim), settings, folder)
    if FLAGS.kind == "distilled":
        queries = substitutes.distil(*common)
    else:
        queries = substitutes.train_by_queries(*common, jacobian_settings())
    found = metrics.predict(substitute.logits, test.pixels).argmax(1)
    figures = substitutes.agreement_figures(found, victim, again, test.labels)
    return {"num_queries": queries, **figures}


def main(arguments: Sequence[str]) -> None:
    """Train the substitute and print how far it agrees with the victim."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    check_flags()
    settings = training_settings()
    victim = classifier_flags.load(FLAGS.victim, __file__)
    dataset = victim.load_data(FLAGS.data_dir)
    images, test = choose_images(dataset)
    settings.steps_per_epoch(len(images))
    folder = pathlib.Path(FLAGS.out) if FLAGS.out else victim.folder / f"substitute_{FLAGS.kind}"
    config = run_config(victim, dataset, settings, len(images))
    prepare_folder(folder, config, FLAGS.resume, CHANGEABLE[FLAGS.kind])
    oracle = Oracle(victim.logits_fn, folder / "answers", victim.model.generator, FLAGS.seed)
    figures = train(oracle, settings, images, test, config)
    results.write_result(folder / "substitute.json", "substitute", config, config.training, figures)
    print(
        f"{folder}: agrees with {victim.config.model} on {figures['agreement']:.3f} of "
        f"{figures['num_images']} test images (the victim with itself "
        f"{figures['victim_self_agreement']:.3f}), {figures['num_queries']} queries"
    )


if __name__ == "__main__":
    app.run(main, define_flags)
