"""spocdb pca fit, spocdb pca learn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import counted, quiet_libraries, talk

if TYPE_CHECKING:
    from spocdb.api import Database
    from spocdb.projections import Regularisation
    from spocdb.training.matching import Matches

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
    with options.open_database(db) as database:
        target, names = _fitted_on(database, collections, folder, collection)
        number = database.pca.fit(
            *names,
            dim=dim,
            whiten=whiten,
            centre=centre,
            regularisation=_part(regularisation),
        )
        if regularisation == "auto" and whiten:
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
    folder: From = None,
    dim: options.Dim = 256,
    regularisation: Annotated[
        str,
        typer.Option(
            metavar="PART|auto",
            help="Part of the mean variance that is added to each variance of the matching "
            "images' differences; auto: chosen by the likelihood of held-out classes.",
        ),
    ] = "auto",
    activate: Activate = False,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Learn a projection from images that match: discriminative whitening.

    Best learned on images other than the gallery. Searches do not use it until it is activated.
    """
    from spocdb.training import projecting

    matches = _matches(labels)
    with options.open_database(db) as database:
        target, names = _fitted_on(database, collections, folder, collection)
        number = projecting.whiten(
            database, matches, *names, dim=dim, regularisation=_part(regularisation)
        )
        if regularisation == "auto":
            _tell_regularisation(database, number)
        _tell(database, number, names, target, activate)


def _matches(labels: str | None) -> "Matches":
    from spocdb.training.matching import Labelled

    if labels is None:
        raise typer.BadParameter("say which images match", param_hint="--labels")
    return Labelled(labels)


def _fitted_on(
    database: "Database",
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


def _tell(database: "Database", number: int, names: list[str], target: str, activate: bool) -> None:
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


def _tell_regularisation(database: "Database", number: int) -> None:
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
