"""spocdb search."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import print_csv, print_json, print_table, quiet_libraries, shown_metadata, talk

if TYPE_CHECKING:
    from spocdb.api import Database
    from spocdb.api.shards import Shards
    from spocdb.db.search import Hit
    from spocdb.records import Crop, Refinement


DEFAULT_K = 10
METHODS = {
    "hnsw": "found with the HNSW index",
    "hnsw iterative": "found with the HNSW index, as far as the filter needed",
    "diskann": "found with the DiskANN index",
    "diskann iterative": "found with the DiskANN index, as far as the filter needed",
    "exact": "compared exactly",
}


def search(
    image: Annotated[
        Path | None, typer.Argument(metavar="IMAGE", help="A picture to search with.")
    ] = None,
    id: Annotated[
        list[int] | None,
        typer.Option(
            "--id",
            max=2**63 - 1,
            help="Search with a stored image instead; repeatable.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Search with a row of an attached table instead, by its key."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, max=2**31 - 1, show_default=str(DEFAULT_K), help="How many results."
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="Search with this part of the picture, in pixels."),
    ] = None,
    like: Annotated[
        list[int] | None,
        typer.Option(
            "--like",
            metavar="ID",
            max=2**63 - 1,
            help="Beside an IMAGE: a stored image that results should look like; repeatable.",
        ),
    ] = None,
    unlike: Annotated[
        list[int] | None,
        typer.Option(
            "--unlike",
            metavar="ID",
            max=2**63 - 1,
            help="A stored image that results should not look like; repeatable.",
        ),
    ] = None,
    collection: options.Collection = None,
    filter: options.Filter = None,
    max_distance: Annotated[
        float | None,
        typer.Option(metavar="D", help="Leave out results farther than this distance, 0 to 2."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Find all images up to this distance, however many; compares all embeddings.",
        ),
    ] = None,
    projection: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            max=2**63 - 1,
            help="Search by this projection, which the collection keeps, not by the active one.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare all embeddings, without the index.")
    ] = False,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="The part of the nearest that a search by the index finds; default: the "
            "collection's, see `index measure`.",
        ),
    ] = None,
    expand: Annotated[
        int, typer.Option(metavar="N", help="Query expansion: add the N nearest to the query.")
    ] = 0,
    alpha: Annotated[
        float, typer.Option(help="Of the expansion: neighbours are weighted by similarity ^ alpha.")
    ] = 3.0,
    rerank: Annotated[
        int,
        typer.Option(metavar="N", help="Re-rank the N nearest by k-reciprocal neighbours."),
    ] = 0,
    collapse: Annotated[
        bool,
        typer.Option(
            "--collapse",
            help="Show a group of duplicates once, by its nearest picture, and how many more there "
            "are; after `duplicates find`.",
        ),
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the query and the results as one picture."),
    ] = None,
    weights: options.Weights = None,
    codebook: options.Codebook = None,
    device: options.Device = "auto",
    json: options.Json = False,
    as_csv: options.Csv = False,
    db: options.Db = None,
) -> None:
    """Find the images that look most like a picture, nearest first.

    The distance is the cosine distance: 0 is the same, 1 has nothing in common, 2 is the opposite.
    """
    if sum(bool(query) for query in (image, id, key is not None)) != 1:
        raise typer.BadParameter("give an IMAGE, or --id, or --key", param_hint="IMAGE")
    if like and image is None:
        raise typer.BadParameter("without an IMAGE repeat --id", param_hint="--like")
    options.one_format(json, as_csv)
    if crop and image is None:
        raise typer.BadParameter("a crop needs an IMAGE", param_hint="--crop")
    if within is not None:
        if k is not None or max_distance is not None:
            message = "it finds all images: leave out -k and --max-distance"
            raise typer.BadParameter(message, param_hint="--within")
        if not 0 <= within <= 2:
            raise typer.BadParameter(f"{within} is not 0 to 2", param_hint="--within")
        max_distance = within
    elif k is None:
        k = DEFAULT_K
    area = _parse_crop(crop) if crop else None
    wanted = options.parse_filter(filter or [])
    if image is not None and image.is_file():
        # Print it before the imports, which take seconds on a slow machine.
        talk("loading the network")
    from spocdb.records import Refinement

    refinement = Refinement(expand, alpha, rerank)
    if sheet:
        from spocdb.drawing.sheets import check_sheet

        check_sheet(sheet)  # before the search, not after it
    with options.open_all(db) as database, quiet_libraries():
        if image is not None:
            hits = database.search(
                image,
                k,
                collection=collection,
                crop=area,
                filter=wanted,
                exact=exact,
                recall=recall,
                refinement=refinement,
                projection=projection,
                max_distance=max_distance,
                collapse=collapse,
                like=like or [],
                unlike=unlike or [],
                weights=weights,
                codebook=codebook,
                device=device,
            )
        else:
            own = id or [_of_row(database, str(key), collection)]
            hits = database.similar(
                own,
                k,
                collection=collection,
                filter=wanted,
                exact=exact,
                recall=recall,
                refinement=refinement,
                projection=projection,
                max_distance=max_distance,
                collapse=collapse,
                unlike=unlike or [],
            )
        _print(hits, json, as_csv, refinement, options.named_by(database, collection), collapse)
        if sheet:
            from spocdb.drawing.sheets import Tile, draw_sheet, read_file

            stored = database.reader(collection)
            draw_sheet(
                image or database.path(own[0], collection=collection),
                [Tile(hit.path, f"{hit.distance:.3f}", hit.id) for hit in hits],
                sheet,
                area,
                database.settings.max_pixels,
                read=stored,
                read_query=read_file if image else stored,
            )
            talk(f"drew {sheet}")


def _of_row(database: "Database | Shards", key: str, collection: str | None) -> int:
    """Return the id of the image of a row of an attached table."""
    from spocdb.api import Database

    if not isinstance(database, Database):
        raise typer.BadParameter("tables are attached on one server", param_hint="--key")
    return database.tables.image_id(key, collection)


def _parse_crop(text: str) -> "Crop":
    from spocdb.records import Crop

    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X,Y,W,H", param_hint="--crop") from None
    return Crop(x, y, width, height)


def _print(
    hits: "list[Hit]",
    json: bool,
    as_csv: bool,
    refinement: "Refinement",
    names_by: str,
    collapse: bool,
) -> None:
    header = ["distance", "id", names_by, "metadata", *(["duplicates"] if collapse else [])]
    if json:
        print_json(hits)
    elif as_csv:
        print_csv(header, (_row(h, h.distance, dumps(h.metadata)) for h in hits))
    elif hits:
        print_table(
            header, [_row(h, f"{h.distance:.4f}", shown_metadata(h.metadata)) for h in hits]
        )
        expanded = f", the query expanded by {refinement.expand}" if refinement.expand else ""
        reranked = f", {refinement.rerank} re-ranked" if refinement.rerank else ""
        talk(METHODS[hits[0].method] + expanded + reranked)
    else:
        talk("nothing found")


def _row(hit: "Hit", distance: object, metadata: str) -> list[object]:
    more = [] if hit.n_duplicates is None else [hit.n_duplicates]
    return [distance, hit.id, hit.path, metadata, *more]
