//! `syncline import`: a file becomes a table, and the table a layer. GDAL does the reading, as a program of its own.

use std::{path::PathBuf, process::Stdio, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::postgres::PgConnectOptions;
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::{
    config::Config,
    error::{Error, Result},
    model::value::brief,
    store::publish::Publication,
};

use super::{Database, counted, publish::read_definition, say};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file, in any format that GDAL reads
    file: PathBuf,
    /// The service; made if it does not exist
    #[arg(long)]
    service: String,
    /// The name of the layer [default: the source layer's]
    #[arg(long)]
    layer_name: Option<String>,
    /// The layer of the file, if it has several
    #[arg(long)]
    source_layer: Option<String>,
    /// The spatial reference of the file, if it names none: EPSG:4326
    #[arg(long)]
    srs: Option<String>,
    /// Let its features have attachments
    #[arg(long)]
    attachments: bool,
    /// What is to be said about the layer: a definition file (JSON or TOML)
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
}

/// What GDAL says of a layer in a file.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    layer: String,
    geometry: String,
    fields: Vec<String>,
    n_features: Option<u64>,
}

impl Import {
    pub(super) async fn run(self, database: &Database, config: &Config) -> Result<()> {
        if !self.file.exists() {
            return Err(Error::NotFound(format!("there is no file {}", self.file.display())));
        }
        let definition = read_definition(self.definition.as_deref())?;
        let source = self.source().await?;
        let name = self.layer_name.clone().unwrap_or_else(|| source.layer.clone());
        let (schema, table) = (database_name(&self.service), database_name(&name));
        database.store.make_room(&schema, &table).await?;
        if let Err(error) = self.load(&source, &schema, &table, &database.url).await {
            database.store.discard(&schema, &table).await?;
            return Err(error);
        }
        database.store.analyze(&schema, &table).await?;
        let publication = Publication {
            service: self.service.clone(),
            table_schema: schema.clone(),
            table_name: table.clone(),
            layer_name: Some(name.clone()),
        };
        let published = match database.store.publish_as(&publication, &definition, false).await {
            Ok(published) => published,
            Err(error) => {
                database.store.discard(&schema, &table).await?;
                return Err(error);
            }
        };
        for notice in &published.notices {
            say(format!("note: {notice}"))?;
        }
        if self.attachments {
            database.store.enable_attachments(&published.service, published.layer_id).await?;
        }
        let service = database.store.service(&published.service).await?;
        let n_rows = match service.layer(published.layer_id) {
            Some(layer) => database.store.count(layer).await?,
            None => 0,
        };
        let base = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
        let (rows, are) = (counted(n_rows, "row"), if n_rows == 1 { "is" } else { "are" });
        say(format!("{rows} of {} {are} in table {schema}.{table}.", self.file.display()))?;
        say(format!("{base}/arcgis/rest/services/{}/FeatureServer/{}", published.service, published.layer_id))
    }

    /// Asks GDAL what is in the file.
    async fn source(&self) -> Result<Source> {
        let layer = match &self.source_layer {
            Some(layer) => layer.clone(),
            None => {
                let listing = self.ogrinfo(&["-ro", "-q"], None).await?;
                let layers = layer_names(&listing);
                match layers.as_slice() {
                    [only] => only.clone(),
                    [] => return Err(Error::NotSupported(format!("{} has no vector layer", self.file.display()))),
                    several => {
                        return Err(Error::invalid(
                            "source-layer",
                            format!(
                                "{} has several layers; choose one with --source-layer: {}",
                                self.file.display(),
                                several.join(", ")
                            ),
                        ));
                    }
                }
            }
        };
        let listing = self.ogrinfo(&["-ro", "-so", "-nocount"], Some(&layer)).await;
        // -nocount is a recent option, and counting is only for the progress bar.
        let listing = match listing {
            Ok(listing) => listing,
            Err(_) => self.ogrinfo(&["-ro", "-so"], Some(&layer)).await?,
        };
        describe(layer, &listing)
    }

