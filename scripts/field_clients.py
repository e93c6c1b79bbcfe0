#!/usr/bin/env python3
"""Plays two field clients against a running feature service and checks what they end up with.

    scripts/field_clients.py http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer

Needs nothing but the Python standard library. "north" and "south" each take a replica of a part of
the service, edit it offline, synchronize, meet a conflict and repeat a request whose answer was lost.
In the end what each of them holds is compared with what the server has; a difference is an error.

The layers "Cities" and "Countries" of `scripts/demo` are expected. What an earlier run left behind in
them is undone first. scripts/demo calls this.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

# The cities of north's rectangle and those of Africa overlap on the coast of the Mediterranean.
NORTH_AREA = {"xmin": -25, "ymin": 34, "xmax": 45, "ymax": 72, "spatialReference": {"wkid": 4326}}
WORLD = {"xmin": -180, "ymin": -90, "xmax": 180, "ymax": 90, "spatialReference": {"wkid": 4326}}
SOUTH_CITIES = "continent = 'Africa' AND checked IS NULL"
SOUTH_COUNTRIES = "continent = 'Africa'"
CAMP = "Survey camp"
REPLICAS = ("demo-north", "demo-south")


class Failed(Exception):
    """Something did not turn out as it must; the text says what."""


# --- Talking to the server -------------------------------------------------------------------


def call(url, method="POST", **params):
    """Sends one request with `f=json` and returns the answer; an error answer becomes `Failed`."""
    fields = {"f": "json"}
    for name, value in params.items():
        fields[name] = value if isinstance(value, str) else json.dumps(value)
    encoded = urllib.parse.urlencode(fields)
    if method == "GET":
        request = urllib.request.Request(f"{url}?{encoded}")
    else:
        request = urllib.request.Request(url, encoded.encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read(500).decode("utf-8", "replace")
        raise Failed(f"{method} {url} answered HTTP {error.code}: {text}") from error
    except (OSError, ValueError) as error:
        raise Failed(f"{method} {url}: {error}") from error
    if isinstance(answer, dict) and answer.get("error"):
        error = answer["error"]
        details = " ".join(str(detail) for detail in error.get("details") or [])
        raise Failed(f"{method} {url}: error {error.get('code')}: {error.get('message')} {details}")
    return answer


def key(global_id):
    """Brings a GlobalID to one spelling, so that braces and case do not matter."""
    return str(global_id).strip("{}").lower()


class Layer:
    """What a client has to know about a layer: where it is and how its rows are identified."""

    def __init__(self, service, layer_id):
        self.id = layer_id
        self.url = f"{service}/{layer_id}"
        document = call(self.url, "GET")
        self.name = document["name"]
        self.object_id = document["objectIdField"]
        self.global_id = document["globalIdField"]
        self.fields = [field["name"] for field in document["fields"]]

    def count(self, where="1=1"):
        """Returns how many rows the server has that fulfil a condition."""
        return call(f"{self.url}/query", where=where, returnCountOnly="true")["count"]

    def rows(self, **params):
        """Returns all rows of a query, read page by page."""
        rows, more = [], True
        while more:
            page = call(
                f"{self.url}/query",
                **{"where": "1=1", "outFields": "*", "orderByFields": self.object_id, **params},
                resultOffset=str(len(rows)),
            )
            rows += page["features"]
            more = bool(page.get("exceededTransferLimit")) and bool(page["features"])
        return rows


# --- A field client --------------------------------------------------------------------------


class FieldClient:
    """Holds a replica as a field device does: rows by GlobalID, and the edits made since."""

    def __init__(self, name, service, layers, sync_model):
        self.name, self.service, self.sync_model = name, service, sync_model
        self.layers = {layer.id: layer for layer in layers}
        self.store = {layer.id: {} for layer in layers}
        self.edits = {layer.id: {"adds": {}, "updates": {}, "deletes": {}} for layer in layers}
        self.replica_id = None
        self.generation = None

    def create(self, **definition):
        """Creates the replica on the server and loads its data."""
        answer = call(
            f"{self.service}/createReplica",
            replicaName=f"demo-{self.name}",
            syncModel=self.sync_model,
            layers=",".join(str(layer) for layer in self.layers),
            **definition,
        )
        self.replica_id, self.generation = answer["replicaID"], self.generation_of(answer)
        for data in fetch(answer)["layers"]:
            layer = self.layers[data["id"]]
            for feature in data["features"]:
                self.store[layer.id][key(feature["attributes"][layer.global_id])] = feature

    def generation_of(self, answer):
        """Takes from an answer up to where the client has everything now."""
        if self.sync_model == "perReplica":
            return answer["replicaServerGen"]
        return {item["id"]: item["serverGen"] for item in answer["layerServerGens"]}

    def find(self, layer, name):
        """Returns the row of the local store with this name."""
        for feature in self.store[layer.id].values():
            if feature["attributes"]["name"] == name:
                return feature
        raise Failed(f"{self.name} holds no row named {name!r} in {layer.name}")

    def add(self, layer, geometry, **values):
        """Adds a row offline; the client itself makes the GlobalID."""
        global_id = "{" + str(uuid.uuid4()).upper() + "}"
        attributes = {**dict.fromkeys(layer.fields), **values, layer.global_id: global_id}
        feature = {"attributes": attributes, "geometry": geometry}
        self.store[layer.id][key(global_id)] = feature
        self.edits[layer.id]["adds"][key(global_id)] = feature

    def update(self, layer, name, **values):
        """Changes some attributes of a row offline."""
        feature = self.find(layer, name)
        feature["attributes"].update(values)
        global_id = feature["attributes"][layer.global_id]
        attributes = {**values, layer.global_id: global_id}
        self.edits[layer.id]["updates"][key(global_id)] = {"attributes": attributes}

    def delete(self, layer, name):
        """Deletes a row offline."""
        global_id = self.find(layer, name)["attributes"][layer.global_id]
        self.edits[layer.id]["deletes"][key(global_id)] = global_id
        del self.store[layer.id][key(global_id)]

    def sync_request(self):
        """Builds the synchronizeReplica request for the edits made since the last one."""
        edits = []
        for layer in self.layers.values():
            made = self.edits[layer.id]
            if any(made.values()):
                features = {
                    "adds": [without(feature, layer.object_id) for feature in made["adds"].values()],
                    "updates": list(made["updates"].values()),
                    "deleteIds": list(made["deletes"].values()),
                }
                edits.append({"id": layer.id, "features": features})
        request = {
            "replicaID": self.replica_id,
            "transportType": "esriTransportTypeEmbedded",
            "returnIdsForAdds": "true",
            "rollbackOnFailure": "true",
            "edits": edits,
        }
        if self.sync_model == "perReplica":
            request |= {"syncDirection": "bidirectional", "replicaServerGen": self.generation}
        else:
            request["syncLayers"] = [
                {"id": layer, "serverGen": generation, "syncDirection": "bidirectional"}
                for layer, generation in self.generation.items()
            ]
        return request

    def send(self, request):
        """Sends a synchronizeReplica request and returns the whole answer."""
        return fetch(call(f"{self.service}/synchronizeReplica", **request))

    def apply(self, answer):
        """Takes an answer into the local store and returns what came, as lines for a table."""
        received = []
        for data in answer.get("edits") or []:
            layer, features = self.layers[data["id"]], data["features"]
            rows = self.store[layer.id]
            for result in features["addResults"] + features["updateResults"] + features["deleteResults"]:
                if not result["success"]:
                    raise Failed(f"the server refused an edit of {self.name}: {result}")
            for result in features["addResults"]:
                rows[key(result["globalId"])]["attributes"][layer.object_id] = result["objectId"]
            for kind in ("adds", "updates"):
                for feature in features[kind]:
                    rows[key(feature["attributes"][layer.global_id])] = feature
                    received.append((kind[:-1], layer.name, described(feature)))
            for global_id in features["deleteIds"]:
                gone = rows.pop(key(global_id), None)
                # A row that the client has deleted itself may be named again; that is no news.
                if gone:
                    received.append(("delete", layer.name, described(gone)))
        self.generation = self.generation_of(answer)
        for made in self.edits.values():
            for kind in made.values():
                kind.clear()
        return received

    def synchronize(self):
        """Uploads the edits, downloads the others' changes, shows and returns what came."""
        received = self.apply(self.send(self.sync_request()))
        show_received(self.name, received)
        return received


