"""Serves the tables of a database with tipg: tipg_server.py URL PORT, where the URL may name a Unix socket by ?host="""

import os
import sys

url, port = sys.argv[1], int(sys.argv[2])
os.environ["DATABASE_URL"] = "postgresql://nobody@localhost/nothing"
os.environ["TIPG_TABLES"] = '["public.trees"]'

import functools  # noqa: E402
import urllib.parse  # noqa: E402

import tipg.main  # noqa: E402
import uvicorn  # noqa: E402
from tipg.settings import PostgresSettings  # noqa: E402

# Its settings take no socket; its driver does, if no host stands before the name of the database.
parts = urllib.parse.urlsplit(url)
if "host=" in parts.query:
    url = parts._replace(netloc=f"{parts.username or ''}@").geturl()
settings = PostgresSettings.model_construct(
    database_url=url,
    db_min_conn_size=1,
    db_max_conn_size=8,
    db_max_queries=50_000,
    db_max_inactive_conn_lifetime=300.0,
)
tipg.main.connect_to_db = functools.partial(tipg.main.connect_to_db, settings=settings)
uvicorn.run(tipg.main.app, host="127.0.0.1", port=port, log_level="error", access_log=False)
