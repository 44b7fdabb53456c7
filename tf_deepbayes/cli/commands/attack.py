"""Attack a trained classifier: deepbayes attack --victim GFZ --data mnist --eps 0.1,0.2.

Writes <run>/attacks/<attack>_eps<eps>.json and, with --save, the images next to it as .npz.
Finished batches are kept while the attack runs; --resume continues from them. Several processes
can share the work: each does one --part, then one more run with --merge makes the result.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, attack_flags, classifier_flags
from tf_deepbayes.core.devices import local_devices
from tf_deepbayes.core.validation import check_eps
from tf_deepbayes.reporting.text import attack_line
from tf_deepbayes.runs.attack import RunAttack
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those of the published scripts keep their meaning."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the classifier's noise and the attack's draws")
    attack_flags.define()
    attack_flags.define_options()
    app.define_precision_flags()
    app.define_devices_flag()


def load_runs() -> tuple[Run, Run]:
    """The victim, and the run whose gradients are followed."""
    victim = classifier_flags.load(FLAGS.victim)
    return victim, classifier_flags.load(FLAGS.substitute) if FLAGS.substitute else victim


def main(arguments: Sequence[str]) -> None:
    """Attack at each ε and print one line for each."""
    app.expect_victim(arguments)
    part = app.part_given()
    grid, attack = [check_eps(eps) for eps in FLAGS.eps], attack_flags.make()
    devices = local_devices(FLAGS.devices)
    attack_flags.warn_of_large(grid, attack)
    prepared = RunAttack(
        attack, attack_flags.options(), load_runs, classifier_flags.data_place(), devices
    )
    print(prepared)
    for eps in grid:
        if part:
            print(prepared.part_at(eps, part), flush=True)
            continue
        print(attack_line(eps, prepared.at(eps)), flush=True)
    app.done([] if part else [prepared.path(eps) for eps in grid])
