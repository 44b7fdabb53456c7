"""The command line of an attack: what it is, and with which settings."""

from absl import flags

from tf_deepbayes import attacks
from tf_deepbayes.attacks.losses import LOSSES
from tf_deepbayes.attacks.white_box.superwhite import GATHERS
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.detection import selection

FLAGS = flags.FLAGS
# Flag → field of the attacks that it sets, where the attack has it.
OPTIONS = {
    name: name
    for name in (
        *("targeted", "batch_size", "loss", "norm", "nb_iter", "eps_iter", "rand_init", "eot"),
        *("learning_rate", "confidence", "binary_search_steps", "snapshot", "gather"),
        *("delta", "spsa_samples", "p_init", "rescore", "corners", "initial_samples", "votes"),
        *("lazy_classes", "early_stop", "check_every"),
    )
} | {"lbd": "detection_lambda"}


def define() -> None:
    """The flags that `make` reads; left out, an attack has its published settings."""
    flags.DEFINE_string("attack", "fgsm", "attack: " + ", ".join(attacks.ATTACKS))
    flags.DEFINE_bool("targeted", False, "attack towards each wrong class instead of away")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_enum("loss", None, list(LOSSES), "loss that the attack climbs")
    flags.DEFINE_enum("norm", None, ["inf", "2"], "norm of the ball")
    flags.DEFINE_integer("nb_iter", None, "number of steps")
    flags.DEFINE_float("eps_iter", None, "size of a step")
    flags.DEFINE_bool("rand_init", None, "start from a random point of the ball")
    flags.DEFINE_integer("eot", None, "gradients averaged per step")
    flags.DEFINE_integer("lazy_classes", None, "steps between looks at classes far from the top")
    flags.DEFINE_bool("early_stop", None, "of pgd, mim: leave images that are broken for good")
    flags.DEFINE_integer("check_every", None, "of --early_stop: steps between looks at which are")
    flags.DEFINE_float("learning_rate", None, "of cw, whose c is --eps, and spsa")
    flags.DEFINE_float("confidence", None, "of cw, in nats")
    flags.DEFINE_integer("binary_search_steps", None, "of cw")
    flags.DEFINE_bool("snapshot", None, "of superwhite: fool every sample")
    flags.DEFINE_float("lbd", None, "of superwhite: weight of --detector (alone: of logit)")
    flags.DEFINE_enum(
        "gather", None, GATHERS, "of superwhite: whose thresholds an image is held to"
    )
    flags.DEFINE_enum("detector", None, list(selection.DETECTORS), "of superwhite: to slip past")
    flags.DEFINE_float("delta", None, "of spsa: distance of the points probed")
    flags.DEFINE_integer("spsa_samples", None, "of spsa: points probed per step")
    flags.DEFINE_float("p_init", None, "of square: share of the pixels in the first patches")
    flags.DEFINE_integer("rescore", None, "of square, noise: draws that confirm a better image")
    flags.DEFINE_bool("corners", None, "of noise: every value changes by eps")
    flags.DEFINE_integer("initial_samples", None, "of boundary: points for the first normal")
    flags.DEFINE_integer("votes", None, "of boundary: draws per decision")


def make() -> attacks.Attack:
    """The attack with what the flags change; the seed is that of what it draws."""
    options = {field: FLAGS[flag].value for flag, field in OPTIONS.items()}
    if FLAGS.norm is not None:
        options["norm"] = float(FLAGS.norm)
    if "seed" in attacks.fields(FLAGS.attack):
        options["seed"] = FLAGS.seed
    if FLAGS.detector and "detector" not in attacks.fields(FLAGS.attack):
        raise InputError(f"detector does not apply to {FLAGS.attack}; leave it out")
    if FLAGS.early_stop and FLAGS.common_random_numbers:
        raise InputError(
            "an image's noise changes with the batch, which --early_stop makes smaller; leave it "
            "or --common_random_numbers out"
        )
    if FLAGS.check_every is not None and not FLAGS.early_stop:
        raise InputError("--check_every is of --early_stop; give both or neither")
    check_count("batch_size", FLAGS.batch_size)
    return attacks.build(FLAGS.attack, **options)
