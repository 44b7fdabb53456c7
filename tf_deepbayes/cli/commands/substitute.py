"""Train a substitute of a victim: deepbayes substitute --victim GFZ --data mnist_5k.

Writes a run folder, <victim's run>/substitute_<kind>, that every command accepts as a model. It
also holds the victim's answers, and substitute.json with the agreement on test images.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.substitute_runs import SubstituteRun
from tf_deepbayes.training.substitutes import JacobianSettings

FLAGS = flags.FLAGS
# Kind → its default epochs (per round: Papernot et al. 2017) and the flags only it has.
EPOCHS = {"distilled": 20, "jacobian": 10}
OWN_FLAGS = {
    "distilled": ("num_train",),
    "jacobian": ("num_seed_images", "augmentation_rounds", "lambda"),
}


def define_flags() -> None:
    """The flags; a distilled substitute is grey-box, a jacobian one black-box."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the substitute and of the victim's noise")
    with group("Substitute"):
        kinds = "trained on the victim's probabilities, or on its classes"
        flags.DEFINE_enum("kind", "distilled", list(EPOCHS), kinds)
        flags.DEFINE_integer("num_train", None, "distilled: the first N training images (all)")
        text = "jacobian: the last N test images (200 a class)"
        flags.DEFINE_integer("num_seed_images", None, text)
        flags.DEFINE_integer("augmentation_rounds", None, "jacobian: doublings of the images (5)")
        flags.DEFINE(app.SizeParser(), "lambda", None, "jacobian: size of a step, in pixels (0.1)")
    with group("Training"):
        flags.DEFINE_integer("epochs", None, "distilled: 20; jacobian: 10 in each round")
        flags.DEFINE_integer("batch_size", 50, "images per step")
        flags.DEFINE_float("learning_rate", 1e-3, "learning rate of Adam")
        flags.DEFINE_integer("eval_every", 5, "epochs between agreements on test images")
    with group("Files"):
        app.define_path("out", None, "run folder (default: <victim's run>/substitute_<kind>)")
        flags.DEFINE_bool("resume", False, "continue the run in the folder")


def jacobian_settings() -> JacobianSettings | None:
    """Settings from the flags; None if distilled. Flags of the other kind are refused."""
    for kind, names in OWN_FLAGS.items():
        for name in names:
            if kind != FLAGS.kind and FLAGS[name].value is not None:
                raise InputError(f"--{name} does not apply to --kind {FLAGS.kind}; leave it out")
    if FLAGS.kind == "distilled":
        return None
    given = {"augmentation_rounds": FLAGS.augmentation_rounds, "step": FLAGS["lambda"].value}
    return JacobianSettings(**{name: value for name, value in given.items() if value is not None})


def main(arguments: Sequence[str]) -> None:
    """Train the substitute and print how well it agrees with the victim."""
    name, jacobian = app.expect_victim(arguments), jacobian_settings()
    epochs = EPOCHS[FLAGS.kind] if FLAGS.epochs is None else FLAGS.epochs
    settings = TrainingSettings(
        epochs, FLAGS.batch_size, FLAGS.learning_rate, seed=FLAGS.seed, eval_every=FLAGS.eval_every
    )
    victim = classifier_flags.load(name)
    count = FLAGS.num_seed_images if jacobian else FLAGS.num_train
    run, dataset = (
        SubstituteRun(victim, settings, jacobian, count),
        victim.load_data(classifier_flags.data_place()),
    )
    folder = app.given_or(FLAGS.out, victim.folder / f"substitute_{run.kind}")
    figures = run.train(folder, dataset, FLAGS.resume)
    print(
        f"{folder}: agrees with {victim.config.model} on {figures['agreement']:.3f} of "
        f"{figures['num_images']} test images (the victim with itself "
        f"{figures['victim_self_agreement']:.3f}), {figures['num_queries']} queries"
    )
