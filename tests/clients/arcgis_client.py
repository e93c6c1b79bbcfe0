#!/usr/bin/env python3
"""Drives a feature service through Esri's `arcgis` package, as its users do.

    .venv/bin/python tests/clients/arcgis_client.py \\
        http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

`scripts/setup test` makes the environment with the package. Reads, edits, takes two replicas,
synchronizes one of them after each kind of edit and unregisters both. What it adds it deletes.
Ends with a message and a non-zero exit code at the first thing that is not as it must be.
"""

import json
import os
import tempfile
import uuid
import warnings

warnings.simplefilter("ignore")

import arcgis  # noqa: E402
from arcgis.features import FeatureLayerCollection  # noqa: E402
from arcgis.geometry import filters  # noqa: E402
from arcgis.gis import GIS  # noqa: E402
from common import Failed, expect, main  # noqa: E402
from requests.adapters import HTTPAdapter  # noqa: E402


class PlainHttp(HTTPAdapter):
    """Sends requests for https URLs as plain HTTP.

    The package rewrites every http URL to https before it sends a request, and a `GIS` offers no
    switch for that; a server without TLS can only be reached by undoing it.
    """

    def send(self, request, **options):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


def connect(url):
    """Opens the service as an anonymous user of the server's own portal."""
    root = url.split("/rest/services/")[0]
    adapter = None
    if root.startswith("http://"):
        host = root.split("/")[2]
        adapter = {f"https://{host}": PlainHttp()}
    gis = GIS(root, adapter=adapter, set_active=False)
    expect(gis._con._product == "PORTAL", f"{root} is taken for a portal, version {gis.version}")
    service = FeatureLayerCollection(url, gis)
    expect(service.properties.syncEnabled, f"the service has sync and {len(service.layers)} layers")
    return service


def editable_layer(service):
    """Returns the first layer of points, and the name of a text field to write to."""
    for layer in service.layers:
        if layer.properties.geometryType == "esriGeometryPoint":
            for field in layer.properties.fields:
                if field.type == "esriFieldTypeString" and field.editable and field.get("length", 99) >= 40:
                    return layer, field.name
    raise Failed("the service has no layer of points with an editable text field")


def key(global_id):
    """Brings a GlobalID to one spelling, so that braces and case do not matter."""
    return str(global_id).strip("{}").lower()


def keys_of(layer, features):
    """Returns the GlobalIDs of features."""
    return {key(feature["attributes"][layer.properties.globalIdField]) for feature in features}


def read(layer):
    """Counts, pages and filters."""
    count = layer.query(return_count_only=True)
    expect(count > 0, f"query counts {count} rows of {layer.properties.name}")
    features = layer.query(where="1=1").features
    expect(len(features) == count, f"query returns all {count} rows")
    object_id = layer.properties.objectIdField
    first = min(feature.attributes[object_id] for feature in features)
    found = layer.query(where=f"{object_id} = {first}").features
    expect([f.attributes[object_id] for f in found] == [first], "query finds one row by its object id")
    return count


def succeeded(answer, kind):
    """Returns the only result of one kind, which must be a success."""
    results = answer[kind]
    if len(results) != 1 or results[0]["success"] is not True:
        raise Failed(f"edit_features answered {answer}")
    return results[0]


def data_of(answer):
    """Reads the file that the package downloaded for an answer."""
    with open(answer["download_url"], encoding="utf-8") as file:
        return json.load(file)


def rows_in(data, layer_id):
    """Returns the features of one layer in the data of a replica."""
    return next(layer["features"] for layer in data["layers"] if layer["id"] == layer_id)


def download(service, layer, replica):
    """Fetches what changed since the last time and moves the replica's generation on."""
    answer = service.replicas.synchronize(
        replica_id=replica["replicaID"],
        transport_type="esriTransportTypeEmbedded",
        replica_server_gen=replica["replicaServerGen"],
        sync_direction="download",
        data_format="json",
    )
    replica["replicaServerGen"] = answer["replicaServerGen"]
    for edits in answer.get("edits", []):
        if edits["id"] == layer.properties.id:
            return edits["features"]
    return {"adds": [], "updates": [], "deleteIds": []}


