"""Results of a measurement, the limiting stage, and advice."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Name = Literal["read", "decode", "network", "write"]

# If images have more than this many times the input's pixels, most decoding is wasted.
MANY_TIMES_THE_PIXELS = 8
# A batch needs several round trips; from this latency on they slow an ingest down.
FAR_MILLISECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage measured alone, using all threads, in images/s."""

    name: Name
    per_second: float


@dataclass(frozen=True, slots=True)
class Machine:
    """The measured machine, extractor, images and database connection.

    `megapixels` and `megabytes` are means per image; `round_trip` to the database is in
    milliseconds.
    """

    device: str
    precision: str
    has_bfloat16: bool
    n_cores: int
    extractor: str
    backbone: str
    size: int
    megapixels: float
    megabytes: float
    round_trip: float
    synchronous_commit: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """Images/s of each stage alone and of a whole ingest.

    `waited` holds the seconds that the ingest's loop waited for each stage. `n_images` were
    ingested, `n_failed` could not be read.
    """

    machine: Machine
    stages: tuple[Stage, ...]
    ingest: float
    waited: dict[str, float]
    n_images: int
    n_failed: int

    def share(self, stage: Stage) -> float:
        """Return the ingest's speed as a fraction of a stage's."""
        return self.ingest / stage.per_second

    @property
    def limit(self) -> Stage:
        """Return the slowest stage."""
        return min(self.stages, key=lambda stage: stage.per_second)

    @property
    def next_limit(self) -> Stage:
        """Return the second slowest stage, the limit once the slowest one is faster."""
        return sorted(self.stages, key=lambda stage: stage.per_second)[1]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {
            **asdict(self),
            "shares": {stage.name: self.share(stage) for stage in self.stages},
            "limit": self.limit.name,
            "advice": advice(self),
        }


def advice(speed: Speed) -> list[str]:
    """Return lines that name the limiting stages and what would help."""
    what = {
        "read": _for_reading,
        "decode": _for_decoding,
        "network": _for_network,
        "write": _for_writing,
    }
    limit, following = speed.limit, speed.next_limit
    return [
        f"limited by the {limit.name} stage: {what[limit.name](speed.machine)}",
        f"then by the {following.name} stage, at {following.per_second:,.1f} images/s"
        + _shared(speed),
    ]


def _for_reading(machine: Machine) -> str:
    return f"files of {machine.megabytes:.2f} MB come too slowly; copy them to a faster disk first"


def _for_decoding(machine: Machine) -> str:
    input_megapixels = machine.size**2 / 1e6
    more = f"more cores than {machine.n_cores} would help"
    if machine.megapixels > MANY_TIMES_THE_PIXELS * input_megapixels:
        return (
            f"{more}, and smaller files: {machine.megapixels:.1f} megapixels become "
            f"{input_megapixels:.2f}"
        )
    return more


def _for_network(machine: Machine) -> str:
    smaller = f"a `size=...` below {machine.size} (half is a quarter of the work)"
    if machine.backbone != "mini":
        smaller = f"`extractor='mini'`, {smaller}"
    if machine.device != "cpu":
        slow = "" if machine.precision == "bfloat16" else f"it runs in {machine.precision}; "
        return f"{slow}another GPU, {smaller} would help"
    if not machine.has_bfloat16:
        return f"this CPU is not fast in bfloat16, so it runs in float32; a GPU, {smaller} helps"
    if machine.precision == "float32":
        return f"in float32, though this CPU is fast in bfloat16; a GPU, {smaller} helps"
    return f"a GPU, {smaller} would help"


def _for_writing(machine: Machine) -> str:
    helps = []
    if machine.round_trip > FAR_MILLISECONDS:
        helps.append(
            f"the database is {machine.round_trip:.1f} ms away: "
            "a larger `batch_size=...`, or to run beside it"
        )
    if machine.synchronous_commit:
        helps.append("`synchronous_commit = off` for the role while it loads")
    return "; ".join([*helps, "a faster disk for the server"])


def _shared(speed: Speed) -> str:
    both = {"decode", "network"} == {speed.limit.name, speed.next_limit.name}
    if speed.machine.device == "cpu" and both:
        return "; on a CPU these two share the cores, and an ingest is slower than either"
    return ""
