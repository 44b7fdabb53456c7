"""The whole study of one data set: python reproduce/study.py --data fashion_mnist.

Trains the seven classifiers, attacks them, detects the attacks and evaluates their robustness,
with the apps as a user would call them. What is finished is not done again, so a study that was
stopped goes on with the same command. reproduce/tables.py prints what it found.
"""

import pathlib
import shlex
import time
from collections.abc import Iterator, Sequence

from tf_deepbayes.cli.process import quiet_start, run_script

with quiet_start():
    from absl import flags

    from tf_deepbayes.cli import app
    from tf_deepbayes.core.errors import InputError
    from tf_deepbayes.data import datasets
    from tf_deepbayes.models import factorisations

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parents[1]
NUM_TRAIN = 2000  # training images that detectors are fitted on
THRESHOLDS = f"thresholds_published_fpr5_K10_n{NUM_TRAIN}_seed0.json"
PARTS = ("train", "fgsm", "pgd", "mim", "cw", "suite")


def define_flags() -> None:
    """Sizes of the study; the defaults are those of docs/results.md."""
    app.define_path("data", "fashion_mnist", "data set: " + ", ".join(datasets.TASKS))
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "classifiers")
    flags.DEFINE_multi_enum("part", list(PARTS), PARTS, "what to do; may be repeated")
    flags.DEFINE_integer("epochs", 20, "of training")
    flags.DEFINE(app.SizesParser(), "eps", ["0.1", "0.2", "0.3"], "sizes of FGSM and PGD")
    flags.DEFINE_integer("num_images", 200, "images of FGSM and PGD")
    flags.DEFINE_integer("num_images_mim", 100, "images of MIM, at the first size")
    flags.DEFINE_integer("num_images_cw", 50, "images of Carlini and Wagner's attack")
    flags.DEFINE(app.SizeParser(), "cw_c", 10.0, "its constant c")
    flags.DEFINE_integer("num_images_suite", 100, "images of the robustness evaluation")
    flags.DEFINE_integer("lazy_classes", 5, "of the iterated attacks; 0: all classes at each step")
    app.define_path("runs", None, "folder of all runs (default: runs of the project)")


class Study:
    """The commands of the study, run one by one."""

    def __init__(self, runs: pathlib.Path) -> None:
        self.runs = runs

    def train(self, model: str) -> None:
        """Train, or go on training."""
        out = self.runs / FLAGS.data / model
        self._run(f"train/vae.py {model} --epochs {FLAGS.epochs} --resume", "--out", out)

    def attack(self, model: str, attack: str, sizes: Sequence[float], count: int) -> None:
        """Attack at each size, and detect what came out."""
        grid = ",".join(map(str, sizes))
        lazy = "" if attack == "fgsm" else f" --lazy_classes {FLAGS.lazy_classes}"
        self._run(
            f"attack/attack.py --victim {model} --attack {attack} --name {attack} --eps {grid} "
            f"--num_images {count} --batch_size {min(100, count)} --resume{lazy}",
            "--runs",
            self.runs,
        )
        folder = self.runs / FLAGS.data / model
        for name in self._saved(folder, attack, sizes):
            self._detect(model, folder, name)

    def evaluate(self, model: str) -> None:
        """The suite at the first size."""
        thresholds = self.runs / FLAGS.data / model / "detection" / THRESHOLDS
        self._run(
            f"attack/evaluate.py --victim {model} --eps {FLAGS.eps[0]} --resume "
            f"--num_images {FLAGS.num_images_suite} --lazy_classes {FLAGS.lazy_classes}",
            *("--thresholds", thresholds, "--runs", self.runs),
        )

    def _saved(self, folder: pathlib.Path, attack: str, sizes: Sequence[float]) -> Iterator[str]:
        for size in sizes:
            pattern = f"{attack}_{'c' if attack == 'cw' else 'eps'}{size:.2f}*.npz"
            yield from sorted(path.stem for path in (folder / "attacks").glob(pattern))

    def _detect(self, model: str, folder: pathlib.Path, name: str) -> None:
        images, result = folder / "attacks" / f"{name}.npz", folder / "detection" / f"{name}.json"
        if result.is_file() and result.stat().st_mtime > images.stat().st_mtime:
            return
        fitted = folder / "detection" / THRESHOLDS
        known: tuple[object, ...] = ("--num_train", NUM_TRAIN)
        if (
            fitted.is_file()
            and fitted.stat().st_mtime > (folder / "checkpoint.npz").stat().st_mtime
        ):
            known = ("--thresholds", fitted)
        self._run(f"detect/detect.py --victim {model} --attack {name}", *known, "--runs", self.runs)

    def _run(self, command: str, *arguments: object) -> None:
        words = [*shlex.split(command), "--data", FLAGS.data, *map(str, arguments)]
        print(f"{time.strftime('%H:%M:%S')} {shlex.join(words)}", flush=True)
        run_script(ROOT / words[0], *words[1:])


def main(arguments: Sequence[str]) -> None:
    """Part by part, so that the quick ones are there for all models first."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    for model in FLAGS.models:
        factorisations.get(model)
    study = Study(app.project_runs(__file__, FLAGS.runs))
    for part in PARTS:
        for model in FLAGS.models if part in FLAGS.part else ():
            if part == "train":
                study.train(model)
            elif part in ("fgsm", "pgd"):
                study.attack(model, part, FLAGS.eps, FLAGS.num_images)
            elif part == "mim":
                study.attack(model, part, FLAGS.eps[:1], FLAGS.num_images_mim)
            elif part == "cw":
                study.attack(model, part, [FLAGS.cw_c], FLAGS.num_images_cw)
            else:
                study.evaluate(model)


if __name__ == "__main__":
    app.run(main, define_flags)