    async fn ogrinfo(&self, options: &[&str], layer: Option<&str>) -> Result<String> {
        let mut command = Command::new("ogrinfo");
        command.args(options).arg(&self.file).args(layer).stdin(Stdio::null());
        let output = command.output().await.map_err(|error| not_installed(&error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || text.starts_with("FAILURE") {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned() + &text;
            return Err(Error::NotSupported(format!(
                "GDAL cannot read {}: {}",
                self.file.display(),
                last_line(&reason)
            )));
        }
        Ok(text)
    }

    async fn load(&self, source: &Source, schema: &str, table: &str, url: &str) -> Result<()> {
        let mut command = Command::new("ogr2ogr");
        command
            .args(["-f", "PostgreSQL", "PG:", "-progress", "--config", "PG_USE_COPY", "YES", "-lco", "LAUNDER=NO"])
            .args(["-lco", "GEOMETRY_NAME=shape", "-lco", "SPATIAL_INDEX=GIST"])
            .args(["-lco", &format!("FID={}", source.free_key())])
            .args(["-nln", &format!("{schema}.{table}")]);
        if source.geometry.contains("Line") || source.geometry.contains("Polygon") {
            command.args(["-nlt", "PROMOTE_TO_MULTI"]);
        }
        if let Some(srs) = &self.srs {
            command.args(["-a_srs", srs]);
        }
        command.arg(&self.file).arg(&source.layer);
        connect(&mut command, url)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| not_installed(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        if let Some(stdout) = stdout {
            show_progress(stdout, source).await;
        }
        let status = child.wait().await.map_err(|error| Error::internal("waiting for ogr2ogr", error))?;
        let complaints = reading.await.unwrap_or_default();
        if !status.success() {
            return Err(Error::NotSupported(format!(
                "GDAL could not load {}: {}",
                self.file.display(),
                last_line(&complaints)
            )));
        }
        for complaint in complaints.lines().filter(|line| line.starts_with("Warning")) {
            tracing::warn!("GDAL: {complaint}");
        }
        Ok(())
    }
}

impl Source {
    /// A name for the key that is not the name of a field.
    fn free_key(&self) -> &'static str {
        ["objectid", "fid", "ogc_fid", "gid", "syncline_key"]
            .into_iter()
            .find(|name| !self.fields.iter().any(|field| field.eq_ignore_ascii_case(name)))
            .unwrap_or("row_key")
    }
}

/// Tells a GDAL program where the database is, through its environment: a command line is visible to everybody.
fn connect(command: &mut Command, url: &str) -> Result<()> {
    let options: PgConnectOptions = url.parse().map_err(|error| {
        Error::internal("reading the database URL", Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
    })?;
    let host =
        options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
    command.env("PGHOST", host).env("PGPORT", options.get_port().to_string()).env("PGUSER", options.get_username());
    if let Some(database) = options.get_database() {
        command.env("PGDATABASE", database);
    }
    if let Some(password) = url::Url::parse(url).ok().as_ref().and_then(url::Url::password) {
        let plain: String = form_urlencoded::parse(format!("p={}", password.replace('+', "%2B")).as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
        command.env("PGPASSWORD", plain);
    }
    Ok(())
}

/// Follows GDAL's `0...10...20...`.
async fn show_progress(mut stdout: tokio::process::ChildStdout, source: &Source) {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(match source.n_features {
        Some(n) => format!("Loading {} of {}", counted(n, "feature"), source.layer),
        None => format!("Loading {}", source.layer),
    });
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut chunk = [0_u8; 256];
    let mut seen = String::new();
    while let Ok(n) = stdout.read(&mut chunk).await {
        if n == 0 {
            break;
        }
        seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
        // Four marks for each tenth: the number and three dots.
        let n_dots = seen.matches('.').count() as u64;
        bar.set_position((n_dots * 10 / 3).min(100));
    }
    bar.finish_and_clear();
}

/// Names out of `ogrinfo -q`: `1: cities (Point)`.
fn layer_names(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| {
            let (number, rest) = line.split_once(": ")?;
            number.trim().parse::<u32>().ok()?;
            let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
            Some(name.trim().to_owned())
        })
        .collect()
}

/// What `ogrinfo -so` says of a layer.
fn describe(layer: String, listing: &str) -> Result<Source> {
    let value = |key: &str| listing.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned());
    let geometry = value("Geometry:")
        .ok_or_else(|| Error::NotSupported(format!("GDAL does not describe layer {}", brief(&layer))))?;
    // Fields are the lines `name: Type (width.precision)` after the reference.
    let fields = listing
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(_, kind)| {
            [
                "String",
                "Integer",
                "Integer64",
                "Real",
                "Date",
                "Time",
                "DateTime",
                "Binary",
                "StringList",
                "IntegerList",
                "RealList",
            ]
            .iter()
            .any(|known| kind.starts_with(known))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    Ok(Source { layer, geometry, fields, n_features: value("Feature Count:").and_then(|text| text.parse().ok()) })
}

/// A name that needs no quotes in SQL.
fn database_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(50).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("t_{plain}") } else { plain }
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why").trim().to_owned()
}

fn not_installed(error: &std::io::Error) -> Error {
    Error::Unavailable(format!("GDAL's programs cannot be run ({error}); install them: apt-get install gdal-bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listings_of_gdal_are_understood() {
        assert_eq!(
            layer_names("1: cities (Point)\n2: a (b) c (Multi Polygon)\n3: plain\n"),
            ["cities", "a (b) c", "plain"]
        );
        let listing = "Layer name: x\nGeometry: Point\nFeature Count: 243\nLayer SRS WKT:\nGEOGCRS[\"WGS 84\"]\nFID Column = fid\nname: String (80.0)\nOBJECTID: Integer (0.0)\n";
        let source = describe("x".to_owned(), listing).unwrap();
        assert_eq!(source.fields, ["name", "OBJECTID"]);
        assert_eq!(source.n_features, Some(243));
        assert_eq!(source.free_key(), "fid");
    }

    #[test]
    fn names_of_tables_need_no_quotes() {
        assert_eq!(database_name("Fire Hydrants-2"), "fire_hydrants_2");
        assert_eq!(database_name("2024"), "t_2024");
    }
}
