#!/usr/bin/python3
"""Opens the file of a replica as QGIS does, without its windows.

    QT_QPA_PLATFORM=offscreen tests/clients/qgis_geopackage.py it.gpkg styles oak     # how it draws a layer, as JSON
    QT_QPA_PLATFORM=offscreen tests/clients/qgis_geopackage.py it.gpkg edit oak       # adds, changes, moves and deletes trees
    QT_QPA_PLATFORM=offscreen tests/clients/qgis_geopackage.py it.geodatabase read oak_open    # what is in a layer, as JSON

Needs Debian's python3-qgis.
"""

import json
import os
import sqlite3
import sys
import tempfile

from qgis.core import NULL, QgsApplication, QgsFeature, QgsFeatureRequest, QgsGeometry, QgsPointXY, QgsProviderRegistry, QgsVectorLayer, QgsWkbTypes


def check(done, what):
    if not done:
        sys.exit(what)


def drawn(layer):
    # A clone is Python's own, and outlives another style of the layer; so do its categories and rules, while they are named.
    renderer = layer.renderer().clone()
    if renderer.type() == "singleSymbol":
        entries = [(None, "", renderer.symbol())]
    elif renderer.type() == "categorizedSymbol":
        entries = [(category.value(), category.label(), category.symbol().clone()) for category in renderer.categories()]
    elif renderer.type() == "RuleRenderer":
        root = renderer.rootRule()
        rules = root.children()
        entries = [("else" if rule.isElse() else rule.filterExpression(), rule.label(), rule.symbol().clone()) for rule in rules]
    else:
        sys.exit(f"a renderer of the type {renderer.type()}")
    shown = []
    for value, label, symbol in entries:
        properties = symbol.symbolLayer(0).properties()
        kept = ["name", "color", "size", "style", "outline_color", "outline_width", "outline_style", "line_color", "line_width", "line_style"]
        shown.append([value, label, symbol.symbolLayer(0).layerType(), {key: properties[key] for key in kept if key in properties}])
    return {"type": renderer.type(), "field": getattr(renderer, "classAttribute", lambda: None)(), "symbols": shown}


def styles(path, layer):
    shown = {"qml": drawn(layer)}
    with sqlite3.connect(path) as connection:
        [(sld,)] = connection.execute("SELECT styleSLD FROM layer_styles WHERE f_table_name = ?", [layer.name()]).fetchall()
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "style.sld")
        with open(file, "w") as out:
            out.write(sld)
        message, is_read = layer.loadSldStyle(file)
        check(is_read, f"the SLD is not read: {message}")
    shown["sld"] = drawn(layer)
    print(json.dumps(shown))


def edit(layer):
    check(layer.startEditing(), "it cannot be edited")
    names = layer.fields().names()
    new = QgsFeature(layer.fields())
    new["species"], new["girth"] = "new", 12
    new.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(5.5, 6.5)))
    check(layer.addFeature(new), "no feature is added")
    check(layer.changeAttributeValue(1, names.index("species"), "beech"), "nothing is changed")
    check(layer.changeGeometry(2, QgsGeometry.fromPointXY(QgsPointXY(40, 4))), "nothing is moved")
    check(layer.deleteFeature(3), "nothing is deleted")
    check(layer.commitChanges(), f"nothing is saved: {layer.commitErrors()}")


def read(path, layer):
    shown = {
        "layers": sorted(found.name() for found in QgsProviderRegistry.instance().querySublayers(path)),
        "crs": layer.crs().authid(),
        "type": QgsWkbTypes.displayString(layer.wkbType()),
        "fields": {field.name(): field.typeName() for field in layer.fields()},
        "count": layer.featureCount(),
        "extent": [layer.extent().xMinimum(), layer.extent().yMinimum(), layer.extent().xMaximum(), layer.extent().yMaximum()],
        "features": {},
    }
    for feature in layer.getFeatures(QgsFeatureRequest().setLimit(10)):
        values = {name: None if value == NULL else str(value) for name, value in zip(layer.fields().names(), feature.attributes())}
        shown["features"][feature.id()] = {"geometry": feature.geometry().asWkt(6), "values": values}
    print(json.dumps(shown))


def main():
    path, what, name = sys.argv[1:]
    qgis = QgsApplication([], False)
    qgis.initQgis()
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    check(layer.isValid(), f"{name} is not opened")
    if what == "styles":
        styles(path, layer)
    elif what == "read":
        read(path, layer)
    else:
        edit(layer)
    # The file is closed with its last layer.
    del layer
    qgis.exitQgis()


main()
