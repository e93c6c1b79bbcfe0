//! What the stack allows: bare axum servers that know nothing else. One runs a statement and writes what it gives as JSON;
//! one takes files.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Multipart, RawQuery, State},
    response::Response,
    routing::get,
};
use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, PgPool, Row as _, ValueRef as _,
    postgres::{PgPoolOptions, PgRow},
};
use tokio::{fs::File, io::AsyncWriteExt as _, net::TcpListener};

use super::{
    Result,
    bed::Bed,
    data::{COLUMNS, LARGE},
};

/// How a column's bytes become JSON.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Double,
    Instant,
    Uuid,
    Point,
}

const KINDS: [Kind; 15] = [
    Kind::Integer,
    Kind::Uuid,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Integer,
    Kind::Integer,
    Kind::Integer,
    Kind::Integer,
    Kind::Double,
    Kind::Double,
    Kind::Double,
    Kind::Instant,
    Kind::Point,
];

struct Stack {
    pool: PgPool,
    statement: String,
    names: Vec<String>,
}

/// Starts the one that reads, until the process ends.
pub fn start(bed: &Bed, n_rows: u32) -> Result<SocketAddr> {
    let stack = Stack {
        pool: bed.wait(PgPoolOptions::new().max_connections(8).connect(&bed.url))?,
        statement: format!(
            "select {COLUMNS} from {LARGE} where ST_Intersects(shape, ST_MakeEnvelope($1, $2, $3, $4, 4326)) order by objectid limit {n_rows}"
        ),
        names: COLUMNS.split(", ").map(|name| format!("\"{}\":", name.trim())).collect(),
    };
    serve(bed, Router::new().route("/page", get(page)).with_state(Arc::new(stack)))
}

/// Starts the one that takes files in forms and keeps them, synced, in a directory, until the process ends.
pub fn start_taking(bed: &Bed, directory: &Path) -> Result<SocketAddr> {
    std::fs::create_dir_all(directory)?;
    serve(bed, Router::new().fallback(take).layer(DefaultBodyLimit::disable()).with_state(directory.to_owned()))
}

fn serve(bed: &Bed, router: Router) -> Result<SocketAddr> {
    let listener = bed.wait(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    bed.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            super::report::progress(&format!("the bare server ended: {error}"));
        }
    });
    Ok(address)
}

async fn take(State(directory): State<PathBuf>, form: Multipart) -> Response {
    match keep(&directory, form).await {
        Ok(()) => Response::new(Body::from("{}")),
        Err(error) => Response::new(Body::from(format!("{{\"error\":\"{error}\"}}"))),
    }
}

async fn keep(directory: &Path, mut form: Multipart) -> Result<()> {
    let mut field = form.next_field().await?.ok_or("an empty form")?;
    let writing = directory.join("writing");
    let mut file = File::create(&writing).await?;
    while let Some(chunk) = field.chunk().await? {
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    tokio::fs::rename(&writing, directory.join("taken")).await?;
    Ok(File::open(directory).await?.sync_all().await?)
}

async fn page(State(stack): State<Arc<Stack>>, RawQuery(query): RawQuery) -> Response {
    let mut out = Vec::with_capacity(512 * 1024);
    match write(&stack, &query.unwrap_or_default(), &mut out).await {
        Ok(()) => Response::new(Body::from(out)),
        Err(error) => Response::new(Body::from(format!("{{\"error\":\"{error}\"}}"))),
    }
}

async fn write(stack: &Stack, query: &str, out: &mut Vec<u8>) -> Result<()> {
    let geometry = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "geometry").ok_or("no box")?.1;
    let mut statement = sqlx::query(AssertSqlSafe(stack.statement.clone()));
    for corner in geometry.split(',') {
        statement = statement.bind(corner.parse::<f64>()?);
    }
    out.extend_from_slice(b"{\"features\":[");
    let mut rows = statement.fetch(&stack.pool);
    let mut first = true;
    while let Some(row) = rows.try_next().await? {
        if !first {
            out.push(b',');
        }
        first = false;
        feature(&row, &stack.names, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn feature(row: &PgRow, names: &[String], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(b"{\"attributes\":{");
    for (index, (name, kind)) in names.iter().zip(KINDS).enumerate() {
        let value = row.try_get_raw(index)?;
        let bytes = if value.is_null() { &[][..] } else { value.as_bytes().map_err(|error| error.to_string())? };
        match kind {
            Kind::Point => out.extend_from_slice(b"},\"geometry\":{"),
            _ => {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(name.as_bytes());
            }
        }
        let mut integers = itoa::Buffer::new();
        let mut doubles = zmij::Buffer::new();
        match kind {
            _ if value.is_null() => out.extend_from_slice(b"null"),
            // The text of these tables needs no escaping; whether it does must be looked at all the same.
            Kind::Text if bytes.iter().all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') => {
                out.push(b'"');
                out.extend_from_slice(bytes);
                out.push(b'"');
            }
            Kind::Text => serde_json::to_writer(&mut *out, std::str::from_utf8(bytes)?)?,
            Kind::Integer => out.extend_from_slice(integers.format(i32::from_be_bytes(bytes.try_into()?)).as_bytes()),
            Kind::Double => out.extend_from_slice(doubles.format(f64::from_be_bytes(bytes.try_into()?)).as_bytes()),
            Kind::Instant => {
                let ms = i64::from_be_bytes(bytes.try_into()?).div_euclid(1000) + 946_684_800_000;
                out.extend_from_slice(integers.format(ms).as_bytes());
            }
            Kind::Uuid => {
                out.push(b'"');
                let mut text = uuid::Uuid::encode_buffer();
                out.extend_from_slice(uuid::Uuid::from_slice(bytes)?.braced().encode_upper(&mut text).as_bytes());
                out.push(b'"');
            }
            Kind::Point => {
                out.extend_from_slice(b"\"x\":");
                out.extend_from_slice(doubles.format(f64::from_le_bytes(bytes[9..17].try_into()?)).as_bytes());
                out.extend_from_slice(b",\"y\":");
                out.extend_from_slice(doubles.format(f64::from_le_bytes(bytes[17..25].try_into()?)).as_bytes());
            }
        }
    }
    out.extend_from_slice(b"}}");
    Ok(())
}
