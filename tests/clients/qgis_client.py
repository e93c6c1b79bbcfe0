#!/usr/bin/python3
"""Drives a feature service through QGIS, without its windows.

    QT_QPA_PLATFORM=offscreen tests/clients/qgis_client.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

Needs Debian's python3-qgis. Loads the layers of the tests' service, reads and filters them and compares with the server's own
rows; edits where this QGIS can.
"""

import math
import os
import tempfile

from common import Failed, ask, expect, features_of, layers_of, main, skip
from qgis.core import (
    NULL,
    Qgis,
    QgsApplication,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsRectangle,
    QgsVectorDataProvider,
    QgsVectorLayer,
)


def open_layer(service, document, filter=""):
    """Opens a layer as QGIS does that was dragged from its browser."""
    reference = document["extent"]["spatialReference"]
    epsg = reference.get("latestWkid", reference["wkid"])
    source = f"crs='EPSG:{epsg}' url='{service}/{document['id']}'" + (f' sql="{filter}"' if filter else "")
    layer = QgsVectorLayer(source, document["name"], "arcgisfeatureserver")
    if not layer.isValid():
        raise Failed(f"QGIS does not open {document['name']}: {layer.error().message()} {layer.dataProvider().error().message()}")
    return layer


def ids(features):
    """The object ids of features of QGIS."""
    return {feature["objectid"] for feature in features}


def same(value, there, kind):
    """Tells whether QGIS understood a value as the server meant it."""
    if there is None or value in (None, NULL):
        return there is None and value in (None, NULL)
    if kind == "esriFieldTypeDate":
        return value.toMSecsSinceEpoch() == there
    if isinstance(there, float):
        return math.isclose(value, there, rel_tol=1e-9)
    return value == there


def check_layer(service, document):
    """Reads a layer whole and in parts."""
    name, url = document["name"], f"{service}/{document['id']}"
    rows = features_of(url)
    layer = open_layer(service, document)
    expect(layer.featureCount() == len(rows), f"{name}: QGIS counts {len(rows)} features")
    extent, wanted = layer.extent(), document["extent"]
    near = all(
        math.isclose(found, there, rel_tol=1e-9, abs_tol=1e-6)
        for found, there in [
            (extent.xMinimum(), wanted["xmin"]),
            (extent.yMinimum(), wanted["ymin"]),
            (extent.xMaximum(), wanted["xmax"]),
            (extent.yMaximum(), wanted["ymax"]),
        ]
    )
    expect(near, f"{name}: its extent is the document's")
    features = list(layer.getFeatures())
    expect(len(features) == len(rows) and ids(features) == rows.keys(), f"{name}: all {len(rows)} features come, each once")
    for feature in features:
        row = rows[feature["objectid"]]
        for field in document["fields"]:
            found, there = feature[field["name"]], row["attributes"][field["name"]]
            if not same(found, there, field["type"]):
                raise Failed(f"{name} {feature['objectid']}, {field['name']}: the server says {there!r}, QGIS {found!r}")
        geometry, there = feature.geometry(), row.get("geometry")
        if geometry.isNull() == bool(there):
            raise Failed(f"{name} {feature['objectid']}: only one of server and QGIS has a geometry")
        if there and "x" in there:
            point = geometry.constGet()
            if not (math.isclose(point.x(), there["x"], abs_tol=1e-9) and math.isclose(point.y(), there["y"], abs_tol=1e-9)):
                raise Failed(f"{name} {feature['objectid']}: the server's point is {there}, QGIS's {geometry.asWkt()}")
        elif there and len(there["rings"]) != sum(1 + part.numInteriorRings() for part in geometry.constParts()):
            raise Failed(f"{name} {feature['objectid']}: the server sends {len(there['rings'])} rings, QGIS has {geometry.asWkt(1)}")
    expect(True, f"{name}: every value of {len(document['fields'])} fields, and every geometry, is the server's")
    check_filters(url, document, layer, rows)


