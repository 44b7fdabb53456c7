"""Detect saved attacks: deepbayes detect --victim GFZ --data mnist --attack fgsm_eps0.10.

The guard (the victim unless given) scores the images; its detectors are fitted on its logits of
training images, once for all attacks, or read from a file of --thresholds. --fit_only stops after
fitting. Writes
<victim's run>/detection/<attack>[_guard_<model>].json, with --plot the ROC curves next to it, and
after fitting <guard's run>/detection/thresholds_….json. Thresholds other than the published ones at
5% are also part of the result's name: <attack>_quantile_fpr1.json.
"""

import functools
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags, detector_flags
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.reporting.text import detection_line
from tf_deepbayes.runs.guards import Detection
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those of the published script keep their meaning."""
    detector_flags.define()


def main(arguments: Sequence[str]) -> None:
    """Run the detectors and print a line for each."""
    name, part = app.expect_victim(arguments), app.part_given()
    detector_flags.check()
    victim = classifier_flags.load(name)
    attacks = {} if FLAGS.fit_only else saved_attacks_of(victim)
    if part:
        attacks = dict(part.of(list(attacks.items())))
        print(f"part {part}: {', '.join(attacks) or 'no attack'}")
    detection = Detection(
        victim,
        guard=classifier_flags.load(FLAGS.guard) if FLAGS.guard else None,
        load_guard=lambda: classifier_flags.load(FLAGS.guard or name),
        say=functools.partial(print, flush=True),
        **detector_flags.options(),
    )
    if FLAGS.fit_only:
        print(", ".join(detection.fitted[0]))
        found = detection.fitted[1].file_name
        return app.done([detection.by.folder / "detection" / found])
    for asked, attack in attacks.items():
        if attack != asked:
            print(f"{asked} is {attack}")
        elif len(attacks) > 1:
            print(attack)
        for row in detection.figures(attack):
            print(detection_line(row), flush=True)
    return app.done([detection.path(attack) for attack in attacks.values()])


def saved_attacks_of(victim: Run) -> dict[str, str]:
    """{what was asked for: name of the saved attack}."""
    folder = victim.folder / "attacks"
    return {name: saved_attacks.saved_name(folder, name) for name in detector_flags.attack_names()}
