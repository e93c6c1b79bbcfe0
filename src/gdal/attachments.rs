//! Attachments as files of an archive, for formats that have no place for them.
//!
//! Each is `attachments/<table>/<global id of its feature>/<attachment id>-<name>`, and `attachments/index.csv` has a line for each.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use rusqlite::{Connection, MAIN_DB, OpenFlags, Row};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    error::{Error, Result},
    sqlite::{geopackage::attachments_name, quoted},
};

use super::{Source, archive::failed};

/// How many characters of an attachment's name are in that of its file.
const MAX_NAME: usize = 100;

/// The columns of the index.
const HEADING: [&str; 9] =
    ["layer", "feature", "attachment_id", "global_id", "name", "content_type", "size", "keywords", "path"];

/// What is known of an attachment.
struct Known {
    id: i64,
    line: [String; 9],
}

/// Adds the attachments in a GeoPackage to an archive. They are copied in pieces.
pub(super) fn pack(archive: &mut ZipWriter<File>, package: &Path, layers: &[Source]) -> Result<()> {
    let connection = Connection::open_with_flags(package, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(cannot_read)?;
    let zip_failed = |error| Error::internal("packing attachments", error);
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    archive.start_file("attachments/index.csv", options).map_err(zip_failed)?;
    index(&connection, layers, &mut *archive)?;
    // Pictures do not get smaller.
    let options = options.compression_method(CompressionMethod::Stored);
    for source in layers {
        let table = attachments_name(&source.table);
        each(&connection, source, |known| {
            let [.., path] = known.line;
            archive.start_file(path, options).map_err(zip_failed)?;
            let mut bytes =
                connection.blob_open(MAIN_DB, table.as_str(), "DATA", known.id, true).map_err(cannot_read)?;
            io::copy(&mut bytes, archive).map(|_| ()).map_err(failed)
        })?;
    }
    Ok(())
}

/// Writes a line for each attachment.
fn index(connection: &Connection, layers: &[Source], out: impl Write) -> Result<()> {
    let mut lines = csv::Writer::from_writer(out);
    let failed = |error| Error::internal("packing attachments", error);
    lines.write_record(HEADING).map_err(failed)?;
    for source in layers {
        each(connection, source, |known| lines.write_record(&known.line).map_err(failed))?;
    }
    lines.flush().map_err(super::archive::failed)
}

/// Tells of each attachment of a layer.
fn each(connection: &Connection, source: &Source, mut tell: impl FnMut(Known) -> Result<()>) -> Result<()> {
    if source.n_attachments == 0 {
        return Ok(());
    }
    let mut attachments = connection
        .prepare(&format!(
            "SELECT ATTACHMENTID, GLOBALID, REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA_SIZE, ifnull(KEYWORDS, '') FROM {}",
            quoted(&attachments_name(&source.table))
        ))
        .map_err(cannot_read)?;
    let mut rows = attachments.query([]).map_err(cannot_read)?;
    while let Some(row) = rows.next().map_err(cannot_read)? {
        tell(known(source, row).map_err(cannot_read)?)?;
    }
    Ok(())
}

fn known(source: &Source, row: &Row<'_>) -> rusqlite::Result<Known> {
    let (id, global_id, feature): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (content_type, name, size): (String, String, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let path = format!("attachments/{}/{}/{id}-{}", source.table, feature.trim_matches(['{', '}']), file_name(&name));
    let layer = source.layer.id.to_string();
    let line = [layer, feature, id.to_string(), global_id, name, content_type, size.to_string(), row.get(6)?, path];
    Ok(Known { id, line })
}

/// A name without what leads elsewhere or is no name on some system.
fn file_name(name: &str) -> String {
    let safe = name.chars().map(|c| if c.is_alphanumeric() || " ._-()+@".contains(c) { c } else { '_' });
    let characters: Vec<char> = safe.collect();
    // The end says what kind of file it is.
    let kept: String = characters[characters.len().saturating_sub(MAX_NAME)..].iter().collect();
    kept.trim_end_matches(['.', ' ']).to_owned()
}

fn cannot_read(error: rusqlite::Error) -> Error {
    Error::internal("reading attachments out of a GeoPackage", error)
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_of_files_lead_nowhere_else() {
        assert_eq!(file_name("Höhe 1 (alt).jpg"), "Höhe 1 (alt).jpg");
        assert_eq!(file_name("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(file_name("C:\\boot\n.ini. ."), "C__boot_.ini");
        assert_eq!(file_name(&format!("{}.jpg", "x".repeat(300))), format!("{}.jpg", "x".repeat(96)));
        assert_eq!(file_name(""), "");
    }
}