def fetch(answer):
    """Follows the URL of an answer whose data is in a file; returns other answers as they are."""
    url = answer.get("responseUrl") or answer.get("URL")
    return call(url, "GET") if url else answer


def without(feature, field):
    """Copies a feature, leaving out one attribute."""
    attributes = {name: value for name, value in feature["attributes"].items() if name != field}
    return {**feature, "attributes": attributes}


def described(feature):
    """Names a row the way the tables show it."""
    attributes = feature["attributes"]
    note = attributes.get("note")
    return f"{attributes['name']} - {note}" if note else attributes["name"]


# --- What is printed -------------------------------------------------------------------------


COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
KIND_COLOURS = {"add": "32", "update": "33", "delete": "31"}


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def heading(text):
    print(f"\n{paint(text, '1;36')}")


def say(text):
    print(f"  {text}")


def show_received(name, received):
    """Prints what a client received as a table."""
    if not received:
        say(f"{name} received nothing: it has everything already")
        return
    say(f"{name} received")
    for kind, layer, text in received:
        print(f"    {paint(f'{kind:<8}', KIND_COLOURS[kind])}{layer:<11}{text}")


def expect(condition, text):
    """Prints a statement that holds, or ends the run because it does not."""
    if not condition:
        raise Failed(f"this does not hold: {text}")
    say(f"{paint('ok', '32')}  {text}")