def synchronize(service, layer, text_field, count, folder):
    """Takes a replica, edits the service three times and checks that each delta holds the edit."""
    layer_id, object_id = layer.properties.id, layer.properties.objectIdField
    name = f"arcgis-client-{uuid.uuid4().hex[:8]}"
    replica = service.replicas.create(
        replica_name=name,
        layers=[layer_id],
        transport_type="esriTransportTypeUrl",
        sync_model="perReplica",
        data_format="json",
        wait=True,
        out_path=folder,
    )
    held = len(rows_in(data_of(replica), layer_id))
    expect(held == count, f"replicas.create: the file of the new replica holds {held} rows")
    listed = [item["replicaID"] for item in service.replicas.get_list()]
    expect(replica["replicaID"] in listed, "replicas.get_list names it")
    info = service.replicas.get(replica["replicaID"])
    expect(info["replicaName"] == name, f"replicas.get describes it as {name}")

    geometry = {"x": 11.5, "y": 48.1, "spatialReference": {"wkid": 4326}}
    added = succeeded(
        layer.edit_features(adds=[{"attributes": {text_field: name}, "geometry": geometry}]), "addResults"
    )
    try:
        row = key(added["globalId"])
        adds = download(service, layer, replica)["adds"]
        expect(keys_of(layer, adds) == {row}, "synchronize: the added row is the delta's only add")
        values = [feature["attributes"][text_field] for feature in adds]
        expect(values == [name], f"it came with its value of {text_field}")

        change = {"attributes": {object_id: added["objectId"], text_field: name[::-1]}}
        succeeded(layer.edit_features(updates=[change]), "updateResults")
        delta = download(service, layer, replica)
        expect(keys_of(layer, delta["updates"]) == {row}, "synchronize: the changed row is the delta's only update")
        expect(not delta["adds"], "it does not come as an add again")
    finally:
        deleted = layer.edit_features(deletes=str(added["objectId"]))
    succeeded(deleted, "deleteResults")
    delta = download(service, layer, replica)
    expect({key(item) for item in delta["deleteIds"]} == {row}, "synchronize: the deleted row is the delta's only delete")

    snapshot = service.replicas.synchronize(
        replica_id=replica["replicaID"],
        transport_type="esriTransportTypeEmbedded",
        replica_server_gen=replica["replicaServerGen"],
    )
    # Whoever names no direction gets the package's own default.
    expect(len(rows_in(snapshot, layer_id)) == count, f"synchronize: a snapshot holds {count} rows again")
    unregister(service, replica)


def take_per_layer(service, folder):
    """Takes a replica of all layers, each with a generation of its own, and synchronizes it."""
    layers = [layer.properties.id for layer in service.layers]
    replica = service.replicas.create(
        replica_name=f"arcgis-client-{uuid.uuid4().hex[:8]}",
        layers=layers,
        transport_type="esriTransportTypeUrl",
        sync_model="perLayer",
        data_format="json",
        wait=True,
        out_path=folder,
    )
    expect(len(replica["layerServerGens"]) == len(layers), "replicas.create: a perLayer replica has a generation for each layer")
    data = data_of(replica)
    for layer in service.layers:
        count = layer.query(return_count_only=True)
        held = len(rows_in(data, layer.properties.id))
        expect(held == count, f"its file holds all {count} rows of {layer.properties.name}")
    answer = service.replicas.synchronize(
        replica_id=replica["replicaID"],
        transport_type="esriTransportTypeEmbedded",
        sync_direction="download",
        sync_layers=[{"syncDirection": "download", **generation} for generation in replica["layerServerGens"]],
    )
    expect(answer["responseType"] == "esriReplicaResponseTypeNoEdits", "synchronize: nothing has changed in any layer")
    unregister(service, replica)


def unregister(service, replica):
    """Ends a replica."""
    answer = service.replicas.unregister(replica["replicaID"])
    listed = [item["replicaID"] for item in service.replicas.get_list()]
    expect(answer and replica["replicaID"] not in listed, "replicas.unregister: the replica is gone")


def read_survey(survey):
    """Reads a layer that is larger than a page, in whole and by a rectangle."""
    count = survey.query(return_count_only=True)
    features = survey.query(return_z=True).features
    numbers = {feature.attributes["objectid"] for feature in features}
    expect(count > survey.properties.maxRecordCount and len(numbers) == len(features) == count, f"query: all {count} rows of several pages come, each once")
    ids = survey.query(return_ids_only=True)["objectIds"]
    expect(len(ids) == count, "query: ids are not cut at the size of a page")
    seventh = next(feature for feature in features if feature.attributes["objectid"] == 7)
    expect(seventh.attributes["remark"] is None and seventh.geometry["z"] == 1.75, "nulls are nulls, and points have their height")
    box = {"xmin": 1280000, "ymin": 6120000, "xmax": 1280095, "ymax": 6120005, "spatialReference": {"wkid": 3857}}
    found = survey.query(geometry_filter=filters.intersects(box, 3857), return_count_only=True)
    expect(found == 9, f"query: a rectangle finds {found}")
    page = survey.query(order_by_fields="objectid DESC", result_record_count=3, return_all_records=False).features
    expect([feature.attributes["objectid"] for feature in page] == sorted(numbers)[: -4 : -1], "query: three in order")


