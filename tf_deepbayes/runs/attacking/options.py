"""How a run is attacked, apart from the attack itself."""

import dataclasses
from collections.abc import Mapping, Sequence

from tf_deepbayes.evaluation import result_names
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS
from tf_deepbayes.runs.indices import IN_FILE_ORDER
from tf_deepbayes.runs.state.identity import substitute_parts


@dataclasses.dataclass(frozen=True)
class AttackOptions:
    """How a run is attacked, apart from the attack itself.

    Attributes:
        name: name of the results, to which the size is added; None: the attack's, with every
            setting that is not the published one, see `evaluation.result_names`.
        num_images: attack only the first images.
        indices: files; attack the test images that are in all of them.
        image_order: "file", as the test set has them, or "random", see `indices.test_indices`.
        attack_samples: K that the attack uses; None: the victim's.
        eval_draws: draws of noise that the result is scored on.
        common_random_numbers: use the same noise in every step of the attack.
        label_only: follow log p(y|·) alone.
        substitute: name of the run whose gradients are followed, for the record.
        detector: name of the detector to evade.
        thresholds: file of fitted detectors; None fits them on `num_train` training images.
        pool_size: training images to choose guides from.
        targets: numbers of the two attacked images that an imitation imitates; None: chosen.
        save: write the images.
        resume: continue from the finished batches and results on disk.
        merge: take all batches from disk, where the parts of a divided attack have left them.
        overwrite: replace a result on disk that has other settings.
        computing: precision settings in use, for the record.
    """

    name: str | None = None
    num_images: int | None = None
    indices: Sequence[str] | None = None
    image_order: str = IN_FILE_ORDER
    attack_samples: int | None = None
    eval_draws: int = EVAL_DRAWS
    common_random_numbers: bool = False
    label_only: bool = False
    substitute: str | None = None
    detector: str | None = None
    thresholds: str | None = None
    num_train: int = 2000
    pool_size: int = 1000
    targets: Sequence[str] | None = None
    save: bool = True
    resume: bool = False
    merge: bool = False
    overwrite: bool = False
    computing: Mapping[str, bool] = dataclasses.field(default_factory=dict)

    def parts(self) -> list[str]:
        """What the name of a result says of the access to the classifier, and of the images."""
        names = ("attack_samples", "common_random_numbers", "label_only", "image_order")
        given = {name: getattr(self, name) for name in names}
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        parts = result_names.parts_of(given, defaults) + substitute_parts(self.substitute)
        parts += ["targets" + "_".join(self.targets)] if self.targets else []
        return parts if self.num_images is None else [*parts, f"n{self.num_images}"]