# --- The story -------------------------------------------------------------------------------


def open_service(service):
    """Reads the service and returns its two layers."""
    heading("1  The service")
    document = call(service, "GET")
    names = {layer["name"]: layer["id"] for layer in document["layers"]}
    missing = [name for name in ("Cities", "Countries") if name not in names]
    if missing:
        raise Failed(f"{service} has no layer named {' and none named '.join(missing)}; scripts/demo imports them")
    say(f"{service}")
    say(f"capabilities {document['capabilities']}, sync {'on' if document['syncEnabled'] else 'off'}")
    layers = [Layer(service, names["Cities"]), Layer(service, names["Countries"])]
    for layer in layers:
        say(f"layer {layer.id}  {layer.name:<10} {layer.count():>4} rows   {', '.join(layer.fields)}")
    return layers


def reset(service, cities):
    """Undoes what an earlier run left, and puts up the camp that south is going to take down."""
    ours = [r for r in call(f"{service}/replicas", "GET") if r["replicaName"].startswith(REPLICAS)]
    for replica in ours:
        call(f"{service}/unRegisterReplica", replicaID=replica["replicaID"])
    camps = cities.rows(where=f"name LIKE '{CAMP}%'", returnGeometry="false")
    marked = cities.rows(
        where=f"(note IS NOT NULL OR checked IS NOT NULL) AND name NOT LIKE '{CAMP}%'", returnGeometry="false"
    )
    camp = {"name": f"{CAMP} Tunis", "country": "Tunisia", "iso_a3": "TUN", "continent": "Africa"}
    answer = call(
        f"{cities.url}/applyEdits",
        adds=[{"attributes": camp, "geometry": {"x": 9.9, "y": 36.6, "spatialReference": {"wkid": 4326}}}],
        updates=[
            {"attributes": {cities.object_id: row["attributes"][cities.object_id], "note": None, "checked": None}}
            for row in marked
        ],
        deletes=[row["attributes"][cities.object_id] for row in camps],
    )
    for result in answer["addResults"] + answer["updateResults"] + answer["deleteResults"]:
        if not result["success"]:
            raise Failed(f"applyEdits refused an edit: {result}")
    if ours or camps or marked:
        say(f"an earlier run's {len(ours)} replicas, {len(camps)} camps and {len(marked)} marks are gone")
    say(f"applyEdits put up the {camp['name']}")


