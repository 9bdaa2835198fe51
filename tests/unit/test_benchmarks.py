"""Reading data sets: small folders in the official formats, complete and partial."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ConfigError
from spocdb.evaluation import copydays, holidays, oxford, pairs, revisited, ukbench
from spocdb.evaluation.benchmark import completeness, restricted
from spocdb.evaluation.gallery import Notes
from spocdb.records import Crop

Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Return a function that makes a folder with an image of each name."""

    def make(*names: str, folder: str = "images") -> Path:
        target = tmp_path / folder
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save((target / name).with_suffix(".jpg"))
        return target

    return make


def test_holidays_groups_by_the_first_four_digits(fill: Fill) -> None:
    benchmark = holidays.read(fill("100000", "100001", "100002", "100100", "100101"))
    (queries,) = benchmark.variants.values()
    assert [(q.name, set(q.relevant), set(q.ignored)) for q in queries] == [
        ("100000", {"100001", "100002"}, {"100000"}),
        ("100100", {"100101"}, {"100100"}),
    ]
    assert benchmark.measures == ("mAP",)


def test_a_partial_holidays_says_what_is_missing_and_what_counts(fill: Fill) -> None:
    folder = fill("100000", "100001", "100101", "100102", "100200", "cat")
    benchmark = holidays.read(folder)
    found = restricted(benchmark, benchmark.images)
    (queries,) = found.variants.values()
    assert [q.name for q in queries] == ["100000"]
    assert found.notes == ("1 missing query image left out with the queries: 100100",)
    told = completeness(found)
    assert told and told.startswith("5 of the official 1491 images and 1 of 500 queries")


def test_a_folder_of_something_else_is_no_holidays(fill: Fill) -> None:
    with pytest.raises(ConfigError, match=r"named 100000\.jpg to 149902\.jpg, not cat\.jpg"):
        holidays.read(fill("cat"))
    with pytest.raises(ConfigError, match="no such folder"):
        holidays.read(fill("cat") / "nowhere")
    with pytest.raises(ConfigError, match="no query is left: 1 missing query image"):
        alone = holidays.read(fill("100001", folder="alone"))
        restricted(alone, alone.images)


def test_ukbench_is_four_of_each(fill: Fill) -> None:
    benchmark = ukbench.read(fill(*(f"full/ukbench{n:05}" for n in range(8))))
    (queries,) = benchmark.variants.values()
    assert len(queries) == 8
    assert queries[5].relevant == {f"ukbench{n:05}" for n in (4, 5, 6, 7)}
    assert not queries[5].ignored
    with pytest.raises(ConfigError, match=r"named ukbench00000\.jpg"):
        ukbench.read(fill("cat", folder="other"))


def test_copies_of_copydays_look_for_their_originals_by_folder(fill: Fill) -> None:
    originals = [f"original/{name}" for name in ("200000", "200100")]
    copies = ["crops/10/200000", "crops/10/200100", "strong/200003", "strong/200301", "strong/cat"]
    folder = fill(*originals, *copies)
    benchmark = copydays.read(folder)
    assert set(benchmark.images) == {"200000", "200100"}
    found = {
        variant: [(q.name, set(q.relevant), q.path) for q in queries]
        for variant, queries in benchmark.variants.items()
    }
    assert found == {
        "crops/10": [
            ("crops/10/200000", {"200000"}, folder / "crops/10/200000.jpg"),
            ("crops/10/200100", {"200100"}, folder / "crops/10/200100.jpg"),
        ],
        "strong": [
            ("strong/200003", {"200000"}, folder / "strong/200003.jpg"),
            ("strong/200301", {"200300"}, folder / "strong/200301.jpg"),
        ],
    }
    # A copy whose original is missing is left out.
    kept = restricted(benchmark, benchmark.images)
    assert [q.name for q in kept.variants["strong"]] == ["strong/200003"]
    assert kept.notes == (
        "1 missing relevant image removed from the ground truth: 200300",
        "1 query image left out, as no relevant image is there: strong/200301",
    )


def test_copydays_in_one_folder_has_its_originals_by_name(fill: Fill) -> None:
    benchmark = copydays.read(fill("200000", "200001", "200012", "200100", "200101"))
    (queries,) = benchmark.variants.values()
    assert set(benchmark.images) == {"200000", "200100"}
    assert [(q.name, set(q.relevant)) for q in queries] == [
        ("200001", {"200000"}),
        ("200012", {"200000"}),
        ("200101", {"200100"}),
    ]
    with pytest.raises(ConfigError, match=r"no originals of Copydays .* original/200000\.jpg"):
        copydays.read(fill("cat", folder="other"))


