"""The extractor in the folder of a run that is trained."""

import dataclasses
import pathlib

from tf_deepbayes.models.fusion import extractor as extractors
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.runs.checkpoints import CONFIG, RunConfig, load_config


def with_extractor(folder: pathlib.Path, config: RunConfig, extractor: Extractor) -> RunConfig:
    """The configuration of a fusion model whose extractor is kept in the folder.

    It is written there, unless the folder holds a run already, which has its own.

    Raises:
        InputError: that run's extractor is missing or has changed.
    """
    if not (folder / CONFIG).is_file():
        settings = extractors.stored_settings(extractor, folder)
        return dataclasses.replace(config, extractor={**(config.extractor or {}), **settings})
    found = load_config(folder).extractor
    if found is None:
        return config  # a run on images: the settings tell why it cannot be resumed
    extractors.check_stored(folder, found)
    kept = {extractors.STORED: found[extractors.STORED]}
    own = {**(config.extractor or {}), **extractor.settings(), **kept}
    return dataclasses.replace(config, extractor=own)
