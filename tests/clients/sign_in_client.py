#!/usr/bin/env python3
"""Signs in to a server with Esri's `arcgis` package and with GDAL, and edits as whoever it is.

    SYNCLINE_USER=ann SYNCLINE_PASSWORD=… .venv/bin/python tests/clients/sign_in_client.py \\
        http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

The server must let nobody do anything without saying who they are, and the user must be an editor.
"""

import json
import os
import subprocess
import urllib.parse
import urllib.request

from arcgis_client import PlainHttp, editable_layer
from arcgis.features import FeatureLayer, FeatureLayerCollection
from arcgis.gis import GIS
import arcgis
from common import expect, main


def sign_in(root, user, password):
    """As a person does. Without `use_gen_token` the package wants OAuth 2, which only portals have."""
    host = root.split("/")[2]
    return GIS(root, user, password, adapter={f"https://{host}": PlainHttp()}, use_gen_token=True, set_active=False)


def is_refused(ask):
    """Whether the package says that something failed, and not that something is broken."""
    try:
        ask()
    except Exception as error:
        return "oken" in str(error) or "nvalid" in str(error) or "permission" in str(error), str(error)
    return False, "nothing was refused"


def with_gdal(url, token):
    source = f"ESRIJSON:{url}/0/query?" + urllib.parse.urlencode({"where": "1=1", "outFields": "*", "f": "json", "token": token})
    return subprocess.run(["ogrinfo", "-so", "-al", source], capture_output=True, text=True, timeout=300, check=False)


def run(url):
    root = url.split("/rest/services/")[0]
    user, password = os.environ["SYNCLINE_USER"], os.environ["SYNCLINE_PASSWORD"]
    gis = sign_in(root, user, password)
    service = FeatureLayerCollection(url, gis)
    expect(service.properties.syncEnabled, f"{user} signs in, and sees the service")
    layer, field = editable_layer(service)
    count = layer.query(where="1=1", return_count_only=True)
    feature = {"attributes": {field: "signed in"}, "geometry": {"x": 8, "y": 47, "spatialReference": {"wkid": 4326}}}
    added = layer.edit_features(adds=[feature])["addResults"][0]
    expect(added["success"], "the user adds a feature")
    expect(layer.query(where="1=1", return_count_only=True) == count + 1, "and there is one more")
    expect(layer.edit_features(deletes=str(added["objectId"]))["deleteResults"][0]["success"], "and deletes it")
    refused, why = is_refused(lambda: sign_in(root, user, password + "x"))
    expect(refused, f"a wrong password is refused: {why}")
    host = root.split("/")[2]
    nobody = GIS(root, adapter={f"https://{host}": PlainHttp()}, set_active=False)
    refused, why = is_refused(lambda: FeatureLayer(f"{url}/0", nobody).query(return_count_only=True))
    expect(refused, f"without signing in nothing is to be seen: {why}")

    form = urllib.parse.urlencode({"username": user, "password": password, "f": "json"}).encode()
    with urllib.request.urlopen(f"{root}/tokens/generateToken", form, timeout=60) as response:
        token = json.load(response)["token"]
    read = with_gdal(url, token)
    expect("Feature Count: 2" in read.stdout, "GDAL reads with the token in the address")
    read = with_gdal(url, "")
    expect("Feature Count" not in read.stdout, "and nothing without it")
    return arcgis.__version__


if __name__ == "__main__":
    main("arcgis", run)