def relate(survey):
    """Asks for statistics and related records."""
    found = survey.query(
        where="objectid <= 100",
        out_statistics=[
            {"statisticType": "count", "onStatisticField": "objectid", "outStatisticFieldName": "n"},
            {"statisticType": "max", "onStatisticField": "depth * 8", "outStatisticFieldName": "deepest"},
        ],
        group_by_fields_for_statistics="visits",
        order_by_fields="visits",
    ).features
    groups = {group.attributes["visits"]: (group.attributes["n"], group.attributes["deepest"]) for group in found}
    expect(len(groups) == 68 and groups[None][0] == 33 and groups[49] == (1, 49), "query: statistics of fields and expressions by groups")
    answer = survey.query_related_records("1,2,3", "0", out_fields="words,minutes", definition_expression="minutes > 5", geometry_precision=2)
    words = [[group["objectId"]] + [record["attributes"]["words"] for record in group["relatedRecords"]] for group in answer["relatedRecordGroups"]]
    expect(words == [[1, None, "wet"], [2, "dry"]], "query_related_records: records come with the features they belong to")


def follow(service, survey):
    """Asks what changed since a generation, without a replica."""
    info = service.properties.changeTrackingInfo
    since = next(item["serverGen"] for item in info["layerServerGens"] if item["id"] == survey.properties.id)
    added = succeeded(survey.edit_features(adds=[{"attributes": {"name": "followed"}}]), "addResults")
    try:
        changes = service.extract_changes(
            layers=[survey.properties.id],
            layer_servergen=[{"id": survey.properties.id, "serverGen": since}],
            return_inserts=True,
            return_updates=True,
            return_deletes=True,
        )
        edits = next(layer for layer in changes["edits"] if layer["id"] == survey.properties.id)
        adds = [feature["attributes"]["name"] for feature in edits["features"]["adds"]]
        expect(adds == ["followed"], "extract_changes: the new row is the only one")
    finally:
        deleted = survey.edit_features(deletes=str(added["objectId"]))
    succeeded(deleted, "deleteResults")


def attach(survey, folder):
    """Adds, reads, changes and deletes an attachment of a feature."""
    added = succeeded(survey.edit_features(adds=[{"attributes": {"name": "attached"}}]), "addResults")
    object_id = added["objectId"]
    try:
        path = os.path.join(folder, "note.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("first")
        result = survey.attachments.add(object_id, path)["addAttachmentResult"]
        expect(result["success"] is True, "attachments.add")
        found = survey.attachments.search(object_ids=str(object_id), attachment_types="text/plain")
        expect([(one["PARENTOBJECTID"], one["NAME"]) for one in found] == [(object_id, "note.txt")], "attachments.search finds it by its type")
        listed = survey.attachments.get_list(object_id)
        expect([(one["name"], one["size"]) for one in listed] == [("note.txt", 5)], "attachments.get_list has its name and size")
        with open(path, "w", encoding="utf-8") as file:
            file.write("second version")
        changed = survey.attachments.update(object_id, result["objectId"], path)["updateAttachmentResult"]
        expect(changed["success"] is True, "attachments.update")
        os.remove(path)
        fetched = survey.attachments.download(oid=object_id, attachment_id=result["objectId"], save_path=folder)
        with open(fetched[0] if isinstance(fetched, list) else fetched, encoding="utf-8") as file:
            expect(file.read() == "second version", "attachments.download brings what was sent")
        survey.attachments.delete(object_id, result["objectId"])
        expect(not survey.attachments.get_list(object_id), "attachments.delete")
    finally:
        deleted = survey.edit_features(deletes=str(object_id))
    succeeded(deleted, "deleteResults")


def upload(service, folder):
    """Sends a small file at once, and a large one in parts."""
    for name, n_bytes in [("small.json", 1000), ("large.json", 11_000_000)]:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(os.urandom(n_bytes))
        item = service.upload(path, description="by the arcgis package")
        expect(item, f"upload: {name} of {n_bytes} bytes is item {item}")


def run(url):
    service = connect(url)
    layer, text_field = editable_layer(service)
    count = read(layer)
    survey = next(layer for layer in service.layers if layer.properties.name == "Survey")
    read_survey(survey)
    relate(survey)
    follow(service, survey)
    with tempfile.TemporaryDirectory() as folder:
        attach(survey, folder)
        upload(service, folder)
        synchronize(service, layer, text_field, count, folder)
        take_per_layer(service, folder)
    return arcgis.__version__


if __name__ == "__main__":
    main("arcgis for Python", run)
