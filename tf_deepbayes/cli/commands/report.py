"""Report a study: deepbayes report --runs runs --out report.

Reads the results of train, attack, detect and evaluate from the runs and writes one HTML page and
its tables as CSV and LaTeX, and prints a line per claim of the paper. With --format markdown it
prints tables instead.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models import factorisations
from tf_deepbayes.study import markdown

FLAGS = flags.FLAGS
ONLY_HTML, ONLY_MARKDOWN = ("out", "published", "profile", "keep", "data_dir"), ("models", "figure")
DEFAULT_OUT = "report"


def define_flags() -> None:
    """Which study, and what to make of it."""
    with group("Runs"):
        flags.DEFINE(app.PathsParser(), "data", None, "data sets (default: all)")
        flags.DEFINE_list("models", None, "classifiers of the markdown tables (default: the seven)")
        app.define_path("runs", None, "folder of all runs, or several, separated by commas")
    with group("Results"):
        flags.DEFINE_enum(
            "format", "html", ["html", "markdown"], "a page, or tables on the terminal"
        )
        app.define_path("out", None, f"folder of the page and its tables (default: {DEFAULT_OUT})")
        app.define_path("keep", None, "copy the results as small files into this folder, too")
    with group("Files"):
        app.define_path("published", None, "folder of published numbers (default: the checkout's)")
        app.define_path("profile", None, "file of the study's sizes, to be quoted on the page")
        app.define_path("data_dir", None, "folder of the data sets, for clean images of examples")
        app.define_path("figure", None, "PNG file for the curves of the markdown tables")


def main(arguments: Sequence[str]) -> None:
    """Write the report, or print the markdown tables."""
    app.expect_flags_only(arguments)
    is_html = FLAGS.format == "html"
    for name in ONLY_MARKDOWN if is_html else ONLY_HTML:
        if FLAGS[name].value is not None:
            raise InputError(f"--{name} does not apply to --format {FLAGS.format}; leave it out")
    if is_html:
        write_html()
    else:
        names = FLAGS.models or list(factorisations.FACTORISATIONS)
        models = [factorisations.get(name).__name__ for name in names]
        for data in FLAGS.data or ["fashion_mnist"]:
            figure = pathlib.Path(FLAGS.figure) if FLAGS.figure else None
            markdown.print_markdown(app.runs_folder() / data, models, figure)


def write_html() -> None:
    try:
        from tf_deepbayes.study import published, report
        from tf_deepbayes.study.keep import keep
        from tf_deepbayes.study.results import Study
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        raise InputError('the report needs pandas; run pip install "tf_deepbayes[study]"') from None
    folders = [pathlib.Path(app.expand(part)) for part in str(app.runs_folder()).split(",")]
    study, out = Study.read(*folders, data=FLAGS.data), pathlib.Path(FLAGS.out or DEFAULT_OUT)
    if FLAGS.keep:
        print(f"{keep(study, pathlib.Path(FLAGS.keep))} results kept in {FLAGS.keep}")
    numbers = published.find_folder(FLAGS.published)
    profile = report.read_profile(FLAGS.profile)
    found = report.Report(study, numbers, FLAGS.data_dir, profile)
    found.write(out)
    for line in found.lines():
        print(line)
    print(f"{out / 'index.html'}" if numbers else f"{out / 'index.html'}; {report.NO_PUBLISHED}")
