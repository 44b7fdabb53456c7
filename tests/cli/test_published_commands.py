"""Every command of the published code has one here, which is run on few images.

Training has the published sizes; what comes after it is tried on small untrained networks.
"""

import json
import pathlib
import pickle

import numpy as np
import pytest

from tests import small
from tests.conftest import App, app_environment
from tests.data.test_datasets import idx
from tests.forked_app import run_app
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.data import datasets, places, readers
from tf_deepbayes.legacy import published_names, variables
from tf_deepbayes.runs import checkpoints

SMALL = {
    "mnist": Architecture((28, 28, 1), num_classes=10, dim_z=4, dim_h=16, channels=(2, 3, 4)),
    "plane_frog": Architecture((32, 32, 3), num_classes=2, dim_z=4, dim_h=16, channels=(2, 3, 4)),
}
TRAIN, ATTACK, DETECT = "train/vae.py", "attack/attack.py", "detect/detect.py"
EXTRACT = "attack/extract_index.py"
# What makes a command short. What it does is in the command itself.
SHORT = {
    TRAIN: "--epochs 1 --num_train 50",
    ATTACK: "--eval_draws 1 --num_train 50",
    DETECT: "--num_clean 10 --num_train 50",
    EXTRACT: "",
}


def write_data(folder: pathlib.Path) -> None:
    """A tiny MNIST and CIFAR-10 in their own formats."""
    random = np.random.default_rng(0)
    for split, count in (("train", 50), ("t10k", 20)):
        pixels = random.integers(256, size=(count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(pixels, 2051))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels, 2049))
    cifar = folder / places.CIFAR_FOLDER
    cifar.mkdir()
    for name in [*readers.CIFAR_FILES["train"], *readers.CIFAR_FILES["test"]]:
        pixels = random.integers(256, size=(100, 3072), dtype=np.uint8)
        batch = {"data": pixels, "labels": [int(i) for i in np.arange(100) % 10]}
        (cifar / name).write_bytes(pickle.dumps(batch, protocol=2))