def take_replicas(service, cities, countries):
    """Creates both replicas."""
    heading("2  Two clients take replicas into the field")
    north = FieldClient("north", service, [cities], "perReplica")
    north.create(
        geometry=NORTH_AREA,
        geometryType="esriGeometryEnvelope",
        replicaSR="102100",
        transportType="esriTransportTypeEmbedded",
    )
    say("north  per replica   filter: a rectangle in degrees   data: Web Mercator, in the answer itself")
    say(f"       {len(north.store[cities.id])} cities at generation {north.generation}")
    south = FieldClient("south", service, [cities, countries], "perLayer")
    south.create(
        geometry=WORLD,
        geometryType="esriGeometryEnvelope",
        replicaSR="4326",
        transportType="esriTransportTypeUrl",
        layerQueries={
            cities.id: {"queryOption": "useFilter", "useGeometry": False, "where": SOUTH_CITIES},
            countries.id: {"queryOption": "useFilter", "useGeometry": False, "where": SOUTH_COUNTRIES},
        },
    )
    say(f"south  per layer     filter: {SOUTH_CITIES}   data: degrees, from a file")
    n_cities, n_countries = len(south.store[cities.id]), len(south.store[countries.id])
    generations = ", ".join(f"{generation} (layer {layer})" for layer, generation in south.generation.items())
    say(f"       {n_cities} cities and {n_countries} countries at generations {generations}")
    return north, south


def edit_offline(north, south, cities):
    """Edits both stores; nothing is sent."""
    heading("3  Both work offline")
    now = int(time.time()) * 1000
    north.add(
        cities,
        {"x": -500000.0, "y": 4170000.0, "spatialReference": {"wkid": 102100}},
        name=f"{CAMP} Rif",
        country="Morocco",
        iso_a3="MAR",
        continent="Africa",
    )
    north.update(cities, "Paris", note="market moved to the north gate")
    north.update(cities, "Tunis", note="north was here")
    north.update(cities, "Algiers", checked=now)
    say(f"north  adds {CAMP} Rif, notes something at Paris and Tunis, marks Algiers as checked")
    south.add(
        cities,
        {"x": 32.9, "y": 24.1, "spatialReference": {"wkid": 4326}},
        name=f"{CAMP} Nile",
        country="Egypt",
        iso_a3="EGY",
        continent="Africa",
    )
    south.update(cities, "Nairobi", note="well is dry")
    south.update(cities, "Tunis", note="south was here")
    south.update(cities, "Cairo", checked=now)
    south.delete(cities, f"{CAMP} Tunis")
    say(f"south  adds {CAMP} Nile, notes something at Nairobi and Tunis, marks Cairo as checked,")
    say(f"       takes down the {CAMP} Tunis")


def retry(north, cities):
    """Sends north's request twice, as a device does that never saw the first answer."""
    heading("4  north synchronizes; the answer is lost; it sends the same request again")
    before = cities.count()
    request = north.sync_request()
    lost = north.send(request)
    answer = north.send(request)
    ids = [result["objectId"] for result in added(lost, cities)]
    expect(ids and None not in ids, f"the new camp has object id {', '.join(map(str, ids))}")
    expect(ids == [result["objectId"] for result in added(answer, cities)], "the second answer names the same id")
    expect(cities.count() == before + 1, f"there is one row more than before, not two: {before + 1}")
    show_received("north", north.apply(answer))


def added(answer, layer):
    """Returns the results of the adds to a layer."""
    return [r for edits in answer.get("edits") or [] if edits["id"] == layer.id for r in edits["features"]["addResults"]]