@pytest.fixture
def buildings(tmp_path: Path) -> Path:
    """Return a folder of ground truth with one query."""
    folder = tmp_path / "gt"
    folder.mkdir()
    (folder / "all_souls_1_query.txt").write_text("oxc1_all_souls_000013 1.5 2.2 5.0 7.9\n")
    (folder / "all_souls_1_good.txt").write_text("all_souls_000013\nall_souls_000026\n")
    (folder / "all_souls_1_ok.txt").write_text("oxford_002985\n")
    (folder / "all_souls_1_junk.txt").write_text("all_souls_000105\n")
    return folder


def test_oxford_reads_box_good_ok_and_junk(fill: Fill, buildings: Path) -> None:
    folder = fill("all_souls_000013", "all_souls_000026", "oxford_002985", "all_souls_000105")
    benchmark = oxford.read(folder, buildings)
    ((cropped,), (whole,)) = benchmark.variants["crop"], benchmark.variants["full"]
    assert cropped.name == whole.name == "all_souls_000013"
    assert (cropped.crop, whole.crop) == (Crop(2, 2, 4, 6), None)
    # The query's own image is among the good ones, and is counted.
    assert cropped.relevant == {"all_souls_000013", "all_souls_000026", "oxford_002985"}
    assert cropped.ignored == {"all_souls_000105"}
    assert (benchmark.name, benchmark.official) == ("oxford", (5063, 55))


def test_the_official_ground_truth_of_oxford_is_read(fill: Fill, shared: Path) -> None:
    benchmark = oxford.read(fill("all_souls_000013"), shared / "data" / "oxford5k_gt")
    queries = benchmark.variants["crop"]
    assert len(queries) == 55
    by_name = {q.name: q for q in queries}
    assert by_name["all_souls_000013"].crop == Crop(136, 34, 512, 922)
    assert by_name["all_souls_000013"].relevant >= {"all_souls_000026", "oxford_002985"}
    found = restricted(benchmark, benchmark.images)
    # Five queries share a building. Where only one image is left, it is the query itself.
    assert len(found.variants["crop"]) == 1
    assert any("missing query image" in note for note in found.notes)


def test_an_incomplete_ground_truth_is_told_by_its_file(fill: Fill, buildings: Path) -> None:
    (buildings / "all_souls_1_ok.txt").unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*all_souls_1_ok\.txt"):
        oxford.read(fill("all_souls_000013"), buildings)
    (buildings / "all_souls_1_query.txt").write_text("oxc1_all_souls_000013 1 2 3")
    with pytest.raises(ConfigError, match=r"query\.txt is not `IMAGE X1 Y1 X2 Y2`"):
        oxford.read(fill("all_souls_000013"), buildings)
    with pytest.raises(ConfigError, match=r"no ground truth in .*all_souls_1_query\.txt"):
        oxford.read(fill("all_souls_000013"), buildings.parent)


def write_truth(file: Path) -> Path:
    """Write a revisited ground truth in its authors' format: one query, four images."""
    entry = {
        "bbx": [1.0, 2.0, 7.0, 8.0],
        "easy": np.array([0]),
        "hard": np.array([1]),
        "junk": np.array([2]),
    }
    truth = {"imlist": ["a", "b", "c", "d"], "qimlist": ["q"], "gnd": [entry]}
    file.write_bytes(pickle.dumps(truth, protocol=2))
    return file


def test_revisited_has_three_difficulties(fill: Fill, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "gnd_roxford5k.pkl")
    folder = fill("a", "b", "c", "d", "q")
    benchmark = revisited.read(folder, truth)
    found = {v: (set(q.relevant), set(q.ignored)) for v, (q,) in benchmark.variants.items()}
    assert found == {
        "easy": ({"a"}, {"b", "c"}),
        "medium": ({"a", "b"}, {"c"}),
        "hard": ({"b"}, {"a", "c"}),
    }
    (query,) = benchmark.variants["hard"]
    assert (query.path, query.crop) == (folder / "q.jpg", Crop(1, 2, 6, 6))
    assert set(benchmark.images) == {"a", "b", "c", "d"}
    assert (benchmark.name, benchmark.official) == ("roxford5k", (4993, 70))


def test_a_revisited_query_that_is_missing_is_told(fill: Fill, tmp_path: Path) -> None:
    benchmark = revisited.read(fill("a", "b"), write_truth(tmp_path / "gnd_roxford5k.pkl"))
    with pytest.raises(ConfigError, match=r"no query is left: 1 missing query image.*: q$"):
        restricted(benchmark, benchmark.images)


