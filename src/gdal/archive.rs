//! One file of what a program made: an archive, or the file itself.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    error::{Error, Result},
    files::{Finished, Place},
    model::data_format::DataFormat,
};

use super::{Conversion, attachments};

/// Files from this size on have their sizes in a form that not every program reads.
const LARGE_BYTES: u64 = u32::MAX as u64;

/// Makes one file of those in a directory, and of the attachments in the GeoPackage of which they were made. An archive has a file for people,
/// which says what the format could not hold.
pub(super) async fn finish(
    place: Place,
    (package, directory): (PathBuf, PathBuf),
    conversion: Conversion,
    remarks: &[String],
) -> Result<Finished> {
    let readme = (conversion.format != DataFormat::Excel).then(|| readme(&conversion, remarks));
    tokio::task::spawn_blocking(move || {
        match readme {
            Some(readme) => {
                let mut archive = pack(place.path(), &directory, &readme)?;
                if has_attachments_beside(&conversion) {
                    attachments::pack(&mut archive, &package, &conversion.layers)?;
                }
                archive.finish().map_err(|error| Error::internal("packing an export", error))?;
            }
            None => match files(&directory)?.as_slice() {
                [only] => std::fs::rename(only, place.path()).map_err(failed)?,
                several => return Err(Error::internal("converting", format!("{} files came out", several.len()))),
            },
        }
        place.finish()
    })
    .await
    .map_err(|error| Error::internal("packing an export", error))?
}

/// All files below a directory, by their names.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether there are attachments that are files of the archive.
fn has_attachments_beside(conversion: &Conversion) -> bool {
    let n_attachments: u64 = conversion.layers.iter().map(|source| source.n_attachments).sum();
    conversion.format != DataFormat::FileGeodatabase && n_attachments > 0
}

fn pack(path: &Path, directory: &Path, readme: &str) -> Result<ZipWriter<File>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(3))
        .unix_permissions(0o644);
    let zip_failed = |error| Error::internal("packing an export", error);
    let mut archive = ZipWriter::new(File::create_new(path).map_err(failed)?);
    archive.start_file("README.txt", options).map_err(zip_failed)?;
    archive.write_all(readme.as_bytes()).map_err(failed)?;
    for path in files(directory)? {
        let mut file = File::open(&path).map_err(failed)?;
        let is_large = file.metadata().map_err(failed)?.len() >= LARGE_BYTES;
        let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy();
        archive.start_file(name, options.large_file(is_large)).map_err(zip_failed)?;
        io::copy(&mut file, &mut archive).map_err(failed)?;
    }
    Ok(archive)
}

fn readme(conversion: &Conversion, remarks: &[String]) -> String {
    let mut lines = vec![format!("{}, as {}", conversion.title, conversion.format.name()), String::new()];
    for source in &conversion.layers {
        let (layer, n_rows) = (&source.layer, source.n_rows);
        let attachments = match source.n_attachments {
            0 => String::new(),
            n => format!(", {n} attachments"),
        };
        lines.push(format!("{}: layer {}, {}; {n_rows} rows{attachments}", source.table, layer.id, layer.name));
    }
    lines.extend([String::new(), "What this format does not hold, or holds otherwise:".to_owned()]);
    lines.extend(remarks.iter().map(|remark| format!("- {remark}")));
    lines.join("\r\n") + "\r\n"
}

pub(super) fn failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Unavailable("the server's disk is full; nothing was kept, try again later".to_owned())
        }
        _ => Error::internal("packing an export", error),
    }
}