def meet(north, south, cities):
    """Lets south synchronize and then north again: a conflict, and rows that leave a filter."""
    heading("5  south synchronizes: a conflict, and rows that leave its filter")
    received = south.synchronize()
    names = {kind: {text.split(" - ")[0] for k, _, text in received if k == kind} for kind in KIND_COLOURS}
    expect(f"{CAMP} Rif" in names["add"], "north's new camp came as an add")
    expect("Algiers" in names["delete"], "Algiers, checked by north, left south's filter: it came as a delete")
    held = {feature["attributes"]["name"] for feature in south.store[cities.id].values()}
    expect("Cairo" not in held, "Cairo, checked by south itself, is gone from its store as well")
    note = cities.rows(where="name = 'Tunis'", returnGeometry="false")[0]["attributes"]["note"]
    expect(note == "south was here", "both had edited Tunis; the last one in wins: 'south was here'")

    heading("6  north synchronizes again and learns of it")
    received = north.synchronize()
    expect(("update", cities.name, "Tunis - south was here") in received, "the other note replaced north's own")
    expect(("delete", cities.name, f"{CAMP} Tunis") in received, "the camp that south took down is gone")
    expect(not south.synchronize(), "south asks once more; nothing is left to send")


def compare(client, layer, **query):
    """Compares a client's rows with a query through the same filter."""
    held = client.store[layer.id]
    there = {key(row["attributes"][layer.global_id]): row for row in layer.rows(**query)}
    differences = [f"only on the server: {described(there[k])}" for k in there.keys() - held.keys()]
    differences += [f"only at {client.name}: {described(held[k])}" for k in held.keys() - there.keys()]
    for k in held.keys() & there.keys():
        for name, value in there[k]["attributes"].items():
            own = held[k]["attributes"].get(name)
            if (key(own) != key(value)) if name == layer.global_id else own != value:
                differences.append(f"{described(there[k])}: {name} is {own!r} at {client.name}, {value!r} on the server")
        if not same(held[k].get("geometry"), there[k].get("geometry")):
            differences.append(f"{described(there[k])}: the geometry differs")
    if differences:
        lines = "\n    ".join(differences[:20])
        raise Failed(f"{client.name} and the server differ in {len(differences)} places of {layer.name}:\n    {lines}")
    say(f"{paint('ok', '32')}  {client.name:<6}{layer.name:<10} {len(held):>4} rows, equal in every attribute and coordinate")


def same(a, b):
    """Tells whether two geometries are equal, but for what projecting them to and fro may change."""
    if isinstance(a, dict) and isinstance(b, dict):
        names = (a.keys() | b.keys()) - {"spatialReference"}
        return all(same(a.get(name), b.get(name)) for name in names)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
    return a == b


def main():
    if len(sys.argv) != 2 or not sys.argv[1].startswith("http"):
        sys.exit("usage: scripts/field_clients.py URL   (the URL of the FeatureServer of the demo's service)")
    service = sys.argv[1].rstrip("/")
    try:
        cities, countries = open_service(service)
        reset(service, cities)
        north, south = take_replicas(service, cities, countries)
        edit_offline(north, south, cities)
        retry(north, cities)
        meet(north, south, cities)
        heading("7  Does each client hold what the server has?")
        area = {"geometry": NORTH_AREA, "geometryType": "esriGeometryEnvelope", "inSR": "4326"}
        compare(north, cities, outSR="102100", **area)
        compare(south, cities, where=SOUTH_CITIES, outSR="4326")
        compare(south, countries, where=SOUTH_COUNTRIES, outSR="4326")
    except Failed as failure:
        sys.stdout.flush()
        sys.exit(f"\nscripts/field_clients.py: {failure}")
    except KeyError as missing:
        sys.stdout.flush()
        sys.exit(f"\nscripts/field_clients.py: an answer of {service} lacks the key {missing}")


if __name__ == "__main__":
    main()
