//! What each format takes: how `ogr2ogr` is to write it, and what it cannot hold.

use std::{ffi::OsString, path::Path};

use crate::{
    error::{Error, Result},
    model::{
        data_format::DataFormat,
        geometry::GeometryType,
        layer::{Field, ShapeColumn},
        value::FieldType,
    },
    sqlite::{geopackage::attachments_name, quoted},
};

use super::{Conversion, Source};

/// How many rows a sheet of Excel takes beside its heading.
const MAX_SHEET_ROWS: u64 = (1 << 20) - 1;

/// How many characters the name of a sheet has at most.
const MAX_SHEET_NAME: usize = 31;

/// The driver of GDAL that writes a format; `None` for those that Syncline writes itself.
pub(super) fn driver(format: DataFormat) -> Option<&'static str> {
    match format {
        DataFormat::Csv => Some("CSV"),
        DataFormat::GeoJson => Some("GeoJSON"),
        DataFormat::Shapefile => Some("ESRI Shapefile"),
        DataFormat::FileGeodatabase => Some("OpenFileGDB"),
        DataFormat::Kml => Some("KML"),
        DataFormat::Excel => Some("XLSX"),
        _ => None,
    }
}

/// The formats that can be written, out of the list of drivers: `  CSV -vector- (rw+v): Comma Separated Value`.
pub(super) fn written_by(listing: &str) -> Vec<DataFormat> {
    let makes = |wanted: &str| {
        listing.lines().filter_map(|line| line.trim().split_once(" -")).any(|(name, rest)| {
            name == wanted && rest.split(['(', ')']).nth(1).is_some_and(|abilities| abilities.contains("w+"))
        })
    };
    DataFormat::ALL.iter().copied().filter(|format| driver(*format).is_some_and(makes)).collect()
}

/// One run of `ogr2ogr`.
pub(super) struct Step {
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// How many rows it converts.
    pub(super) n_rows: u64,
}

/// The runs of `ogr2ogr` that convert a GeoPackage into files in a directory.
pub(super) fn steps(conversion: &Conversion, package: &Path, directory: &Path) -> Result<Vec<Step>> {
    let format = conversion.format;
    let driver = driver(format).ok_or_else(|| Error::internal("converting", "there is no driver"))?;
    let begin = || -> Vec<OsString> { vec!["-f".into(), driver.into()] };
    if format == DataFormat::Kml {
        // All layers at once: such a file cannot be added to.
        let mut arguments = begin();
        arguments.extend(["-progress".into(), directory.join("doc.kml").into(), package.into()]);
        arguments.extend(conversion.layers.iter().map(|source| source.table.clone().into()));
        return Ok(vec![Step { arguments, n_rows: conversion.layers.iter().map(|source| source.n_rows).sum() }]);
    }
    let sheets = sheet_names(&conversion.layers);
    let steps = conversion.layers.iter().zip(sheets).enumerate().map(|(position, (source, sheet))| {
        let mut arguments = begin();
        let mut layer_options = Vec::new();
        let file = match format {
            DataFormat::Csv => {
                layer_options.push("STRING_QUOTING=IF_NEEDED".to_owned());
                layer_options.extend(csv_geometry(source));
                format!("{}.csv", source.table)
            }
            DataFormat::GeoJson => {
                layer_options.extend(["RFC7946=YES".to_owned(), "COORDINATE_PRECISION=15".to_owned()]);
                format!("{}.geojson", source.table)
            }
            DataFormat::Shapefile => {
                layer_options.extend(["ENCODING=UTF-8".to_owned(), "2GB_LIMIT=YES".to_owned()]);
                // A date of this format has no time of day.
                arguments.extend(["-mapFieldType".into(), "DateTime=String".into()]);
                format!("{}.{}", source.table, if shape(source).is_some() { "shp" } else { "dbf" })
            }
            DataFormat::FileGeodatabase => {
                layer_options.push(format!("FID={}", source.layer.object_id_field().name));
                layer_options.extend(guid_columns(source));
                arguments.push("-preserve_fid".into());
                format!("{}.gdb", conversion.title)
            }
            _ => {
                if source.n_rows > MAX_SHEET_ROWS {
                    return Err(Error::NotSupported(format!(
                        "layer {} has {} rows here, and a sheet of Excel takes {MAX_SHEET_ROWS}; ask for fewer with layerQueries, or for dataFormat=csv or geoPackage",
                        source.layer.id, source.n_rows
                    )));
                }
                arguments.extend(["-nln".into(), sheet.into()]);
                format!("{}.xlsx", conversion.title)
            }
        };
        let shares_file = matches!(format, DataFormat::FileGeodatabase | DataFormat::Excel);
        if shares_file && position > 0 {
            arguments.push("-update".into());
        }
        for option in layer_options {
            arguments.extend(["-lco".into(), option.into()]);
        }
        match point_columns(source).filter(|_| format == DataFormat::Excel) {
            // How far that is, the program does not know.
            Some(statement) => {
                arguments.extend(["-sql".into(), statement.into(), directory.join(file).into(), package.into()]);
            }
            None => {
                arguments.extend(["-progress".into(), directory.join(file).into(), package.into()]);
                arguments.push(source.table.clone().into());
            }
        }
        Ok(Step { arguments, n_rows: source.n_rows })
    });
    let mut steps = steps.collect::<Result<Vec<Step>>>()?;
    if format == DataFormat::FileGeodatabase {
        let with_attachments = conversion.layers.iter().filter(|source| source.n_attachments > 0);
        steps.extend(with_attachments.map(|source| attachments_step(conversion, source, package, directory)));
    }
    Ok(steps)
}

