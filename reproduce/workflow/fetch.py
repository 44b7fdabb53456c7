"""Find or download a data set once, before jobs need it: fetch.py mnist data/mnist.json [folder].

The JSON has the digest and the number of images of each split.
"""

import pathlib
import sys

from tf_deepbayes.core.files import digest, write_json
from tf_deepbayes.data.own_data import load_data


def main(name: str, path: str, folder: str | None = None) -> None:
    """Write the JSON."""
    found = load_data(name, folder)
    splits = {"train": found.train, "test": found.test}
    digests = {
        split: {"images": len(own), "digest": digest(own.images, own.labels)}
        for split, own in splits.items()
    }
    write_json(pathlib.Path(path), digests)


if __name__ == "__main__":
    main(*sys.argv[1:])
