#!/usr/bin/env python3
"""Reads a feature service with esridump and restapi, as scripts do that copy layers.

    .venv/bin/python tests/clients/readers_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

`scripts/setup test` makes the environment with the packages.
"""

import importlib.metadata
import math
import warnings

warnings.simplefilter("ignore")

import restapi  # noqa: E402
from common import Failed, expect, features_of, layers_of, main  # noqa: E402
from esridump.dumper import EsriDumper  # noqa: E402


def dump(service, document, **options):
    """Reads a whole layer with esridump, and compares it with the server's rows in longitude and latitude."""
    url = f"{service}/{document['id']}"
    rows = features_of(url, outSR="4326")
    dumped = list(EsriDumper(url, requests_to_pause=1_000, **options))
    found = {feature["properties"]["objectid"]: feature for feature in dumped}
    expect(len(dumped) == len(found) and found.keys() == rows.keys(), f"esridump: all {len(rows)} rows of {document['name']} come, each once")
    for object_id, feature in found.items():
        row = rows[object_id]
        if feature["properties"] != row["attributes"]:
            raise Failed(f"row {object_id}: the server says {row['attributes']}, esridump {feature['properties']}")
        if bool(feature["geometry"]) != bool(row.get("geometry")):
            raise Failed(f"row {object_id}: only one of server and esridump has a geometry")
        if feature["geometry"] and feature["geometry"]["type"] == "Point":
            x, y = feature["geometry"]["coordinates"][:2]
            # It asks for seven digits.
            if not (math.isclose(x, row["geometry"]["x"], abs_tol=1e-7) and math.isclose(y, row["geometry"]["y"], abs_tol=1e-7)):
                raise Failed(f"row {object_id}: the server's point is {row['geometry']}, esridump's {x}, {y}")


def read(service, document):
    """Reads with restapi."""
    url = f"{service}/{document['id']}"
    layer = restapi.FeatureLayer(url)
    expect(layer.name == document["name"] and len(layer.fields) == len(document["fields"]), "restapi: FeatureLayer has name and fields")
    wanted = features_of(url, where="visits < 10")
    found = layer.query(where="visits < 10", f="json")
    expect({feature.attributes.objectid for feature in found} == wanted.keys(), f"restapi: query finds {len(wanted)} rows")
    # Its own choice of format.
    found = layer.query(where="visits < 10")
    expect({feature.properties.objectid for feature in found} == wanted.keys(), "restapi: query finds them as GeoJSON")
    expect(sorted(layer.getOIDs("visits < 10")) == sorted(wanted), "restapi: getOIDs has their ids")


def relate(service, document):
    """Asks for related records and for attachments with restapi."""
    layer = restapi.FeatureLayer(f"{service}/{document['id']}")
    related = layer.query_related_records([1, 2, 3], 0, definitionExpression="minutes > 5")
    expect(list(related.list_related_OIDs()) == [1, 2], "restapi: query_related_records has a group for each feature with records")
    words = [record.attributes.words for record in related.get_related_records(1)]
    expect(words == [None, "wet"], "restapi: and the records in it")
    expect(layer.query_attachments([1, 2]) == [], "restapi: query_attachments finds none where there are none")


def run(service):
    layers = layers_of(service)
    for document in layers.values():
        dump(service, document)
    read(service, layers["Survey"])
    relate(service, layers["Survey"])
    return " and ".join(f"{name} {importlib.metadata.version(name)}" for name in ("esridump", "bmi-arcgis-restapi"))


main("Reading with", run)
