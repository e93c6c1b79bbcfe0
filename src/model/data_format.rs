//! The forms in which data leaves the server as a file.

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Esri JSON: a document.
    #[default]
    Json,
    /// An OGC GeoPackage; that of a replica keeps a log of what is edited in it.
    GeoPackage,
}

impl DataFormat {
    const ALL: [DataFormat; 2] = [DataFormat::Json, DataFormat::GeoPackage];

    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            DataFormat::Json => "json",
            DataFormat::GeoPackage => "geoPackage",
        }
    }

    /// The format with this name, in any case.
    pub fn from_name(name: &str) -> Option<DataFormat> {
        if name.eq_ignore_ascii_case("gpkg") {
            return Some(DataFormat::GeoPackage);
        }
        DataFormat::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// How names of such files end; clients go by it.
    pub fn extension(self) -> &'static str {
        match self {
            DataFormat::Json => "json",
            DataFormat::GeoPackage => "gpkg",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            DataFormat::Json => "application/json; charset=utf-8",
            DataFormat::GeoPackage => "application/geopackage+sqlite3",
        }
    }

    /// Whether it is a database, which has attachments in it.
    pub fn is_database(self) -> bool {
        matches!(self, DataFormat::GeoPackage)
    }
}