class Published:
    """The apps, with their runs and data in a folder of their own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.runs, self.data = folder, folder / "runs", folder / "data"
        self.data.mkdir()
        write_data(self.data)

    def arguments(self, command: str) -> list[str]:
        """Those of a command as it is typed, made short; the first is the script."""
        script, *arguments = command.split()
        where = ["--data_dir", str(self.data)]
        where += [] if script == TRAIN else ["--runs", str(self.runs)]
        return [script, *SHORT[script].split(), *where, *arguments]

    def __call__(self, command: str) -> str:
        """The output of a command that works."""
        script, *arguments = self.arguments(command)
        environment = app_environment(str(self.folder))
        done = run_app(script, arguments, self.folder, environment, 600.0)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def untrained(self, letter: str, data_name: str = "mnist") -> pathlib.Path:
        """The run folder of a small classifier with random weights."""
        name = published_names.LETTERS[letter]
        folder = self.runs / data_name / name
        if not folder.exists():
            config = checkpoints.RunConfig(name, data_name, SMALL[data_name], "l2", 0, {})
            checkpoints.create(folder, config, small.classifier(name, SMALL[data_name]))
        return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("published"))


def figures(path: pathlib.Path) -> dict:
    return json.loads(path.read_text())["figures"]


@pytest.mark.parametrize("letter", published_names.LETTERS)
def test_train_on_mnist(letter: str, published: Published) -> None:
    """`python vae_mnist.py A`: the sizes are the published ones."""
    folder = published.folder / "trained" / letter
    published(f"{TRAIN} {letter} --data mnist --out {folder}")
    model, config = checkpoints.load_model(folder)
    assert config.architecture == datasets.architecture("mnist")
    assert (config.training["batch_size"], config.training["learning_rate"]) == (50, 1e-4)
    assert len(variables.params_from_model(model)) > 0


def test_train_on_planes_and_frogs(published: Published) -> None:
    """`python vae_cifar_binary.py A`."""
    folder = published.folder / "binary"
    published(f"{TRAIN} A --data plane_frog --out {folder}")
    config = checkpoints.load_config(folder)
    assert config.architecture == datasets.architecture("plane_frog")
    assert (config.training["batch_size"], config.training["learning_rate"]) == (50, 5e-5)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("fgsm --eps 0.1", "fgsm_eps0.10"),
        ("pgd --eps 0.1 --nb_iter 2", "pgd_nb_iter2_eps0.10"),
        ("mim --eps 0.1 --nb_iter 2", "mim_nb_iter2_eps0.10"),
        ("cw --eps 10 --nb_iter 2", "cw_nb_iter2_c10.00_lr0.010"),
        ("fgsm --eps 0.1 --targeted", "fgsm_eps0.10_targeted"),
    ],
)
def test_attack(flags: str, name: str, published: Published) -> None:
    """`python attack.py --data mnist --attack fgsm --eps 0.1 --victim bayes_K10_A --save`."""
    folder = published.untrained("A") / "attacks"
    published(f"{ATTACK} --data mnist --attack {flags} --victim bayes_K10_A --save")
    count = 20 * 9 if "targeted" in flags else 20
    assert figures(folder / f"{name}.json")["num_images"] == count
    with np.load(folder / f"{name}.npz") as saved:
        assert saved["adversarial"].shape == (count, 28, 28, 1)


@pytest.fixture(scope="module")
def attacked(published: Published) -> pathlib.Path:
    """A victim A with a saved FGSM."""
    folder = published.untrained("A")
    if not (folder / "attacks" / "fgsm_eps0.10.npz").exists():
        published(f"{ATTACK} --data mnist --attack fgsm --eps 0.1 --victim bayes_K10_A --save")
    return folder


def test_detect(published: Published, attacked: pathlib.Path) -> None:
    """`python detect_attacks_logp.py --victim bayes_K10_A_cnn --guard bayes_K10_A …`."""
    flags = "--victim bayes_K10_A_cnn --guard bayes_K10_A --data mnist --save"
    published(f"{DETECT} {flags} --attack fgsm_eps0.10")
    rows = figures(attacked / "detection" / "fgsm_eps0.10_guard_GFZ.json")
    assert [row["detector"] for row in rows] == ["marginal", "logit", "kl", "tv"]


def test_detect_a_transferred_attack(published: Published, attacked: pathlib.Path) -> None:
    """The guard is another model; the name is that of the published file; nothing is saved."""
    published.untrained("B")
    flags = "--victim bayes_K10_A_cnn --guard bayes_K10_B --data mnist"
    before = sorted(attacked.parent.rglob("*"))
    printed = published(f"{DETECT} {flags} --attack fgsm_eps0.10_untargeted --nosave")
    assert "marginal" in printed and sorted(attacked.parent.rglob("*")) == before
    published(f"{DETECT} {flags} --attack fgsm_eps0.10_untargeted")
    rows = figures(attacked / "detection" / "fgsm_eps0.10_guard_GFY.json")
    assert all("transferred" in row for row in rows)


def test_superwhite(published: Published) -> None:
    """`python attack_superwhite.py --victim bayes_K10_F --eps 0.2 --lbd 0.1 --save --snapshot`."""
    folder = published.untrained("F")
    flags = "--victim bayes_K10_F --eps 0.2 --data mnist --lbd 0.1 --save --snapshot"
    published(f"{ATTACK} --attack superwhite {flags} --nb_iter 2")
    name = "superwhite_nb_iter2_snapshot_eps0.20_lambda0.1"
    result = json.loads((folder / "attacks" / f"{name}.json").read_text())
    # The published attack slips past the logit detector.
    attack = result["settings"]["attack"]
    assert attack["detector"]["name"] == "logit" and attack["snapshot"] is True
    detect = "--victim bayes_K10_F_cnn --guard bayes_K10_F --data mnist"
    printed = published(f"{DETECT} {detect} --attack superwhite_eps0.20_lambda0.1")
    assert printed.startswith(f"superwhite_eps0.20_lambda0.1 is {name}")
    path = folder / "detection" / f"{name}_guard_GBZ.json"
    assert len(figures(path)) == 4


def test_planes_and_frogs_that_all_models_get_right(published: Published) -> None:
    """`python extract_index.py bayes_K10_A plane_frog`; what is common to all."""
    folders = [published.untrained(letter, "plane_frog") for letter in "AB"]
    published(f"{ATTACK} --data plane_frog --victim bayes_K10_A")
    for letter in "AB":
        printed = published(f"{EXTRACT} --data plane_frog --victim bayes_K10_{letter}")
        assert "of 20 test images are classified correctly" in printed
    files = [folder / "indices.json" for folder in folders]
    common = sorted(set.intersection(*(set(figures(file)["indices"]) for file in files)))
    assert 0 < len(common) < 20
    indices = f"--indices {files[0]},{files[1]}"

    flags = "--victim bayes_K10_A --guard bayes_K10_B --data plane_frog --attack fgsm_eps0.10"
    published(f"{DETECT} {flags} {indices} --num_clean 20")
    path = folders[0] / "detection" / "fgsm_eps0.10_guard_GFY.json"
    with np.load(folders[0] / "attacks" / "fgsm_eps0.10.npz") as saved:
        fooled = saved["adversarial_logits"].argmax(1) != saved["labels"]
    assert {row["successful_attacks"] for row in figures(path)} == {fooled[common].sum()}

    few = f"--victim bayes_K10_A --data plane_frog --num_images {min(3, len(common))}"
    published(f"{ATTACK} {few} {indices} --name common")
    with np.load(folders[0] / "attacks" / "common_eps0.10.npz") as saved:
        assert saved["indices"].tolist() == common[:3]
        test = datasets.load("plane_frog", published.data).test
        np.testing.assert_array_equal(saved["labels"], test.labels[common[:3]])


def test_a_fusion_model_without_a_run_is_one_line(published: Published, fresh_app: App) -> None:
    """`python attack.py --victim fea_K10_F_mid --data cifar10`."""
    done = fresh_app(*published.arguments(f"{ATTACK} --victim fea_K10_F_mid --data cifar10"))
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "no fusion model on the VGG" in done.stderr
