#!/usr/bin/env python3
"""Reads every layer of a feature service with GDAL and compares what arrives with the server's rows.

    tests/clients/gdal_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

Needs ogr2ogr (Debian's gdal-bin) and the Python standard library. GDAL's ESRIJSON driver reads the
`query` resource page by page into a GeoPackage; the pages are made so small that it takes several.
Ends with a message and a non-zero exit code at the first difference.
"""

import datetime
import json
import sqlite3
import struct
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

N_PAGES = 4


class Failed(Exception):
    """GDAL and the server do not agree; the text says where."""


def get(url, **params):
    """Fetches a JSON document."""
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode({'f': 'json', **params})}", timeout=60) as response:
        answer = json.load(response)
    if "error" in answer:
        raise Failed(f"{url} answered {answer['error']}")
    return answer


def rows_of_server(layer, object_id, size):
    """Reads all rows through `query` itself, by object id."""
    rows, more = {}, True
    while more:
        page = get(
            f"{layer}/query",
            where="1=1",
            outFields="*",
            orderByFields=object_id,
            resultOffset=len(rows),
            resultRecordCount=size,
        )
        rows.update({feature["attributes"][object_id]: feature for feature in page["features"]})
        more = page.get("exceededTransferLimit", False)
    return rows


def rows_of_gdal(layer, object_id, size, file):
    """Lets GDAL copy the layer into a GeoPackage; returns its rows by object id and its reference system."""
    query = {
        "where": "1=1",
        "outFields": "*",
        "orderByFields": object_id,
        "resultRecordCount": size,
        "f": "json",
    }
    source = f"ESRIJSON:{layer}/query?{urllib.parse.urlencode(query)}"
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
            # A GeoPackage point ends with its two coordinates.
            x, y = struct.unpack("<dd", blob[-16:])
            if max(abs(x - geometry["x"]), abs(y - geometry["y"])) > 1e-9 * max(1.0, abs(x), abs(y)):
                raise Failed(f"row {object_id}: the server's point is {geometry}, GDAL's {x}, {y}")


def check_layer(service, layer_id, folder):
    """Reads one layer both ways."""
    layer = f"{service}/{layer_id}"
    document = get(layer)
    name, object_id = document["name"], document["objectIdField"]
    count = get(f"{layer}/query", where="1=1", returnCountOnly="true")["count"]
    if count < N_PAGES:
        raise Failed(f"{name} has {count} rows, too few to be read in pages")
    size = -(-count // N_PAGES)
    rows = rows_of_server(layer, object_id, size)
    copies, srid = rows_of_gdal(layer, object_id, size, f"{folder}/layer{layer_id}.gpkg")
    if not len(rows) == len(copies) == count:
        raise Failed(f"{name}: the server counts {count} rows and sends {len(rows)}; GDAL read {len(copies)}")
    compare(rows, copies, document["fields"])
    reference = document["extent"]["spatialReference"]
    if srid != reference.get("latestWkid", reference["wkid"]):
        raise Failed(f"{name}: GDAL takes it for EPSG:{srid}, the server says {reference}")
    print(f"ok  {name}: {count} rows in pages of {size}, {len(document['fields'])} fields, EPSG:{srid}", flush=True)


def main():
    if len(sys.argv) != 2 or not sys.argv[1].startswith("http"):
        sys.exit("usage: tests/clients/gdal_client.py URL   (the URL of a FeatureServer)")
    service = sys.argv[1].rstrip("/")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for layer in get(service)["layers"]:
                check_layer(service, layer["id"], folder)
    except (Failed, OSError, KeyError) as failure:
        sys.exit(f"tests/clients/gdal_client.py: {type(failure).__name__}: {failure}")
    version = subprocess.run(["ogr2ogr", "--version"], capture_output=True, text=True, check=True).stdout
    print(f"{version.split(',')[0]} is content.")


if __name__ == "__main__":
    main()
