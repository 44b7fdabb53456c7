"""A run's folder: its name, and where a classifier that a user names is."""

import contextlib
import pathlib

from tf_deepbayes.core.architecture import CODE
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import named
from tf_deepbayes.legacy import published_names
from tf_deepbayes.runs.checkpoints import CONFIG
from tf_deepbayes.runs.zoo import entries

DEFAULT_NUM_SAMPLES = 10
TEXT_RUN = "_text"  # ends the name of a run with the networks of the paper's text


def only_data(name: str, runs: pathlib.Path) -> str:
    """The data set of the only run with that name; InputError when several data sets have one."""
    if entries.is_entry(entry := named(name)):
        return zoo_run(entry, runs).parent.name
    folders = [path for path in runs.glob("*") if path.is_dir()]
    found = [folder.name for folder in folders if _is_there(name, folder.name, runs)]
    if len(found) > 1 and not (pathlib.Path(name) / CONFIG).is_file():
        raise InputError(f"there are runs {name} of {', '.join(sorted(found))}; give data")
    return found[0] if found else "mnist"


def _is_there(name: str, data_name: str, runs: pathlib.Path) -> bool:
    with contextlib.suppress(InputError):  # no such run of this data set
        return (find_run(name, data_name, runs)[0] / CONFIG).is_file()
    return False


def find_run(name: str, data_name: str, runs: pathlib.Path) -> tuple[pathlib.Path, int]:
    """(run folder, K) of a victim or guard named on the command line; a run folder goes first."""
    if entries.is_entry(entry := named(name)):
        return entries.unpack(entry, zoo_run(entry, runs)), DEFAULT_NUM_SAMPLES
    for folder in (named(name), runs / data_name / name):
        if (folder / CONFIG).is_file():
            return folder, DEFAULT_NUM_SAMPLES
    if name.endswith(TEXT_RUN):
        folder, num_samples = find_run(name.removesuffix(TEXT_RUN), data_name, runs)
        return folder.with_name(folder.name + TEXT_RUN), num_samples
    if (published := published_names.parse_victim(name)) is not None:
        model, num_samples, dim_z = published
        return runs / data_name / run_name(model, dim_z), num_samples
    if fusion := published_names.parse_fusion_victim(name):
        model, num_samples, layer = fusion
        return _fusion_run(runs / data_name / run_name(model, None, layer), layer), num_samples
    try:
        return runs / data_name / published_names.model_name(name), DEFAULT_NUM_SAMPLES
    except InputError:
        raise InputError(
            f"no run {name!r}: expected a run folder (with {CONFIG}), a model GFZ … "
            "GBY, MLP, CNN, BNN or A … G trained on --data, or a published name such as bayes_K10_A"
        ) from None


def zoo_run(entry: pathlib.Path, runs: pathlib.Path) -> pathlib.Path:
    """The run folder of a zoo entry: `<runs>/zoo/<data>/<model>`."""
    return runs / entries.RUNS / entries.read_entry(entry)["config"]["data"] / entry.name


def _fusion_run(folder: pathlib.Path, layer: str) -> pathlib.Path:
    """A run on features of a VGG network; InputError when it does not exist."""
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"no fusion model on the VGG features {layer!r}: expected its run folder {folder}; "
            "give a model of images, such as bayes_K10_A"
        )
    return folder


def run_name(
    model: str, dim_z: int | None, layer: str | None = None, networks: str = CODE, seed: int = 0
) -> str:
    """Folder name of a run: the model, and what is not as in the released code.

    That is the size of z, the VGG layer that gives x, the networks, and the seed if it is not 0:
    GBZ_Z32, GBZ_text, GBZ_seed1.
    """
    size, start = f"Z{dim_z}" if dim_z is not None else None, f"seed{seed}" if seed else None
    parts = [model, size, layer, None if networks == CODE else networks, start]
    return "_".join(part for part in parts if part)
