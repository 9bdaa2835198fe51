"""Requests made up from the OpenAPI description, right ones and wrong ones: none ends in a 5xx."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode

from spocdb.web.app import PREFIX

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
)
# Characters of a query. The HTTP server closes the connection if a request's head is longer than
# 16 KiB, and the application never sees it.
LONGEST = 15_000


def _results(schema: Any) -> list[Any]:
    return [*schema.get_all_operations()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*GenerationMode], ids=lambda mode: mode.value)
def test_no_request_makes_the_server_fail(client: httpx.Client, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{client.base_url}{PREFIX[1:]}/openapi.json")
    operations: list[Any] = [result.ok() for result in _results(schema)]
    assert len(operations) >= 9
    if mode is GenerationMode.NEGATIVE:
        # Without parameters, no request is wrong.
        operations = [one for one in operations if [*one.iter_parameters()] or one.body]
    for operation in operations:

        @EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case: Any) -> None:
            assume(len(urlencode(case.query or {}, doseq=True, errors="replace")) < LONGEST)
            response = case.call()
            assert response.status_code < 500, (case, response.text)
            if response.status_code >= 400:
                assert response.headers["content-type"][0] == "application/problem+json"

        answers()
