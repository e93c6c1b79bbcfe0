"""What the clients' scripts share: asking a server without any client, and saying what holds.

Only the standard library: QGIS brings a Python of its own.
"""

import json
import os
import sys
import time
import traceback
import urllib.parse
import urllib.request

# The server under test is asked directly, whatever proxy the environment names.
os.environ["NO_PROXY"] = "*"


class Failed(Exception):
    """Something is not as it must be; the text says what."""


def expect(condition, text):
    """Prints a statement that holds, or ends the run because it does not."""
    if not condition:
        raise Failed(f"this does not hold: {text}")
    print(f"ok  {text}", flush=True)


def skip(text):
    """Says that something cannot be tested here, and why. It does not count as passed."""
    print(f"SKIPPED: {text}", flush=True)


def ask(url, **params):
    """Asks for a JSON document with a form, as the reference has it; an error ends the run."""
    form = urllib.parse.urlencode({"f": "json", **params}).encode()
    with urllib.request.urlopen(url, form, timeout=60) as response:
        answer = json.load(response)
    if "error" in answer:
        raise Failed(f"{url} answered {answer['error']}")
    return answer


def layers_of(service):
    """The documents of all layers of a service, by name."""
    return {layer["name"]: ask(f"{service}/{layer['id']}") for layer in ask(service)["layers"]}


def features_of(layer, **params):
    """All features of a layer by object id, read in pages without any client."""
    found, more = {}, True
    while more:
        page = ask(f"{layer}/query", **{"where": "1=1", "outFields": "*", "orderByFields": "objectid", "resultOffset": len(found), **params})
        found.update({feature["attributes"]["objectid"]: feature for feature in page["features"]})
        more = page.get("exceededTransferLimit", False)
    return found


def main(client, run):
    """Runs a script on the URL of the command line: `run` takes it, and returns what the client calls itself."""
    script = f"tests/clients/{os.path.basename(sys.argv[0])}"
    if len(sys.argv) != 2 or not sys.argv[1].endswith("/FeatureServer"):
        sys.exit(f"usage: {script} URL   (the URL of a FeatureServer)")
    started = time.monotonic()
    try:
        version = run(sys.argv[1])
    except Failed as failure:
        sys.exit(f"{script}: {failure}")
    except Exception as error:
        # Clients report an error answer as a bare exception; where it was asked is in the trace.
        traceback.print_exc()
        sys.exit(f"{script}: {type(error).__name__}: {error}")
    print(f"{client} {version} is content ({time.monotonic() - started:.1f} s).", flush=True)
