"""The code of docs/how-to/python.md, run unchanged and in order."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "python.md").read_text()


def test_the_code_of_the_document_runs(
    url: str,
    make_photos: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(make_photos(6, "images") / "0002.jpg", tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOCDB_DATABASE_URL", url)
    monkeypatch.setenv("SPOCDB_CACHE_DIR", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(block, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"0.000 {tmp_path}/images/0002.jpg"
    assert printed[-1] == "collection photos has no image 123456"
    assert [len(answer) for answer in names["answers"]] == [3, 3, 3, 3]
    assert [len(names["rows"]), names["rows"][0]] == [3, (f"{tmp_path}/images/0002.jpg",)]
    assert names["vectors"].shape == (6, 256)
    assert names["ids"].tolist() == [1, 2, 3, 4, 5, 6]
