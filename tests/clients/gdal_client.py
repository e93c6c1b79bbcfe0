#!/usr/bin/env python3
"""Reads every layer of a feature service with GDAL and compares what arrives with the server's rows.

    tests/clients/gdal_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

Needs ogr2ogr (Debian's gdal-bin) and the Python standard library. GDAL's ESRIJSON driver reads the
`query` resource page by page into a GeoPackage; the pages are made so small that it takes several.
Ends with a message and a non-zero exit code at the first difference.
"""

import datetime
import json
import math
import os
import re
import sqlite3
import struct
import subprocess
import tempfile
import urllib.parse

from common import Failed, ask, expect, features_of, layers_of, main

N_PAGES = 4


def source_of(layer, **params):
    """What GDAL opens: a query for all rows."""
    query = {"where": "1=1", "outFields": "*", "orderByFields": "objectid", "f": "json", **params}
    return f"ESRIJSON:{layer}/query?{urllib.parse.urlencode(query)}"


def rows_of_gdal(source, object_id, file):
    """Lets GDAL copy the layer into a GeoPackage; returns its rows by object id and its reference system."""
    command = ["ogr2ogr", "-f", "GPKG", file, source, "-nln", "layer", "-unsetFid"]
    # Names of its own, so that no field of the layer can collide with them.
    command += ["-lco", "FID=gdal_fid", "-lco", "GEOMETRY_NAME=gdal_geom"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode or "ERROR" in run.stderr:
        raise Failed(f"ogr2ogr failed: {run.stderr.strip()}\n  {' '.join(command)}")
    with sqlite3.connect(file) as database:
        database.row_factory = sqlite3.Row
        srid = database.execute("SELECT srs_id FROM gpkg_contents").fetchone()[0]
        rows = {row[object_id]: dict(row) for row in database.execute("SELECT * FROM layer")}
        n_rows = database.execute("SELECT count(*) FROM layer").fetchone()[0]
    if n_rows != len(rows):
        raise Failed(f"GDAL read {n_rows} rows, but only {len(rows)} object ids: a page came twice")
    return rows, srid


def same_value(kind, server, gdal):
    """Tells whether GDAL understood an attribute as the server meant it."""
    if server is None or gdal is None:
        return server is gdal
    if kind == "esriFieldTypeDate":
        # GDAL makes a time of it since 3.10; before, it keeps the milliseconds as text.
        if gdal.lstrip("-").isdigit():
            return int(gdal) == server
        moment = datetime.datetime.fromisoformat(gdal.replace("Z", "+00:00"))
        return round(moment.timestamp() * 1000) == server
    if isinstance(server, float):
        return abs(server - gdal) <= 1e-9 * max(1.0, abs(server))
    return server == gdal


def compare(rows, copies, fields):
    """Compares the rows of the server with the copies that GDAL made."""
    if rows.keys() != copies.keys():
        raise Failed(f"GDAL missed or invented the rows {sorted(rows.keys() ^ copies.keys())[:10]}")
    for object_id, row in rows.items():
        copy = copies[object_id]
        for field in fields:
            name, server = field["name"], row["attributes"][field["name"]]
            if not same_value(field["type"], server, copy[name]):
                raise Failed(f"row {object_id}, {name}: the server says {server!r}, GDAL {copy[name]!r}")
        geometry, blob = row.get("geometry"), copy["gdal_geom"]
        if bool(geometry) != bool(blob):
            raise Failed(f"row {object_id}: only one of server and GDAL has a geometry")
        if geometry and "x" in geometry:
            # A GeoPackage point ends with its coordinates.
            wanted = [geometry[axis] for axis in "xyz" if axis in geometry]
            found = struct.unpack(f"<{len(wanted)}d", blob[-8 * len(wanted) :])
            if not all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(found, wanted, strict=True)):
                raise Failed(f"row {object_id}: the server's point is {geometry}, GDAL's {found}")


