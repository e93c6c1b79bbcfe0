#!/usr/bin/python3
"""Edits the trees in the GeoPackage of a replica in the ways in which desktop programs write through GDAL.

    tests/clients/gdal_edits.py it.gpkg tree

Needs Debian's python3-gdal. Trees 1 to 5 are there; what becomes of each stands beside it.
"""

import sys

from osgeo import gdal, ogr

gdal.UseExceptions()


def feature(layer, fid, species, girth, point, global_id=None):
    made = ogr.Feature(layer.GetLayerDefn())
    if fid:
        made.SetFID(fid)
    if global_id:
        made["globalid"] = global_id
    made["species"], made["girth"] = species, girth
    made.SetGeometry(ogr.CreateGeometryFromWkt(point))
    return made


def run(source, statement):
    source.ReleaseResultSet(source.ExecuteSQL(statement))


def main():
    path, name = sys.argv[1:]
    source = gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_UPDATE)
    layer = source.GetLayerByName(name)
    geometry = layer.GetGeometryColumn()

    # A session of a desktop program: many edits in one transaction, each feature written whole.
    source.StartTransaction()
    layer.CreateFeature(feature(layer, 900, "numbered by the program", 1, "POINT (1 1)"))
    layer.CreateFeature(feature(layer, None, "numbered by the file", 2, "POINT (2 2)"))
    passing = feature(layer, None, "gone before it was sent", 3, "POINT (3 3)")
    layer.CreateFeature(passing)
    layer.DeleteFeature(passing.GetFID())
    # Written back as it is: nothing was edited.
    layer.SetFeature(layer.GetFeature(1))
    # Moved twice; where it comes to lie counts.
    for point in ["POINT (20 20)", "POINT (22 22)"]:
        moved = layer.GetFeature(2)
        moved.SetGeometry(ogr.CreateGeometryFromWkt(point))
        layer.SetFeature(moved)
    layer.DeleteFeature(3)
    source.CommitTransaction()

    # One that is given up.
    source.StartTransaction()
    layer.DeleteFeature(1)
    layer.CreateFeature(feature(layer, None, "given up", 4, "POINT (4 4)"))
    source.RollbackTransaction()

    # A row that takes the place of another, which is the same feature: by its key, and by another key.
    [known] = [row["globalid"] for row in layer if row.GetFID() == 4]
    run(source, f'INSERT OR REPLACE INTO "{name}" (objectid, globalid, species, girth, "{geometry}")'
                f" SELECT objectid, globalid, 'replaced', girth, \"{geometry}\" FROM \"{name}\" WHERE objectid = 4")
    run(source, f"UPDATE \"{name}\" SET objectid = 4000 WHERE globalid = '{known}'")
    # Put or changed, whichever it takes.
    [known] = [row["globalid"] for row in layer if row.GetFID() == 5]
    layer.UpsertFeature(feature(layer, 5, "put", 55, "POINT (55 55)", known))
    # Rewrites the file.
    run(source, "VACUUM")
    layer = source = None


main()
