//! The forms in which data leaves the server as a file.

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Esri JSON: a document.
    #[default]
    Json,
    /// An OGC GeoPackage; that of a replica keeps a log of what is edited in it.
    GeoPackage,
    /// A mobile geodatabase, which clients of Esri's libraries work with offline.
    MobileGeodatabase,
    /// Layer definitions and feature sets in one document, as web maps embed them.
    FeatureCollection,
    /// Comma-separated values.
    Csv,
    /// GeoJSON, a document for each layer.
    GeoJson,
    /// Shapefiles.
    Shapefile,
    /// A file geodatabase.
    FileGeodatabase,
    /// Keyhole Markup Language.
    Kml,
    /// A workbook of Excel.
    Excel,
}

impl DataFormat {
    /// All that this version knows.
    pub const ALL: &[DataFormat] = &[
        DataFormat::Json,
        DataFormat::MobileGeodatabase,
        DataFormat::GeoPackage,
        DataFormat::FeatureCollection,
        DataFormat::Csv,
        DataFormat::GeoJson,
        DataFormat::Shapefile,
        DataFormat::FileGeodatabase,
        DataFormat::Kml,
        DataFormat::Excel,
    ];

    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            DataFormat::Json => "json",
            DataFormat::GeoPackage => "geoPackage",
            DataFormat::MobileGeodatabase => "sqlite",
            DataFormat::FeatureCollection => "featureCollection",
            DataFormat::Csv => "csv",
            DataFormat::GeoJson => "geojson",
            DataFormat::Shapefile => "shapefile",
            DataFormat::FileGeodatabase => "filegdb",
            DataFormat::Kml => "kml",
            DataFormat::Excel => "excel",
        }
    }

    /// The format with this name, in any case.
    pub fn from_name(name: &str) -> Option<DataFormat> {
        if name.eq_ignore_ascii_case("gpkg") {
            return Some(DataFormat::GeoPackage);
        }
        DataFormat::ALL.iter().copied().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// How names of such files end; clients go by it.
    pub fn extension(self) -> &'static str {
        match self {
            DataFormat::Json | DataFormat::FeatureCollection => "json",
            DataFormat::GeoPackage => "gpkg",
            DataFormat::MobileGeodatabase => "geodatabase",
            DataFormat::Csv | DataFormat::GeoJson | DataFormat::Shapefile => "zip",
            // Programs know by it that a geodatabase is in the archive.
            DataFormat::FileGeodatabase => "gdb.zip",
            DataFormat::Kml => "kmz",
            DataFormat::Excel => "xlsx",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            DataFormat::Json | DataFormat::FeatureCollection => "application/json; charset=utf-8",
            DataFormat::GeoPackage => "application/geopackage+sqlite3",
            DataFormat::MobileGeodatabase => "application/vnd.sqlite3",
            DataFormat::Csv | DataFormat::GeoJson | DataFormat::Shapefile | DataFormat::FileGeodatabase => {
                "application/zip"
            }
            DataFormat::Kml => "application/vnd.google-earth.kmz",
            DataFormat::Excel => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// Whether a replica can be kept in it. The others are only for exports: nobody can synchronize them.
    pub fn is_for_replicas(self) -> bool {
        matches!(self, DataFormat::Json | DataFormat::GeoPackage | DataFormat::MobileGeodatabase)
    }

    /// The spatial reference that the format prescribes, if it does.
    pub fn srid(self) -> Option<i32> {
        matches!(self, DataFormat::GeoJson | DataFormat::Kml).then_some(4326)
    }
}
