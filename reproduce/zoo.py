"""Put finished runs into the zoo, and write its card: python reproduce/zoo.py --runs runs/epochs100

Weights are rounded to float16 first, and what the card says is measured with the rounded weights.
A run that is in the zoo already is left alone.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from tf_deepbayes.cli.process import quiet_start

with quiet_start():
    import numpy as np
    from absl import flags

    from tf_deepbayes.cli import app as cli
    from tf_deepbayes.core import files, metrics
    from tf_deepbayes.core.errors import InputError
    from tf_deepbayes.data import datasets
    from tf_deepbayes.data.splits import Split
    from tf_deepbayes.reporting.study_tables import markdown_table
    from tf_deepbayes.runs import checkpoints
    from tf_deepbayes.runs.run import Run
    from tf_deepbayes.runs.state.trained import unfinished
    from tf_deepbayes.runs.zoo import entries
    from tf_deepbayes.training.journal import read_history

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parents[1]
COLUMNS = ("model", "data", "epochs", "clean accuracy", "bound, nats", "KL warm-up", "MB")
CARD = """# Trained classifiers

{table}

Clean accuracy: share of the {images} test images that are classified correctly, in one draw of the
classifier's noise (K = 10, seed 0), with the weights as they are stored here. The bound is the mean
ELBO of the last epoch of training, in nats per image. In each folder, `model.json` holds the
settings, the digest of the weights and these figures; `history.csv` has a row for each epoch.

## Use

    python -c "import tf_deepbayes as db; print(db.load_run('zoo/mnist/GBZ').config.model)"
    python attack/attack.py --victim zoo/mnist/GBZ --attack pgd --eps 0.2 --num_images 50

Run these in the folder that holds `zoo/`. The first use makes the run folder
`runs/zoo/<data>/<model>`, where results are kept. An entry cannot be trained further: it has no
optimizer state.

## What they are for

Reference points for research on adversarial robustness: attack them, fit detectors on them, compare
other models with them under the same images, K and noise.

## What they are not for

They are no protection. Every one of them is fooled by perturbations that a person hardly notices,
and none has a certificate. They classify images like those of their data set, nothing else, and say
nothing about the security of a system.

## How they were trained

`python train/vae.py <model> --data <data>` with the published settings (Adam 1e-4, batches of 50,
one draw of z, the epochs of the table, seed 0), on a CPU with one thread. A DBX is trained with a
KL warm-up of 1,000 steps, without which it stays at chance for tens of epochs.

## Known weaknesses

* Their predictions are draws: two calls may disagree, GBZ's most often. Give a seed, more samples,
  or `--noise mixture`.
* Under PGD at ε = .3, DFZ, DFX and DBX lose nearly all accuracy, GFZ, GFY, GBZ and GBY most of it.
* Weights are rounded to float16. Results of the unrounded run differ in some draws.
"""


def define_flags() -> None:
    """Where the runs and the zoo are."""
    cli.define_path("runs", "runs", "folder of the trained runs, <data>/<model> in it")
    flags.DEFINE_string("data", "mnist", "data set of the runs")
    cli.define_path("data_dir", None, "the only folder to search for the data set")
    cli.define_path("zoo", str(ROOT / "zoo"), "the zoo")


def clean_accuracy(run: Run, test: Split) -> float:
    """The share of test images that are right, in the first draw of the run's noise."""
    run.reseed(0)
    predicted = metrics.predict(run.logits_fn, test.pixels).argmax(1)
    return metrics.accuracy(predicted, test.labels)


def round_weights(run: Run) -> None:
    """The weights as the zoo stores them."""
    rounded = entries.rounded({str(i): w for i, w in enumerate(run.model.get_weights())})
    run.model.set_weights([array.astype(np.float32) for array in rounded.values()])


def about(folder: pathlib.Path, data_dir: str | None) -> dict[str, Any]:
    """What the card says of a run."""
    run = Run.load(folder)
    round_weights(run)
    test = run.load_data(data_dir).test
    last = read_history(folder)[-1]
    return {
        "clean_accuracy": clean_accuracy(run, test),
        "num_images": len(test.labels),
        "num_samples": run.sampling.num_samples,
        "bound": float(last["bound"]),
    } | small_accuracy(run)


def small_accuracy(run: Run) -> dict[str, float]:
    """Accuracy on 200 digits of a package, by which an entry can be checked anywhere."""
    if run.config.data != "mnist":
        return {}
    test = datasets.load("mnist_5k").test
    return {
        "accuracy_mnist_5k_200": clean_accuracy(run, Split(test.images[:200], test.labels[:200]))
    }


def pack_runs(runs: pathlib.Path, zoo: pathlib.Path) -> None:
    """Pack each finished run that the zoo does not hold."""
    for folder in sorted(path.parent for path in runs.glob(f"*/{checkpoints.TRAINED}")):
        entry = zoo / folder.parent.name / folder.name
        missing = unfinished(folder, checkpoints.load_config(folder).training)
        if missing or entries.is_entry(entry):
            print(f"{folder}: {missing or f'is in the zoo already ({entry})'}")
            continue
        found = about(folder, FLAGS.data_dir)
        entries.pack(folder, entry, found)
        print(f"{entry}: clean accuracy {found['clean_accuracy']:.4f}")


def card(zoo: pathlib.Path) -> str:
    """The zoo's README, of what is in it."""
    rows: list[list[str]] = []
    images = 0
    for path in sorted(zoo.glob(f"*/*/{entries.MODEL}")):
        content = entries.read_entry(path.parent)
        config, trained, measured = (content[k] for k in ("config", "trained", "about"))
        size = sum(file.stat().st_size for file in path.parent.iterdir()) / 1e6
        images = measured["num_images"]
        values = (
            path.parent.name,
            config["data"],
            trained["epochs"],
            f"{measured['clean_accuracy']:.4f}",
            f"{measured['bound']:.2f}",
            config["training"].get("kl_warm_up", 0),
            f"{size:.1f}",
        )
        rows.append([str(value) for value in values])
    if not rows:
        raise InputError(f"{zoo} has no entry; train a run to its end first")
    return CARD.format(table=markdown_table(COLUMNS, rows), images=f"{images:,}")


def main(arguments: Sequence[str]) -> None:
    """Pack, then write the card."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    zoo = pathlib.Path(FLAGS.zoo)
    pack_runs(pathlib.Path(FLAGS.runs) / FLAGS.data, zoo)
    files.write_text(zoo / "README.md", card(zoo))


if __name__ == "__main__":
    cli.run(main, define_flags)
