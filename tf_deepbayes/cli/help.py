"""The help of a command: only its own flags, by group."""

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from absl import flags

FLAGS = flags.FLAGS
OTHER = "Flags"
LAST = ("Results", "Files", "Computing")  # whatever a command is about, these end its help
INDENT = " " * 6
MAX_WIDTH = 100
_group_of: dict[str, str] = {}


@contextlib.contextmanager
def group(title: str) -> Iterator[None]:
    """Show the flags defined in this block under this title in the help."""
    before = set(FLAGS)
    yield
    _group_of.update({name: title for name in FLAGS if name not in before})


class HelpFlag(flags.BooleanFlag):
    """Print the help and exit with status 0 as soon as it is read.

    Args:
        about: the text printed above the flags.
        names: the flags to list.
    """

    def __init__(self, about: str, names: list[str]) -> None:
        super().__init__("help", False, "show this help", short_name="h", allow_override=True)
        self.about, self.names = about, names

    def parse(self, argument: Any) -> None:
        """Print the help and exit if requested."""
        if self._parse(argument):
            print(f"{self.about.strip()}\n\n{help_text(self.names)}", flush=True)
            sys.exit(0)


def group_of(name: str) -> str:
    """The title under which a flag is shown."""
    return _group_of.get(name, OTHER)


def help_text(names: list[str]) -> str:
    """The flags of these names, each below its group's title."""
    found = dict.fromkeys(map(group_of, names))
    titles = [t for t in found if t not in LAST] + [t for t in LAST if t in found]
    blocks = []
    for title in titles:
        own = [name for name in names if group_of(name) == title]
        blocks.append("\n".join([f"{title}:", *map(_flag_text, own)]))
    return "\n\n".join(blocks)


def _flag_text(name: str) -> str:
    flag = FLAGS[name]
    text = str(flag.help)
    if isinstance(flag, flags.EnumFlag):
        text = text.removeprefix(f"<{'|'.join(flag.parser.enum_values)}>: ")
        text += f"; one of {', '.join(flag.parser.enum_values)}"
    if flag.default is not None and flag.default is not False and "(default" not in text:
        text += f" (default: {_shown(flag.default)})"
    text = f"--{'[no]' if flag.boolean else ''}{name}: {text}"
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    return textwrap.fill(text, width, initial_indent="  ", subsequent_indent=INDENT)


def _shown(default: Any) -> str:
    if default is True:
        return "yes"
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)