def check_filters(url, document, layer, rows):
    """Filters by rectangle, by expression and by id."""
    name = document["name"]
    centre = layer.extent().center()
    box = QgsRectangle(centre.x(), centre.y(), layer.extent().xMaximum(), layer.extent().yMaximum())
    text = f"{box.xMinimum()!r},{box.yMinimum()!r},{box.xMaximum()!r},{box.yMaximum()!r}"
    wanted = set(ask(f"{url}/query", geometry=text, spatialRel="esriSpatialRelEnvelopeIntersects", returnIdsOnly="true")["objectIds"])
    found = ids(layer.getFeatures(QgsFeatureRequest().setFilterRect(box)))
    expect(found == wanted and 0 < len(found) < len(rows), f"{name}: a rectangle finds {len(wanted)} features")
    some = sorted(rows)[:3]
    found = ids(layer.getFeatures(QgsFeatureRequest().setFilterExpression(f"objectid in ({','.join(map(str, some))})")))
    expect(found == set(some), f"{name}: an expression finds its {len(some)} features")
    feature = next(layer.getFeatures())
    again = layer.getFeature(feature.id())
    expect(again["objectid"] == feature["objectid"], f"{name}: a feature is found again by its id")
    ordered = [f["objectid"] for f in layer.getFeatures(QgsFeatureRequest().addOrderBy("objectid", False).setLimit(5))]
    expect(ordered == sorted(rows, reverse=True)[:5], f"{name}: the last five come in order")


def check_source_filter(service, document):
    """Opens a part of a layer by SQL, which the server evaluates."""
    url = f"{service}/{document['id']}"
    wanted = ask(f"{url}/query", where="visits < 10", returnCountOnly="true")["count"]
    layer = open_layer(service, document, "visits < 10")
    if not layer.dataProvider().supportsSubsetString():
        skip(f"layers of a part of the rows with QGIS, of which {Qgis.version()} does not have them")
        return
    expect(layer.featureCount() == wanted, f"{document['name']}: a layer with a filter has {wanted} features")


def edit(service, document):
    """Adds, changes and deletes through the provider."""
    layer = open_layer(service, document)
    provider = layer.dataProvider()
    needed = (
        QgsVectorDataProvider.AddFeatures
        | QgsVectorDataProvider.DeleteFeatures
        | QgsVectorDataProvider.ChangeAttributeValues
        | QgsVectorDataProvider.ChangeGeometries
    )
    if provider.capabilities() & needed != needed:
        if Qgis.QGIS_VERSION_INT >= 32800:
            raise Failed(f"QGIS {Qgis.version()} can edit feature services, and takes {document['name']} for read-only")
        skip(f"editing with QGIS, of which {Qgis.version()} reads only (3.28 is the first that edits)")
        return
    url = f"{service}/{document['id']}"
    feature = QgsFeature(layer.fields())
    feature.setAttribute("name", "von QGIS & \"mehr\" 100 % +")
    feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(1280001, 6120002)))
    success, added = provider.addFeatures([feature])
    expect(success, f"a feature is added: {provider.lastError()}")
    key = ask(f"{url}/query", where="name like 'von QGIS%'", returnIdsOnly="true")["objectIds"]
    expect(len(key) == 1, "it is there once")
    try:
        row = features_of(url, objectIds=key[0])[key[0]]
        expect(row["attributes"]["name"] == feature["name"], "its text came as it was")
        fid = added[0].id()
        expect(provider.changeAttributeValues({fid: {layer.fields().indexOf("visits"): 7}}), f"it is changed: {provider.lastError()}")
        expect(provider.changeGeometryValues({fid: QgsGeometry.fromPointXY(QgsPointXY(1280003, 6120004))}), "it is moved")
        row = features_of(url, objectIds=key[0])[key[0]]
        expect(row["attributes"]["visits"] == 7 and row["geometry"]["x"] == 1280003, "the server has both")
    finally:
        deleted = provider.deleteFeatures([added[0].id()])
    expect(deleted, f"it is deleted: {provider.lastError()}")
    expect(not ask(f"{url}/query", objectIds=key[0])["features"], "it is gone")


def run(service):
    with tempfile.TemporaryDirectory() as home:
        # Settings and cache of a person's own QGIS are left alone.
        os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = os.environ["XDG_DATA_HOME"] = home
        application = QgsApplication([], False, home)
        application.initQgis()
        try:
            layers = layers_of(service)
            for document in layers.values():
                check_layer(service, document)
            check_source_filter(service, layers["Survey"])
            edit(service, layers["Survey"])
        finally:
            application.exitQgis()
    return Qgis.version()


main("QGIS", run)
