# Syncline in a container. It needs a PostgreSQL server with PostGIS elsewhere: give its address in
# DATABASE_URL. docker-compose.yml starts both.

ARG RUST_VERSION=1.95
ARG DEBIAN=trixie

# The sources, and what the program runs beside it.
FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS source
WORKDIR /src
COPY . .

FROM source AS build
RUN cargo build --release --locked

# Runs the tests against the database in DATABASE_URL: docker compose run --rm test
FROM source AS test
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl gdal-bin python3 \
    && rm -rf /var/lib/apt/lists/*
RUN cargo test --locked --no-run
CMD ["cargo", "test", "--locked"]

FROM debian:${DEBIAN}-slim AS server
# gdal-bin for imports and exports, curl for the health check, postgresql-client for backups.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl gdal-bin postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/syncline syncline
COPY --from=build /src/target/release/syncline /usr/local/bin/syncline
USER syncline
# What the server writes beside the database is in its working directory.
WORKDIR /var/lib/syncline
VOLUME /var/lib/syncline
EXPOSE 6080
ENTRYPOINT ["syncline"]
CMD ["serve", "--listen", "0.0.0.0:6080"]