def test_two_images_of_one_name_are_refused(fill: Fill) -> None:
    folder = fill("full/ukbench00000", "thumbs/ukbench00000")
    with pytest.raises(ConfigError, match=r"two images have one name, .*full.* and .*thumbs"):
        ukbench.read(folder)


def test_a_pickle_that_runs_code_is_refused(fill: Fill, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "ran").touch, ())

    file = tmp_path / "gnd_roxford5k.pkl"
    file.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ConfigError, match="no ground truth of revisited"):
        revisited.read(fill("a"), file)
    assert not (tmp_path / "ran").exists()
    file.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="no ground truth of revisited"):
        revisited.read(fill("a"), file)
    with pytest.raises(ConfigError, match="cannot read"):
        revisited.read(fill("a"), tmp_path / "nowhere.pkl")


def test_pairs_are_grouped_by_query(fill: Fill, tmp_path: Path) -> None:
    folder = fill("a", "b", "c", "x")
    file = tmp_path / "pairs.csv"
    file.write_text("query,match,note\nimages/a.jpg,images/b.jpg,\nimages/a.jpg,images/c.jpg,\n")
    benchmark = pairs.read(file)
    (query,) = benchmark.variants[""]
    assert query.name == str(folder / "a.jpg")
    assert query.relevant == {str(folder / "b.jpg"), str(folder / "c.jpg")}
    assert query.ignored == {query.name}
    assert len(benchmark.images) == 3
    assert len(pairs.read(file, folder).images) == 4


def test_what_is_left_out_of_the_gallery_of_pairs_is_noted(
    fill: Fill, tmp_path: Path, said: list[str]
) -> None:
    folder = fill("a", "b")
    file = tmp_path / "pairs.csv"
    file.write_text("query,match\nimages/a.jpg,images/b.jpg\n")
    assert pairs.read(file, folder).notes == ()
    (folder / "notes.txt").write_text("notes")
    (folder / ".hidden.jpg").write_bytes(b"")
    benchmark = pairs.read(file, folder)
    assert benchmark.notes == (f"left out of {folder}: 1 .txt, 1 hidden",)
    Notes().missing(benchmark)
    assert said == [f"pairs: {benchmark.notes[0]}"]


def test_pairs_are_looked_for_beside_the_file_then_in_the_gallery(
    fill: Fill, tmp_path: Path
) -> None:
    beside = fill("a", folder="there")
    gallery = fill("a", "b")
    file = beside / "pairs.csv"
    file.write_text("query,match\na.jpg,b.jpg\nb.jpg,nowhere.jpg\n")
    found = {q.name: q.relevant for q in pairs.read(file, gallery).variants[""]}
    assert found == {
        str(beside / "a.jpg"): {str(gallery / "b.jpg")},
        str(gallery / "b.jpg"): {str(beside / "nowhere.jpg")},
    }


def test_pairs_of_which_no_query_is_there_say_where_they_were_looked_for(
    fill: Fill, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("query,match\nx.jpg,a.jpg\ny.jpg,a.jpg\n")
    message = (
        rf"none of the queries' images is there, such as {tmp_path}/x\.jpg: "
        "paths are relative to the CSV or the gallery$"
    )
    with pytest.raises(ConfigError, match=message):
        pairs.read(file, fill("a"))


def test_pairs_are_had_of_a_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_bytes("query;match;\r\nä.jpg;b.jpg;\r\n".encode("utf-8-sig"))
    (tmp_path / "ä.jpg").touch()
    (query,) = pairs.read(file).variants[""]
    assert (Path(query.name).name, [Path(m).name for m in query.relevant]) == ("ä.jpg", ["b.jpg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "has no column `query`; there are: a, b"),
        ("query,match\n", "has no pairs"),
        ("query,match\nx.jpg,\n", "line 2: query or match is empty"),
        ("query,b\n", "has no column `match`; there are: query, b"),
        ("", "is empty"),
    ],
)
def test_bad_pairs_are_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        pairs.read(file)
    with pytest.raises(ConfigError, match="cannot read"):
        pairs.read(tmp_path / "nowhere.csv")


def test_the_hash_of_a_ground_truth_tells_it_from_others(fill: Fill) -> None:
    folder = fill("100000", "100001", "100100", "100101")
    whole = holidays.read(folder)
    assert holidays.read(folder).dataset == whole.dataset
    part = restricted(whole, ["100000", "100001"])
    assert part.dataset["sha256"] != whole.dataset["sha256"]
    assert part.dataset["queries"] == {"": 1}
