#!/usr/bin/env python3
"""Holds the description of the interface against the rules of OpenAPI.

    .venv/bin/python tests/clients/openapi_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

`scripts/setup test` makes the environment with the validator.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
import urllib.request

from common import expect, main, skip

REQUIRED = os.environ.get("SYNCLINE_REQUIRE_CLIENTS") == "1" or os.environ.get("CI") == "true"


def run(service):
    from openapi_spec_validator import OpenAPIV31SpecValidator

    address = service.split("/arcgis/")[0] + "/openapi.json"
    with urllib.request.urlopen(address, timeout=60) as response:
        document = json.load(response)
    problems = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    expect(not problems, f"the description of {len(document['paths'])} paths is sound: {problems[:5]}")
    return importlib.metadata.version("openapi-spec-validator")


if not importlib.util.find_spec("openapi_spec_validator") and not REQUIRED:
    # An environment that was made before the validator was among the clients.
    skip("the test with openapi-spec-validator, which is not installed; scripts/setup test installs it")
    sys.exit()
main("openapi-spec-validator", run)
