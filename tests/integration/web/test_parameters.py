"""A query parameter that a route does not know is refused, on every route of the API."""

from typing import Any

import httpx
import pytest

API = "/api/v1"
Operation = tuple[str, str, list[str]]


@pytest.fixture(scope="module")
def operations(client: httpx.Client) -> list[Operation]:
    """Return method, path and query parameters of each route, as OpenAPI describes them."""
    paths = client.get(f"{API}/openapi.json").json()["paths"]
    return [
        (method, path, sorted(one["name"] for one in asked.get("parameters", []) if is_query(one)))
        for path, methods in paths.items()
        for method, asked in methods.items()
    ]


def is_query(parameter: dict[str, Any]) -> bool:
    return bool(parameter["in"] == "query")


def test_every_route_refuses_it_and_names_what_it_knows(
    client: httpx.Client, operations: list[Operation]
) -> None:
    assert len(operations) > 25
    for method, path, known in operations:
        address = path.format(name="photos", id=1, number=1)
        answer = client.request(method, address, params={"filtr": "year>=2023"})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "unknown-parameter"), (method, path)
        assert problem["field"] == "filtr"
        knows = f"one of {', '.join(known)}" if known else "it takes none"
        assert problem["detail"] == f"this route has no parameter 'filtr': {knows}"


def test_a_known_one_beside_it_and_an_empty_one(client: httpx.Client) -> None:
    for query in ("limit=1&filtr=year=2023", "limit=1&filtr", "limit=1&Filter=year=2023", "=1"):
        answer = client.get(f"{API}/collections/photos/images?{query}")
        assert answer.json()["code"] == "unknown-parameter", query


def test_a_part_of_the_path_is_no_parameter(client: httpx.Client) -> None:
    answer = client.get(f"{API}/collections/photos/facets", params={"name": "others"})
    assert answer.json()["detail"] == "this route has no parameter 'name': one of filter"


def test_a_long_name_is_cut_in_the_answer(client: httpx.Client) -> None:
    answer = client.get(f"{API}/collections", params={"x" * 5000: 1})
    assert answer.status_code == 422
    assert len(answer.content) < 500


def test_pages_and_probes_take_what_links_append(client: httpx.Client) -> None:
    for address in ("/collections/photos", "/collections/photos/failures", "/healthz", "/readyz"):
        assert client.get(address, params={"utm_source": "mail"}).status_code == 200
    style = client.get("/collections/photos").text.partition('rel="stylesheet" href="')[2]
    assert client.get(f"{style.partition(chr(34))[0]}?v=1").status_code == 200
