"""Attack a trained classifier: python attack/attack.py --victim GFZ --data mnist --eps 0.1,0.2.

Writes <run>/attacks/<attack>_eps<eps>.json and, with --save, the images beside it as .npz.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes import attacks, cli, data, results
from tf_deepbayes.attacks.losses import LOSSES
from tf_deepbayes.attacks.runner import Outcome, Target, run
from tf_deepbayes.classifier import MODES
from tf_deepbayes.errors import InputError
from tf_deepbayes.validation import check_count, check_eps
from tf_deepbayes.victims import Victim

FLAGS = flags.FLAGS
# Fields of the attacks that have a flag of the same name.
OPTIONS = (
    *("targeted", "batch_size", "loss", "norm", "nb_iter", "eps_iter", "rand_init", "eot"),
    *("learning_rate", "confidence", "binary_search_steps", "delta", "spsa_samples", "p_init"),
    *("rescore", "corners", "initial_samples", "votes"),
)


def define_flags() -> None:
    """The flags; those of the published script keep their meaning."""
    flags.DEFINE_string("victim", None, "run folder, model name or letter, or bayes_K10_A")
    flags.DEFINE_string("data", "mnist", "data set of the victim: " + ", ".join(data.TASKS))
    flags.DEFINE_string("attack", "fgsm", "attack: " + ", ".join(attacks.ATTACKS))
    flags.DEFINE_list("eps", ["0.1"], "sizes of the perturbation, separated by commas")
    flags.DEFINE_bool("targeted", False, "attack towards each wrong class instead of away")
    flags.DEFINE_bool("save", True, "save the adversarial images")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_integer("num_images", None, "attack the first N test images only")
    flags.DEFINE_integer("num_samples", None, "K (default: of the victim's name, or 10)")
    flags.DEFINE_enum("mode", "sample", MODES, "how z is sampled")
    flags.DEFINE_integer("seed", 0, "of the classifier's noise and the attack's draws")
    flags.DEFINE_enum("loss", None, list(LOSSES), "loss that the attack climbs")
    flags.DEFINE_enum("norm", None, ["inf", "2"], "norm of the ball")
    flags.DEFINE_integer("nb_iter", None, "number of steps")
    flags.DEFINE_float("eps_iter", None, "size of a step")
    flags.DEFINE_bool("rand_init", None, "start from a random point of the ball")
    flags.DEFINE_integer("eot", None, "gradients averaged per step")
    flags.DEFINE_float("learning_rate", None, "of cw, whose c is --eps, and spsa")
    flags.DEFINE_float("confidence", None, "of cw, in nats")
    flags.DEFINE_integer("binary_search_steps", None, "of cw")
    flags.DEFINE_float("delta", None, "of spsa: distance of the points probed")
    flags.DEFINE_integer("spsa_samples", None, "of spsa: points probed per step")
    flags.DEFINE_float("p_init", None, "of square: share of the pixels in the first patches")
    flags.DEFINE_integer("rescore", None, "of square, noise: draws that confirm a better image")
    flags.DEFINE_bool("corners", None, "of noise: every value changes by eps")
    flags.DEFINE_integer("initial_samples", None, "of boundary: points for the first normal")
    flags.DEFINE_integer("votes", None, "of boundary: draws per decision")
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


def make_attack() -> attacks.Attack:
    """The attack with what the flags change; the seed is that of its draws."""
    options = {name: FLAGS[name].value for name in OPTIONS}
    if FLAGS.norm is not None:
        options["norm"] = float(FLAGS.norm)
    if hasattr(attacks.ATTACKS.get(FLAGS.attack), "seed"):
        options["seed"] = FLAGS.seed
    check_count("batch_size", FLAGS.batch_size)
    return attacks.build(FLAGS.attack, **options)


def eps_grid(values: Sequence[str]) -> list[float]:
    """The ε-grid of the command line."""
    try:
        return [check_eps(float(value)) for value in values]
    except ValueError as error:
        raise InputError(f"--eps must be numbers separated by commas: {error}") from None


def save(
    victim: Victim, attack: attacks.Attack, eps: float, target: Target, found: Outcome
) -> None:
    """Images first, then the JSON that speaks of them."""
    name = results.attack_name(FLAGS.attack, eps, attack.targeted)
    folder = victim.folder / "attacks"
    if FLAGS.save:
        results.write_attack_arrays(folder / f"{name}.npz", target, found)
    settings = {
        "attack": repr(attack),
        "eps": eps,
        "num_samples": victim.num_samples,
        "mode": FLAGS.mode,
        "seed": FLAGS.seed,
        "num_images": FLAGS.num_images,
        "images": f"{name}.npz" if FLAGS.save else None,
    }
    results.write_result(folder / f"{name}.json", "attack", victim.config, settings, found.figures)


def main(arguments: Sequence[str]) -> None:
    """Attack at each ε and print a line for it."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    grid, attack = eps_grid(FLAGS.eps), make_attack()
    runs = pathlib.Path(FLAGS.runs) if FLAGS.runs else cli.project_runs(__file__)
    victim = Victim.load(FLAGS.victim, FLAGS.data, runs, FLAGS.num_samples, FLAGS.mode, FLAGS.seed)
    test = victim.load_data(FLAGS.data_dir).test.first(FLAGS.num_images)
    target = Target.of(
        victim.logits_fn,
        test.pixels,
        test.labels,
        attack.targeted,
        attack.batch_size,
        getattr(attack, "loss", "cross_entropy"),
    )
    print(f"{victim.config.model} on {victim.config.data}: {attack}, {len(test)} images")
    for eps in grid:
        found = run(attack, victim.logits_fn, target, eps)
        save(victim, attack, eps, target, found)
        f = found.figures
        print(
            f"eps {eps:.2f}  success {cli.share(f['success_rate'])}"
            f"  accuracy {f['clean_accuracy']:.3f} -> {f['accuracy']:.3f}"
            f"  l2 {f['perturbation']['l2']['mean']:.2f}"
            f"  zero gradients {f['zero_gradients']:.3f}"
            f"  clean predictions that change {f['clean_prediction_changes']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    cli.run(main, define_flags)
