"""The command line of a detection: which attack, which detectors."""

import pathlib
from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.detection import selection, thresholds
from tf_deepbayes.legacy.published_names import saved_attack_name
from tf_deepbayes.runs.state.done import read_done

FLAGS = flags.FLAGS
FIT_FLAGS = ("false_positive_rate", "threshold", "num_train")  # fixed by a file of thresholds
OPTIONS = (
    *("detectors", "thresholds", "num_train", "threshold", "indices", "num_clean", "batch_size"),
    *("save", "plot", "overwrite", "resume", "merge"),
)


def define() -> None:
    """The flags; those of the published script keep their meaning."""
    with group("Classifier"):
        app.define_path("victim", None, "the attacked classifier, as for attack")
        app.define_path("guard", None, "the classifier that detects (default: the victim)")
    classifier_flags.define("the guard")
    with group("Attack"):
        flags.DEFINE(
            app.NamesParser(),
            "attack",
            ["fgsm_eps0.10"],
            "names of saved attacks, ours or published, separated by commas",
        )
        flags.DEFINE(
            app.PathsParser(),
            "attacked",
            None,
            "the attacks that these files of --done name",
        )
        flags.DEFINE_bool("targeted", False, "the attack was targeted: its name ends in _targeted")
        flags.DEFINE(
            app.PathsParser(), "indices", None, "only images in all of these files of extract-index"
        )
        flags.DEFINE_integer("num_clean", 1000, "clean test images for the false-positive rate")
    with group("Detectors"):
        names = ", ".join(selection.DETECTORS)
        flags.DEFINE_list("detectors", None, f"some of {names} (default: all that p(x) allows)")
        flags.DEFINE_float("false_positive_rate", 5.0, "percent of training images to reject")
        kinds = list(thresholds.THRESHOLDS)
        flags.DEFINE_enum("threshold", "published", kinds, "kind of threshold")
        flags.DEFINE_integer("num_train", None, "fit on the first N training images (default: all)")
        app.define_path("thresholds", None, "fitted detectors to read instead of fitting")
        flags.DEFINE_bool("fit_only", False, "fit the detectors and stop")
    with group("Results"):
        flags.DEFINE_bool("save", True, "write the result and the fitted detectors")
        flags.DEFINE_bool("resume", False, "keep fitted detectors and results that are on disk")
        flags.DEFINE_bool("overwrite", False, "replace a result that has other settings")
        app.define_part_flags("the attacks")
        app.define_done_flag()
        flags.DEFINE_bool("plot", False, "plot the ROC curves as PNG next to the result")
    with group("Computing"):
        flags.DEFINE_integer("batch_size", 100, "images at a time")


def check() -> None:
    """Refuse invalid flags before anything is loaded."""
    if FLAGS.attacked and FLAGS["attack"].present:
        raise InputError("--attack and --attacked both name attacks; leave one out")
    check_count("batch_size", FLAGS.batch_size)
    check_count("num_clean", FLAGS.num_clean)
    if FLAGS.plot and not FLAGS.save:
        raise InputError("--plot is written next to the result, which --nosave skips; drop one")
    if FLAGS.fit_only and (FLAGS.thresholds or not FLAGS.save):
        raise InputError("--fit_only writes fitted detectors; leave out --thresholds and --nosave")
    given = [f"--{name}" for name in FIT_FLAGS if FLAGS[name].present]
    if FLAGS.thresholds and given:
        raise InputError(f"{', '.join(given)} and --thresholds exclude each other; leave one out")
    rate = FLAGS.false_positive_rate
    if not 0.0 < rate < 100.0:
        raise InputError(f"--false_positive_rate must be in (0, 100) percent, got {rate}")


def attack_names() -> list[str]:
    """Names of the saved attacks' files."""
    if FLAGS.attacked:
        files = (read_done(pathlib.Path(path)) for path in FLAGS.attacked)
        return [result.stem for results in files for result in results]
    data, ending = classifier_flags.data_name(), "_targeted" if FLAGS.targeted else ""
    names = [saved_attack_name(name, data) for name in FLAGS.attack]
    return [name if name.endswith("_targeted") else name + ending for name in names]


def options() -> dict[str, Any]:
    """The flags that are fields of `Detection`."""
    rate = FLAGS.false_positive_rate / 100.0
    given = {name: FLAGS[name].value for name in OPTIONS}
    return given | {"false_positive_rate": rate, "data_dir": classifier_flags.data_place()}
