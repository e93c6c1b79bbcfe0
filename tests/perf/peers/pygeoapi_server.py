"""Serves the table trees with pygeoapi: pygeoapi_server.py URL PORT, where the URL may name a Unix socket by ?host="""

import os
import subprocess
import sys
import tempfile
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

url, port = urlsplit(sys.argv[1]), int(sys.argv[2])
data = {
    "host": parse_qs(url.query).get("host", [url.hostname])[0],
    "port": url.port or 5432,
    "dbname": unquote(url.path.lstrip("/")),
    "user": url.username,
    "password": url.password or "",
    "search_path": ["public"],
}
provider = {
    "type": "feature",
    "name": "PostgreSQL",
    "data": data,
    "id_field": "objectid",
    "table": "trees",
    "geom_field": "shape",
}
address = f"http://127.0.0.1:{port}"
license = {"name": "none", "url": address}
contact = {"name": "nobody", "url": address}
config = {
    "server": {
        "bind": {"host": "127.0.0.1", "port": port},
        "url": address,
        "mimetype": "application/json; charset=UTF-8",
        "encoding": "utf-8",
        "languages": ["en-US"],
        "limits": {"default_items": 10, "max_items": 10_000},
        "map": {"url": address, "attribution": "none"},
    },
    "logging": {"level": "ERROR"},
    "metadata": {
        "identification": {"title": "t", "description": "d", "keywords": ["k"], "keywords_type": "theme", "terms_of_service": address, "url": address},
        "license": license,
        "provider": {"name": "nobody", "url": address},
        "contact": contact,
    },
    "resources": {
        "trees": {
            "type": "collection",
            "title": "t",
            "description": "d",
            "keywords": ["k"],
            "links": [],
            "extents": {"spatial": {"bbox": [-180, -90, 180, 90], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
            "providers": [provider],
        }
    },
}
with tempfile.TemporaryDirectory() as folder:
    config_file, openapi_file = f"{folder}/config.yml", f"{folder}/openapi.yml"
    with open(config_file, "w") as file:
        yaml.safe_dump(config, file)
    os.environ["PYGEOAPI_CONFIG"] = config_file
    os.environ["PYGEOAPI_OPENAPI"] = openapi_file
    tool = os.path.join(os.path.dirname(sys.executable), "pygeoapi")
    subprocess.run([tool, "openapi", "generate", config_file, "--output-file", openapi_file], check=True, stdout=sys.stderr)
    import uvicorn

    uvicorn.run("pygeoapi.starlette_app:APP", host="127.0.0.1", port=port, log_level="error", access_log=False)
