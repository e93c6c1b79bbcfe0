#!/usr/bin/env python3
"""Reads the files of a service with pyogrio, which brings a GDAL of its own, later than the one that wrote some of them.

    .venv/bin/python tests/clients/files_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

`scripts/setup test` makes the environment with the package.
"""

import math
import os
import struct
import tempfile
import urllib.request

import pyogrio
from common import Failed, ask, expect, features_of, layers_of, main

# For each format: how files end, the table or file of a layer in them, and what becomes of geometries.
FORMATS = {
    "geoPackage": ("gpkg", "{path}", "{name}"),
    "sqlite": ("geodatabase", "{path}", "{name}_open"),
    "filegdb": ("gdb.zip", "{path}", "{name}"),
    "shapefile": ("zip", "/vsizip/{path}/{name}.shp", None),
    "geojson": ("zip", "/vsizip/{path}/{name}.geojson", None),
    "kml": ("kmz", "/vsizip/{path}/doc.kml", "{name}"),
    "csv": ("zip", "/vsizip/{path}/{name}.csv", None),
    "excel": ("xlsx", "{path}", "{name}"),
}


def point(wkb):
    """The coordinates of a point."""
    order = "<" if wkb[0] == 1 else ">"
    return struct.unpack_from(order + "2d", wkb, 5)


def rows(source, layer):
    """The rows of a file's layer: their fields by name in small letters, and their geometries."""
    meta, _, geometries, columns = pyogrio.raw.read(source, layer=layer)
    names = [name.lower() for name in meta["fields"]]
    shapes = geometries if geometries is not None else [None] * len(columns[0])
    return [(dict(zip(names, values)), shape) for *values, shape in zip(*columns, shapes)]


def read(service, document, format, directory):
    """Compares a layer of points in a file with the server's rows."""
    ending, source, table = FORMATS[format]
    answer = ask(f"{service}/createReplica", layers=document["id"], syncModel="none", dataFormat=format, replicaSR="4326")
    path = os.path.join(directory, f"{format}.{ending}")
    urllib.request.urlretrieve(answer["URL"], path)
    name = document["name"]
    found = rows(source.format(path=path, name=name), table and table.format(name=name))
    server = features_of(f"{service}/{document['id']}", outSR="4326").values()
    expect(len(found) == len(server), f"{format}: all {len(found)} rows of {name} are there")
    for attributes, shape in found:
        # Some cities have the same name.
        there = [feature["geometry"] for feature in server if feature["attributes"]["name"] == attributes["name"]]
        if not there:
            raise Failed(f"{format}: the server knows no {attributes['name']!r}")
        if shape is not None:
            x, y = point(shape)
            if not any(math.isclose(x, place["x"], abs_tol=1e-6) and math.isclose(y, place["y"], abs_tol=1e-6) for place in there):
                raise Failed(f"{format}: {attributes['name']} is at {there}, not at {x}, {y}")
    if format not in ("csv", "excel"):
        expect(all(shape is not None for _, shape in found), f"{format}: each row has a point, which is where the server has it")


def run(service):
    layers = [layer for layer in layers_of(service).values() if layer.get("geometryType") == "esriGeometryPoint"]
    cities = next(layer for layer in layers if layer["name"] == "Cities")
    advertised = ask(service)["supportedExportFormats"].split(",")
    with tempfile.TemporaryDirectory() as directory:
        for format in FORMATS:
            if format in advertised:
                read(service, cities, format, directory)
    return f"{pyogrio.__version__} with GDAL {'.'.join(map(str, pyogrio.__gdal_version__))}"


main("pyogrio", run)
