"""Training: resumable to the bit, logged, stopped by NaN with the last checkpoint kept."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.small import IMAGES, images
from tf_deepbayes.core.errors import StopRequested, TrainingDivergedError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import GBY
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.training import journal, minibatches
from tf_deepbayes.training.journal import read_history
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.train import train

PIXELS = (255 * images(33)).astype(np.uint8)
DATA = Split(PIXELS, np.arange(33) % 3)


def settings(epochs: int, **changes: float) -> TrainingSettings:
    return TrainingSettings(epochs=epochs, batch_size=8, learning_rate=1e-2, **changes)  # type: ignore[arg-type]


def run(folder: pathlib.Path, epochs: int, **changes: float) -> LatentClassifier:
    model = GBY(IMAGES, seed=5)
    train(model, DATA, DATA, settings(epochs, **changes), folder, verbose=False)
    return model


def checkpoint(folder: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(folder / checkpoints.CHECKPOINT) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of three epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, 3)
    return folder


def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(
    whole: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for epochs in (1, 3):
        run(tmp_path, epochs)
    expected, parts = checkpoint(whole), checkpoint(tmp_path)
    assert expected.keys() == parts.keys() and expected["epoch"] == 3
    for name, value in expected.items():
        np.testing.assert_array_equal(value, parts[name])
    histories = [read_history(folder) for folder in (whole, tmp_path)]
    assert [row["bound"] for row in histories[0]] == [row["bound"] for row in histories[1]]


def test_a_run_stopped_inside_an_epoch_repeats_that_epoch(
    whole: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoints.save

    def power_cut(folder: pathlib.Path, model: object, optimizer: object, epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        save(folder, model, optimizer, epoch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save", power_cut)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", 3)
    assert checkpoint(tmp_path / "cut")["epoch"] == 1
    run(tmp_path / "cut", 3)
    assert [row["epoch"] for row in read_history(tmp_path / "cut")] == ["1", "2", "3"]
    for name, value in checkpoint(whole).items():
        np.testing.assert_array_equal(value, checkpoint(tmp_path / "cut")[name])


def test_training_that_is_asked_to_stop_keeps_the_last_whole_epoch(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([False, True])
    monkeypatch.setattr(journal, "stop_requested", lambda: next(asked))
    with pytest.raises(StopRequested, match=r"checkpoint of the last whole epoch is kept in "):
        run(tmp_path, 3)
    assert checkpoint(tmp_path)["epoch"] == 1


def test_logs_that_cannot_be_written_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"exists|directory|Input/output") as caught:
        run(tmp_path, 1)
    assert caught.value.filename == str(tmp_path / "tensorboard")


def test_an_epoch_is_a_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(GBY(IMAGES), DATA, DATA, settings(2), tmp_path)
    out, err = capsys.readouterr()
    number, share = r"-?\d+\.\d+", r"[01]\.\d{3}"
    first, last = out.splitlines()
    assert re.fullmatch(rf"epoch 1 of 2: bound {number}, \d+ s", first)
    assert re.fullmatch(rf"epoch 2 of 2: bound {number}, val_accuracy {share}, \d+ s", last)
    assert not err


def test_the_bound_rises_and_its_terms_add_up(tmp_path: pathlib.Path) -> None:
    bright = Split(np.full_like(PIXELS, 230), DATA.labels)
    train(GBY(IMAGES), bright, DATA, settings(15, eval_every=5), tmp_path, verbose=False)
    rows = read_history(tmp_path)
    bounds = [float(row["bound"]) for row in rows]
    assert bounds[-1] > bounds[0] + 10
    terms = [name for name in rows[0] if "(" in name]
    assert set(terms) == {"p(y)", "p(z|y)", "p(x|z)", "q(z|x,y)"}
    for row in rows:
        total = sum(float(row[name]) for name in terms)
        assert float(row["bound"]) == pytest.approx(total, rel=1e-5)
    validated = [row["epoch"] for row in rows if row["val_accuracy"]]
    assert validated == ["5", "10", "15"]
    assert list((tmp_path / "tensorboard").iterdir())


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: pathlib.Path) -> None:
    run(tmp_path, 1)
    before = checkpoint(tmp_path)
    model = GBY(IMAGES, seed=5)
    bad = TrainingSettings(epochs=3, batch_size=8, learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match=r"not finite.*kept.*smaller learning rate"):
        train(model, DATA, DATA, bad, tmp_path, verbose=False)
    after = checkpoint(tmp_path)
    assert after["epoch"] == 1
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    def first(seed: int, epoch: int) -> np.ndarray:
        return next(iter(minibatches.batches(DATA, 3, 8, seed, epoch)))[0].numpy()

    np.testing.assert_array_equal(first(0, 2), first(0, 2))
    assert np.abs(first(0, 2) - first(0, 3)).max() > 0
    assert np.abs(first(0, 2) - first(1, 2)).max() > 0
    one_epoch = list(minibatches.batches(DATA, 3, 8, 0, 0).take(4))
    rows = {image.tobytes() for x, _ in one_epoch for image in x.numpy()}
    assert len(rows) == 32
    assert all(tf.reduce_max(x) <= 1.0 and y.shape == (8, 3) for x, y in one_epoch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number above 0, got -1"),
        ({"num_samples": 0}, "num_samples"),
        ({"beta": float("nan")}, "beta"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**changes)


def test_too_few_images_for_a_batch_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="batch size 8 is more than the 4 training images"):
        train(GBY(IMAGES), DATA.first(4), DATA, settings(1), tmp_path, verbose=False)


def test_published_settings() -> None:
    assert TrainingSettings.for_data("mnist") == TrainingSettings(100, 50, 1e-4, 1)
    assert TrainingSettings.for_data("plane_frog") == TrainingSettings(200, 50, 5e-5, 1)


def config(**changes: object) -> RunConfig:
    fields = {"model": "GBY", "data": "mnist", "architecture": IMAGES, "likelihood": "l2"}
    return RunConfig(**{**fields, "seed": 5, "training": {}, **changes})  # type: ignore[arg-type]


class TestCheckpoints:
    @pytest.fixture
    def folder(self, tmp_path: pathlib.Path) -> pathlib.Path:
        checkpoints.save_config(tmp_path, config())
        checkpoints.save(tmp_path, GBY(IMAGES, seed=9), epoch=7)
        return tmp_path

    def test_a_model_comes_back_exactly(self, folder: pathlib.Path) -> None:
        model, found = checkpoints.load_model(folder)
        assert found == config()
        x = images(2)
        np.testing.assert_array_equal(
            model.logits(x, mode="mean"), GBY(IMAGES, seed=9).logits(x, mode="mean")
        )

    @pytest.mark.parametrize("size", [0, 10, 1000, -1])
    def test_a_truncated_checkpoint_is_refused(self, folder: pathlib.Path, size: int) -> None:
        path = folder / checkpoints.CHECKPOINT
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"checkpoint.npz is damaged"):
            checkpoints.load_model(folder)

    def test_a_flipped_byte_is_refused(self, folder: pathlib.Path) -> None:
        path = folder / checkpoints.CHECKPOINT
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(bytes(content))
        with pytest.raises(ValueError, match=r"checkpoint.npz is damaged"):
            checkpoints.load_model(folder)

    def test_another_architecture_is_refused_and_nothing_is_loaded(
        self, folder: pathlib.Path
    ) -> None:
        other = GBY(IMAGES.replace(dim_z=5), seed=1)
        before = [w.numpy() for w in other.weights]
        with pytest.raises(ValueError, match=r"does not match the architecture: expected weights/"):
            checkpoints.restore(folder, other)
        for weight, value in zip(other.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_missing_pieces_are_named(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(ValueError, match=r"is not a run folder: expected config.json"):
            checkpoints.load_model(tmp_path)
        checkpoints.save_config(tmp_path, config())
        with pytest.raises(ValueError, match=r"no checkpoint.npz yet"):
            checkpoints.load_model(tmp_path)
        (tmp_path / checkpoints.CONFIG).write_text("{")
        with pytest.raises(ValueError, match=r"cannot read .*config.json as JSON"):
            checkpoints.load_model(tmp_path)
        (tmp_path / checkpoints.CONFIG).write_text("{}")
        with pytest.raises(ValueError, match="not a run's configuration"):
            checkpoints.load_model(tmp_path)

    def test_a_failed_write_leaves_the_old_file_and_no_other(
        self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

        def full_disk(file: object, **arrays: object) -> None:
            file.write(b"half")  # type: ignore[attr-defined]
            raise OSError("no space left")

        monkeypatch.setattr(np, "savez", full_disk)
        with pytest.raises(OSError, match="no space left"):
            checkpoints.save(folder, GBY(IMAGES), epoch=8)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
