"""The options of `spocdb ingest` that leave the work to others: --enqueue and --ray."""

from collections.abc import Mapping

import typer

# Options of an ingest that have no meaning for the queue, and what to do.
NOT_QUEUED = {
    "metadata": "ingest with it once the queue is empty: no image is read again",
    "exif": "ingest with it once the queue is empty",
    "prune": "ingest with it once the queue is empty: no image is read again",
    "strict": "workers list what is bad in `spocdb failures`",
    "retry_failed": "`spocdb retry` puts failed images back into the queue",
    "auto_pca": "a worker fits the first PCA at 1,000 images if it owns spocdb",
    "batch_size": "give it to `spocdb worker`",
    "thumbnails": "give it to `spocdb worker`",
    "moves": "workers do not look for moved files",
    "ray": "workers take what is in the queue",
}
# Those that have none for a Ray cluster.
NOT_ON_RAY = {
    "prune": "ingest with it afterwards, without --ray: no image is read again",
    "moves": "nodes do not look for moved files: what one does not see may be there on another",
}


def refuse_others(context: typer.Context, of: str, others: Mapping[str, str]) -> None:
    """Refuse options that an option is not given together with.

    Raises:
        typer.BadParameter: One was given.
    """
    for name, advice in others.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"not with {option}: {advice}", param_hint=of)
