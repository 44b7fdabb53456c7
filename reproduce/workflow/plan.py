"""What a profile of the study asks for: runs, rounds of training, attacks, and who detects them.

A profile (reproduce/profiles/*.yaml) holds the sizes and nothing else does; the Snakefile turns
this plan into jobs. A run folder is <runs>/epochs<E>/<data>/<model>[_seed<N>].
"""

import dataclasses
import functools
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

# What an entry of a profile says of the workflow; all else are flags of the command.
OF_THE_WORKFLOW = ("models", "parts", "uses")
LAYERS = ("low", "mid", "high")  # whose features a model such as GBZ_mid classifies


def flags_of(settings: Mapping[str, Any]) -> str:
    """Settings as flags of a command: {"eps": [0.1, 0.2], "save": False} → --eps 0.1,0.2 --nosave.

    Lists are joined by commas, and a switch stands for itself.
    """
    words = []
    for name, value in settings.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{name}", text]
    return shlex.join(words)


@dataclasses.dataclass(frozen=True)
class DataPlan:
    """What is to be done on one data set.

    Attributes:
        name: of the data set.
        settings: the profile's section of it.
        common: flags of every attack.
    """

    name: str
    settings: Mapping[str, Any]
    common: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """The epochs at which the runs are attacked."""
        return int(self.settings["epochs"])

    @property
    def rounds(self) -> list[int]:
        """Epochs at which all runs wait for one another, the last one included."""
        step = int(self.settings.get("round", self.epochs))
        return [*range(step, self.epochs, step), self.epochs]

    def before(self, epochs: int) -> int | None:
        """The round before this one; None for the first."""
        return max((one for one in self.rounds if one < epochs), default=None)

    @functools.cached_property
    def runs(self) -> list[str]:
        """Names of the run folders: seed 0 of all models first."""
        seeds = range(int(self.settings.get("seeds", 1)))
        return [f"{m}_seed{s}" if s else m for s in seeds for m in self.settings["models"]]

    @staticmethod
    def layer_of(run: str) -> str | None:
        """The layer whose features a run classifies; None for a run on images."""
        layer = run.partition("_seed")[0].rpartition("_")[2]
        return layer if layer in LAYERS else None

    def train_flags(self, run: str) -> str:
        """The model of a run, and the flags of its training."""
        name, _, seed = run.partition("_seed")
        own = {"data": self.name, "seed": int(seed or 0), **self.settings.get("train", {})}
        if layer := self.layer_of(run):
            own["layer"] = layer
        model = name.removesuffix(f"_{layer}")
        return f"{model} {flags_of(own | self.settings.get(f'train_{name}', {}))}"

    def extractor_flags(self) -> str:
        """The flags of the training of the network that gives features."""
        return flags_of({"data": self.name, **self.settings.get("extractor", {})})

    def entry(self, name: str, kind: str = "attacks") -> Mapping[str, Any]:
        """The entry of an attack, or of another kind."""
        return self.settings[kind][name]

    def attacks_on(self, run: str) -> list[str]:
        """Names of the entries that attack a run."""
        model = run.partition("_seed")[0]
        entries = self.settings.get("attacks", {}).items()
        return [name for name, own in entries if model in own.get("models", [model])]

    def attack_flags(self, name: str) -> str:
        """The flags of an attack."""
        return flags_of({"attack": name, **self.common, **_of_the_command(self.entry(name))})

    def fit_flags(self) -> str:
        """The flags of fitting the detectors."""
        return flags_of({k: v for k, v in self.settings["detect"].items() if k != "attacks"})

    def parts(self, name: str) -> int:
        """How many jobs share an attack."""
        return int(self.entry(name).get("parts", 1))

    def guards_of(self, run: str) -> Iterator[tuple[str, list[str]]]:
        """(the run that detects, the attacks that it sees): the run itself, then the others."""
        if "detect" in self.settings:
            seen = self.settings["detect"].get("attacks")
            yield run, [name for name in self.attacks_on(run) if not seen or name in seen]
        transferred = [n for n in self.attacks_on(run) if n in self.settings.get("transfer", [])]
        if transferred and "_seed" not in run:
            others = [one for one in self.runs if one != run and "_seed" not in one]
            yield from ((other, transferred) for other in others)

    def evaluations(self) -> list[str]:
        """Names of the entries that evaluate a run."""
        return list(self.settings.get("evaluations", {}))

    def evaluate_flags(self, name: str) -> str:
        """The flags of an evaluation."""
        return flags_of(_of_the_command(self.entry(name, "evaluations")))

    def adaptive_flags(self) -> str:
        """The flags of the attacks that broke a fusion model."""
        return flags_of(_of_the_command(self.settings["adaptive"]))

    def results(self, run: str) -> Iterator[str]:
        """The files, within the run's folder, that all its jobs leave."""
        yield "trained.json"
        yield from (f"attacks/{name}.done.json" for name in self.attacks_on(run))
        yield from (f"detection/{guard}.done.json" for guard, _ in self.guards_of(run))
        yield from (f"evaluation/{name}.done.json" for name in self.evaluations())
        if run in self.settings.get("adaptive", {}).get("models", []):
            yield "adaptive.done.json"


def _of_the_command(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says of the command that it calls."""
    return {name: value for name, value in entry.items() if name not in OF_THE_WORKFLOW}


def read_plan(config: Mapping[str, Any]) -> dict[str, DataPlan]:
    """The plan of each data set of a profile."""
    common = config.get("common", {})
    return {name: DataPlan(name, own, common) for name, own in config["data"].items()}
