"""The small file that names results."""

import json
import pathlib

import pytest

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.runs.state.done import only_result, read_done, write_done


def test_results_are_named_relative_to_the_file(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "run"
    (folder / "attacks").mkdir(parents=True)
    results = [folder / "attacks" / "a.json", folder / "b.json"]
    for result in results:
        result.write_text(json.dumps({"name": result.name}))
    write_done(folder / "attacks" / "done.json", results)
    folder.rename(tmp_path / "moved")
    done = tmp_path / "moved" / "attacks" / "done.json"
    assert read_done(done) == [tmp_path / "moved/attacks/a.json", tmp_path / "moved/b.json"]
    assert list(json.loads(done.read_text())["results"]) == ["a.json", "../b.json"]
    write_done(tmp_path / "one.json", [tmp_path / "moved" / "b.json"])
    assert only_result(tmp_path / "one.json") == tmp_path / "moved" / "b.json"
    assert only_result(tmp_path / "moved" / "b.json") == tmp_path / "moved" / "b.json"


def test_a_result_that_has_gone_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    write_done(tmp_path / "done.json", [tmp_path / "a.json"])
    (tmp_path / "a.json").unlink()
    with pytest.raises(InputError, match=r"a\.json is not the result that .*done\.json names"):
        read_done(tmp_path / "done.json")
