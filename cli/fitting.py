"""spocdb pca fit, spocdb pca learn."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import counted, quiet_libraries, talk

if TYPE_CHECKING:
    from spocdb.api import Database
    from spocdb.api.shards import Shards
    from spocdb.projections import Regularisation
    from spocdb.training.matching import Matches
    from spocdb.training.schedule import Schedule

Collections = Annotated[
    list[str] | None,
    typer.Argument(metavar="COLLECTION...", help="Collections to fit on."),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FOLDER",
        help="Fit on other images too; they become a collection, FOLDER-for-pca-HASH.",
    ),
]
Activate = Annotated[
    bool, typer.Option("--activate", help="Activate it for the collection at once.")
]


def fit(
    collections: Collections = None,
    folder: From = None,
    dim: options.Dim = 256,
    whiten: Annotated[bool, typer.Option(help="Divide by the singular values.")] = True,
    centre: Annotated[bool, typer.Option(help="Subtract the mean.")] = True,
    regularisation: Annotated[
        str,
        typer.Option(
            metavar="PART|auto",
            help="Part of the mean variance that is added to each variance; auto: chosen by the "
            "likelihood of held-out images.",
        ),
    ] = "0",
    activate: Activate = False,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Fit a PCA on stored raw descriptors; no image is read.

    Best fitted on images other than the gallery. Searches do not use it until it is activated.
    """
    part = _part(regularisation)
    with options.open_all(db) as database:
        target, names = _fitted_on(database, collections, folder, collection)
        number = database.pca.fit(
            *names, dim=dim, whiten=whiten, centre=centre, regularisation=part
        )
        if part == "auto" and whiten:
            _tell_regularisation(database, number)
        _tell(database, number, names, target, activate)


def learn(
    collections: Collections = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Images match if they have the same value of this metadata key."
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: random views of an image match, as many of each image."),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="discriminative|head",
            help="Discriminative whitening, or a linear head, which is trained from there.",
        ),
    ] = "discriminative",
    folder: From = None,
    dim: options.Dim = 256,
    regularisation: Annotated[
        str | None,
        typer.Option(
            metavar="PART|auto",
            help="Of a whitening: part of the mean variance that is added to each variance of the "
            "matching images' differences; auto: chosen by the likelihood of held-out classes.",
            show_default="auto",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="multi-similarity|triplet|contrastive",
            help="Of a head: the loss function.",
            show_default="multi-similarity",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of a head: most passes over the classes; held-out classes decide how many.",
            show_default="20",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Of a head: the highest learning rate.", show_default="0.001"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the views, and of a head's training.")] = 0,
    activate: Activate = False,
    collection: options.Collection = None,
    device: options.Device = "auto",
    db: options.Db = None,
) -> None:
    """Learn a projection from images that match: discriminative whitening, or a linear head.

    Best learned on images other than the gallery. Searches do not use it until it is activated.
    """
    from spocdb.training import projecting

    trained = {"loss": loss, "epochs": epochs, "learning_rate": learning_rate}
    whitened = {"regularisation": regularisation}
    _check_kind(kind, trained if kind == "discriminative" else whitened)
    matches, part = _matches(labels, views, seed, device), _part(regularisation or "auto")
    with options.open_database(db) as database, quiet_libraries():
        target, names = _fitted_on(database, collections, folder, collection)
        if kind == "discriminative":
            number = projecting.whiten(database, matches, *names, dim=dim, regularisation=part)
            if part == "auto":
                _tell_regularisation(database, number)
        else:
            number = projecting.train_head(
                database,
                matches,
                *names,
                dim=dim,
                loss=loss or projecting.DEFAULT_LOSS,
                schedule=_schedule(seed=seed, epochs=epochs, learning_rate=learning_rate),
            )
        _tell(database, number, names, target, activate)


def _check_kind(kind: str, others: dict[str, Any]) -> None:
    """Refuse an unknown kind, and options of the other one."""
    if kind not in ("discriminative", "head"):
        raise typer.BadParameter(
            f"{kind!r} is neither discriminative nor head", param_hint="--kind"
        )
    for name, value in others.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"it is not an option of --kind {kind}", param_hint=option)


def _schedule(**given: Any) -> "Schedule":
    from spocdb.training.projecting import DEFAULT_SCHEDULE

    return replace(
        DEFAULT_SCHEDULE, **{name: value for name, value in given.items() if value is not None}
    )


def _matches(labels: str | None, views: int | None, seed: int, device: str) -> "Matches":
    from spocdb.training.matching import Labelled, Views

    if labels is not None and views is None:
        return Labelled(labels)
    if views is not None and labels is None:
        return Views(views, seed, device)
    raise typer.BadParameter(
        "say which images match: give --labels KEY or --views N, one of them",
        param_hint="--labels",
    )


def _fitted_on(
    database: "Database | Shards",
    collections: list[str] | None,
    folder: Path | None,
    collection: str | None,
) -> tuple[str, list[str]]:
    """Return the collection to search, and those to fit on; the images of a folder become one."""
    # Resolve the default before --from creates a second collection.
    target = database.collection(collection or (collections[0] if collections else None))
    names = list(collections or [])
    if folder is not None:
        with quiet_libraries():
            names.append(database.ingest_beside(folder, target))
    return target, names or [target]


def _tell(
    database: "Database | Shards", number: int, names: list[str], target: str, activate: bool
) -> None:
    summary, _ = database.pca.show(number)
    of = f"{counted(summary.n_samples, 'image')} of {', '.join(names)}"
    if n_pairs := summary.fitted_on.get("n_pairs"):
        of += f", {counted(n_pairs, 'matching pair')}"
    print(f"projection {number}: {summary.dim} dimensions of {summary.extractor}, fitted on {of}")
    if activate:
        database.pca.activate(number, target)
        print(f"{target}: projection {number} is active")
    else:
        talk(f"next: spocdb pca activate {number} --collection {target}")


def _tell_regularisation(database: "Database | Shards", number: int) -> None:
    summary, _ = database.pca.show(number)
    talk(f"regularisation: {summary.settings['regularisation']:g}, by held-out likelihood")


def _part(text: str) -> "Regularisation":
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor auto", param_hint="--regularisation"
        ) from None