/// Writes the table of a layer's attachments into a file geodatabase, as geodatabases have it.
fn attachments_step(conversion: &Conversion, source: &Source, package: &Path, directory: &Path) -> Step {
    let mut arguments: Vec<OsString> = ["-f", "OpenFileGDB", "-update", "-preserve_fid"].map(OsString::from).into();
    for option in ["FID=ATTACHMENTID", "COLUMN_TYPES=GLOBALID=esriFieldTypeGUID,REL_GLOBALID=esriFieldTypeGUID"] {
        arguments.extend(["-lco".into(), option.into()]);
    }
    let file = directory.join(format!("{}.gdb", conversion.title));
    arguments.extend(["-progress".into(), file.into(), package.into(), attachments_name(&source.table).into()]);
    Step { arguments, n_rows: source.n_attachments }
}

/// What the format does not hold, or holds otherwise, of what is converted.
pub(super) fn remarks(conversion: &Conversion) -> Vec<String> {
    let mut remarks = Vec::new();
    if conversion.wants_attachments {
        remarks.push(of_attachments(conversion.format).to_owned());
    }
    let general =
        "aliases, domains, types, symbols and relationships are not in the file; fields have the codes that are stored";
    remarks.push(general.to_owned());
    let of_format: &[&str] = match conversion.format {
        DataFormat::Csv => &[
            "there are no types: everything is text, and null is written like empty text",
            "points are columns X and Y (and Z), other geometries well-known text in a column WKT",
        ],
        DataFormat::GeoJson => &["coordinates are longitudes and latitudes (WGS 84)"],
        DataFormat::Shapefile => &[
            "names of fields have at most 10 characters, text at most 254 bytes; what was shortened is listed below",
            "dates with a time of day are text, as are GUIDs; booleans are 0 and 1; floating-point numbers have 15 decimals",
        ],
        DataFormat::FileGeodatabase => &[
            "global ids are fields of the type GUID, since fields of the type GlobalID get new values",
            "64-bit integers are floating-point numbers, exact up to 2^53; days are dates at midnight, booleans 0 and 1",
        ],
        DataFormat::Kml => &[
            "coordinates are longitudes and latitudes (WGS 84)",
            "fields called name and description are name and description of the placemark; measures are left out",
        ],
        _ => &[
            "points are columns x and y, in the spatial reference of the export; heights and measures are left out",
            "numbers have 15 digits, text has at most 32,767 characters, and there are no dates before 1900",
        ],
    };
    remarks.extend(of_format.iter().map(|&remark| remark.to_owned()));
    for source in &conversion.layers {
        remarks.extend(of_layer(conversion.format, source));
    }
    remarks
}