def check_layer(service, document, folder):
    """Reads one layer both ways, in pages of the client and in those of the server."""
    name, object_id = document["name"], document["objectIdField"]
    layer = f"{service}/{document['id']}"
    count = ask(f"{layer}/query", where="1=1", returnCountOnly="true")["count"]
    if count < N_PAGES:
        raise Failed(f"{name} has {count} rows, too few to be read in pages")
    rows = features_of(layer, returnZ="true")
    pages = [-(-count // N_PAGES)]
    if count > document["maxRecordCount"]:
        pages.append(None)
    for size in pages:
        params = {"resultRecordCount": size} if size else {}
        file = f"{folder}/layer{document['id']}.{size}.gpkg"
        copies, srid = rows_of_gdal(source_of(layer, returnZ="true", **params), object_id, file)
        if not len(rows) == len(copies) == count:
            raise Failed(f"{name}: the server counts {count} rows and sends {len(rows)}; GDAL read {len(copies)}")
        compare(rows, copies, document["fields"])
        reference = document["extent"]["spatialReference"]
        if srid != reference.get("latestWkid", reference["wkid"]):
            raise Failed(f"{name}: GDAL takes it for EPSG:{srid}, the server says {reference}")
        shown = f"pages of {size}" if size else "the server's own pages"
        print(f"ok  {name}: {count} rows in {shown}, {len(document['fields'])} fields, EPSG:{srid}", flush=True)
    check_geojson(layer, document, rows, folder)
    check_summary(layer, document, count)


def check_geojson(layer, document, rows, folder):
    """Reads the layer as GeoJSON, which is in longitude and latitude whatever the layer's own reference is."""
    query = urllib.parse.urlencode({"where": "1=1", "outFields": "*", "orderByFields": "objectid", "f": "geojson"})
    copies, srid = rows_of_gdal(f"GeoJSON:{layer}/query?{query}", document["objectIdField"], f"{folder}/geojson{document['id']}.gpkg")
    # GDAL does not page here; what it is sent is a page.
    expected = sorted(rows)[: document["maxRecordCount"]]
    expect(sorted(copies) == expected and srid == 4326, f"{document['name']}: {len(expected)} rows come as GeoJSON")
    degrees = features_of(layer, outSR="4326")
    for object_id, copy in copies.items():
        geometry, blob = degrees[object_id].get("geometry"), copy["gdal_geom"]
        if bool(geometry) != bool(blob):
            raise Failed(f"row {object_id}: only one of JSON and GeoJSON has a geometry")
        if geometry and "x" in geometry:
            found = struct.unpack("<2d", blob[-16:])
            if not all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(found, (geometry["x"], geometry["y"]), strict=True)):
                raise Failed(f"row {object_id}: JSON has the point {geometry}, GeoJSON {found}")


def check_summary(layer, document, count):
    """Asks for the number of features and the extent, which GDAL asks the server for."""
    command = ["ogrinfo", "-ro", "-so", "-al", source_of(layer)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    expect(lines["Feature Count"] == str(count), f"{document['name']}: ogrinfo counts {count} features")
    corners = [float(text) for text in re.findall(r"-?\d+\.\d+", lines["Extent"])]
    # It asks for GeoJSON here, and takes the degrees for coordinates of the layer.
    box = ask(f"{layer}/query", where="1=1", returnExtentOnly="true", outSR="4326")["extent"]
    wanted = [box[side] for side in ("xmin", "ymin", "xmax", "ymax")]
    near = all(math.isclose(found, there, abs_tol=1e-5) for found, there in zip(corners, wanted, strict=True))
    expect(near, f"{document['name']}: ogrinfo has the extent of the rows")


def run(service):
    os.environ["NO_PROXY"] = "*"
    with tempfile.TemporaryDirectory() as folder:
        for document in layers_of(service).values():
            check_layer(service, document, folder)
    return subprocess.run(["ogr2ogr", "--version"], capture_output=True, text=True, check=True).stdout.split(",")[0].removeprefix("GDAL ")


main("GDAL", run)