/// Where attachments are.
fn of_attachments(format: DataFormat) -> &'static str {
    match format {
        DataFormat::Excel => {
            "attachments are not in workbooks; ask for dataFormat=csv, which has them as files beside, geoPackage or json"
        }
        DataFormat::FileGeodatabase => {
            "attachments are tables that end with __ATTACH and name their features in REL_GLOBALID; there is no relationship class, which ogr2ogr does not write"
        }
        _ => {
            "attachments are files in the folder attachments of the archive, if there are any; attachments/index.csv says whose"
        }
    }
}

fn of_layer(format: DataFormat, source: &Source) -> Option<String> {
    let shape = shape(source)?;
    let id = source.layer.id;
    if format == DataFormat::Excel && shape.geometry_type != GeometryType::Point {
        return Some(format!("the geometry of layer {id} is left out: sheets hold points only"));
    }
    (shape.dimensions.m && matches!(format, DataFormat::GeoJson | DataFormat::Csv))
        .then(|| format!("measures of layer {id} are left out"))
}

fn fields(source: &Source) -> impl Iterator<Item = &Field> {
    source.columns.fields.iter().map(|&index| &source.layer.fields[index])
}

fn shape(source: &Source) -> Option<&ShapeColumn> {
    source.columns.srid.and(source.layer.shape.as_ref())
}

/// How geometries are written beside fields, unless these have the names that the coordinates of points would have.
fn csv_geometry(source: &Source) -> Option<String> {
    let shape = shape(source)?;
    let taken = fields(source).any(|field| ["x", "y", "z"].contains(&field.name.to_lowercase().as_str()));
    let simple = shape.geometry_type == GeometryType::Point && !shape.multi && !taken;
    Some(match (simple, shape.dimensions.z) {
        (true, true) => "GEOMETRY=AS_XYZ".to_owned(),
        (true, false) => "GEOMETRY=AS_XY".to_owned(),
        (false, _) => "GEOMETRY=AS_WKT".to_owned(),
    })
}

/// Has GUIDs be what they are, and not text.
fn guid_columns(source: &Source) -> Option<String> {
    let is_guid = |field: &&Field| matches!(field.field_type, FieldType::GlobalId | FieldType::Guid);
    let columns: Vec<String> =
        fields(source).filter(is_guid).map(|field| format!("{}=esriFieldTypeGUID", field.name)).collect();
    (!columns.is_empty()).then(|| format!("COLUMN_TYPES={}", columns.join(",")))
}

/// The fields of a layer of points, and their coordinates as fields. What has no geometry comes last: the first row says of
/// which type a column is that is worked out.
fn point_columns(source: &Source) -> Option<String> {
    let shape = shape(source).filter(|shape| shape.geometry_type == GeometryType::Point && !shape.multi)?;
    let geometry = quoted(&shape.column);
    let mut names: Vec<String> = fields(source).map(|field| quoted(&field.name)).collect();
    for (axis, function) in [("x", "ST_MinX"), ("y", "ST_MinY")] {
        let mut name = axis.to_owned();
        while fields(source).any(|field| field.name.eq_ignore_ascii_case(&name)) {
            name.push('_');
        }
        names.push(format!("{function}({geometry}) AS {}", quoted(&name)));
    }
    Some(format!("SELECT {} FROM {} ORDER BY {geometry} IS NULL", names.join(", "), quoted(&source.table)))
}

/// Names that Excel takes, and no name twice.
fn sheet_names(layers: &[Source]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for source in layers {
        let mut name: String = source.table.chars().take(MAX_SHEET_NAME).collect();
        if names.iter().any(|known| known.to_lowercase() == name.to_lowercase()) {
            let tail = format!("_{}", source.layer.id);
            name = source.table.chars().take(MAX_SHEET_NAME - tail.len()).collect::<String>() + &tail;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gdal_writes_is_read_out_of_its_list() {
        let listing = "Supported Formats:\n  ESRI Shapefile -vector- (rw+v): ESRI Shapefile\n  CSV -vector- (rov): Comma Separated Value (.csv)\n  LIBKML -vector- (rw+v): Keyhole\n  GPKG -raster,vector- (rw+vs): GeoPackage\n  XLSX -vector- (rw+): MS Office\n";
        assert_eq!(written_by(listing), [DataFormat::Shapefile, DataFormat::Excel]);
        assert_eq!(written_by(""), []);
    }
}
