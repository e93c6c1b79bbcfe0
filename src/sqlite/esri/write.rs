//! Writes a mobile geodatabase as its rows come.

use std::{
    fs::File,
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, blob::ZeroBlob, params, types::ValueRef};
use sqlx::postgres::PgRow;

use crate::{
    error::{Error, Result},
    files::Place,
    format::{array, json::integer_of},
    model::{attachment::AttachmentInfo, geometry::GeometryType},
    sqlite::{
        attachment, cannot_write,
        geopackage::{self, Plan, attachments_name},
        insert::{Failure, Inserts, Slots, around, sent},
        message::Message,
        packed::Boxes,
        write::{Coming, Writing},
    },
};

use super::{
    Details,
    column::{self, Column, Kind, identifier},
    geometry::{Encoder, Ordinates},
    items,
    mirror::{self, Mirror},
    reference::SpatialReference,
    table::{DELIVERED, FOREVER, Keys, Table},
};

/// `Esri`, by which the kind of file is known.
pub(super) const APPLICATION_ID: i64 = 0x4573_7269;
/// The tables that are registered before those of the layers.
const N_SYSTEM_TABLES: i64 = 6;

/// Begins to write a mobile geodatabase on a thread of its own.
pub(crate) fn write(place: Place, plan: Plan, details: Details) -> Writing<Message> {
    Writing::begin(place, move |connection, coming| Geodatabase::begin(connection, &plan, &details)?.work(coming))
}

/// A mobile geodatabase that is being written.
pub(super) struct Geodatabase<'p, 'c> {
    pub(super) connection: &'c Connection,
    pub(super) plan: &'p Plan,
    pub(super) details: &'p Details,
    pub(super) reference: SpatialReference,
    /// By their positions in the plan.
    pub(super) layers: Vec<Filling<'c>>,
    /// When it is made, in milliseconds since 1970.
    pub(super) now_ms: i64,
}

/// The tables of a layer while they are filled.
pub(super) struct Filling<'c> {
    pub(super) features: Rows,
    pub(super) attachments: Option<Rows>,
    inserts: Inserts<'c>,
    /// Where the values of the columns are in the rows that come: the object id first.
    order: Vec<usize>,
    encoder: Option<Encoder>,
    boxes: Boxes,
    keys: Keys,
    /// Where the global id is in the rows that come.
    at_global_id: Option<usize>,
    /// The box round all rows.
    pub(super) extent: Option<[f64; 4]>,
    mirror: Option<Mirror<'c>>,
    /// Memory that is used again for each geometry.
    blob: Vec<u8>,
}

/// A table, and how many rows are in it.
pub(super) struct Rows {
    pub(super) table: Table,
    n_rows: i64,
    /// The greatest object id.
    pub(super) last_id: i64,
}

impl<'p, 'c> Geodatabase<'p, 'c> {
    pub(super) fn begin(
        connection: &'c Connection,
        plan: &'p Plan,
        details: &'p Details,
    ) -> Result<Geodatabase<'p, 'c>> {
        let has_more = plan
            .tables
            .iter()
            .any(|table| table.columns.srid.is_some() && (table.columns.dimensions.z || table.columns.dimensions.m));
        let reference = SpatialReference::new(&plan.reference, has_more);
        connection.execute_batch(include_str!("catalogue.sql")).map_err(cannot_write)?;
        // Every value is made to be what its column holds; to have each checked again takes a fifth of the time.
        connection.execute_batch("PRAGMA ignore_check_constraints = ON").map_err(cannot_write)?;
        if details.mirror {
            mirror::create(connection, &plan.reference).map_err(cannot_write)?;
        }
        let mut layers = Vec::with_capacity(plan.tables.len());
        for (planned, table, attachments) in tables(plan) {
            layers.push(Filling::begin(connection, planned, table, attachments, &reference, details.mirror)?);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = i64::try_from(now).unwrap_or_default();
        Ok(Geodatabase { connection, plan, details, reference, layers, now_ms })
    }

    fn work(mut self, coming: &mut Coming<Message>) -> Result<()> {
        let mut name = self.plan.replica.as_ref().and_then(|replica| replica.name.clone());
        while let Some(message) = coming.next()? {
            match message {
                Message::Rows { table, first, rows, .. } => {
                    let filling = &mut self.layers[table];
                    filling.rows(&self.plan.tables[table], first, &rows)?;
                }
                Message::Attachment { table, info, bytes, .. } => {
                    if let Some(rows) = &mut self.layers[table].attachments {
                        insert_attachment(self.connection, rows, &info, bytes)?;
                    }
                }
                Message::Deleted { .. } | Message::Results { .. } => {
                    return Err(Error::internal(
                        "writing a mobile geodatabase",
                        "changes do not belong into a whole one",
                    ));
                }
                Message::Complete(done) => {
                    for filling in &mut self.layers {
                        filling.complete(self.connection).map_err(cannot_write)?;
                    }
                    // If nobody waits any more, the file is dropped as well.
                    let _ = done.send(());
                }
                Message::Name(given) => name = Some(given),
            }
        }
        items::write(&self, name.as_deref().unwrap_or_default())?;
        finish(self.connection).map_err(cannot_write)
    }
}

/// The tables of a plan: those with geometries are registered first, then those without, then those of attachments.
pub(super) fn tables(plan: &Plan) -> Vec<(&geopackage::Table, Table, Option<Table>)> {
    let tracked = plan.replica.is_some();
    let has_shape = |table: &geopackage::Table| table.geometry().is_some();
    let rank = |position: usize| {
        let before = |other: &(usize, &geopackage::Table)| match (has_shape(&plan.tables[position]), has_shape(other.1))
        {
            (true, false) => false,
            (false, true) => true,
            _ => other.0 < position,
        };
        items::count(plan.tables.iter().enumerate().filter(before).count())
    };
    let mut n_attachments = 0;
    let mut made = Vec::with_capacity(plan.tables.len());
    for (position, planned) in plan.tables.iter().enumerate() {
        let registration = N_SYSTEM_TABLES + 1 + rank(position);
        let layer = &planned.layer;
        let mut columns = vec![Column::of(layer, layer.object_id)];
        let others = planned.columns.fields.iter().filter(|&&index| index != layer.object_id);
        columns.extend(others.map(|&index| Column::of(layer, index)));
        if let Some(shape) = planned.geometry() {
            columns.push(Column { name: shape.to_owned(), kind: Kind::Shape, nullable: true, may_come_empty: true });
        }
        let relations = plan.relations.iter().filter(|relation| relation.destination.0 == position);
        let table = Table {
            name: planned.name.clone(),
            columns,
            registration,
            // The first is that of the items themselves.
            layer: planned.geometry().map(|_| 2 + rank(position)),
            tracked,
            foreign_keys: relations.map(|relation| relation.destination.1.clone()).collect(),
        };
        let attachments = planned.attachments.then(|| {
            n_attachments += 1;
            Table {
                name: attachments_name(&planned.name),
                columns: Column::of_attachments().into(),
                registration: N_SYSTEM_TABLES + items::count(plan.tables.len()) + n_attachments,
                layer: None,
                tracked,
                foreign_keys: vec!["REL_GLOBALID".to_owned()],
            }
        });
        made.push((planned, table, attachments));
    }
    made
}

impl<'c> Filling<'c> {
    fn begin(
        connection: &'c Connection,
        planned: &geopackage::Table,
        table: Table,
        attachments: Option<Table>,
        reference: &SpatialReference,
        with_mirror: bool,
    ) -> Result<Filling<'c>> {
        let fields = &planned.columns.fields;
        let at_id = fields.iter().position(|&index| index == planned.layer.object_id).unwrap_or_default();
        let order = std::iter::once(at_id).chain((0..fields.len()).filter(|&at| at != at_id)).collect();
        let make = || -> rusqlite::Result<(Inserts<'c>, Option<Mirror<'c>>)> {
            table.create(connection)?;
            if let Some(attachments) = &attachments {
                attachments.create(connection)?;
            }
            let mut names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            if table.tracked {
                names.extend(["gdb_archive_oid", "gdb_from_date", "gdb_to_date"]);
            }
            let mirror = with_mirror.then(|| Mirror::begin(connection, planned)).transpose()?;
            Ok((Inserts::new(connection, &table.name, &names)?, mirror))
        };
        let (inserts, mirror) = make().map_err(cannot_write)?;
        Ok(Filling {
            features: Rows { table, n_rows: 0, last_id: 0 },
            attachments: attachments.map(|table| Rows { table, n_rows: 0, last_id: 0 }),
            inserts,
            order,
            encoder: encoder(planned, reference),
            boxes: Boxes::beside(connection),
            keys: Keys::beside(connection),
            at_global_id: fields.iter().position(|&index| index == planned.layer.global_id),
            extent: None,
            mirror,
            blob: Vec::new(),
        })
    }

    fn rows(&mut self, planned: &geopackage::Table, first: usize, rows: &[PgRow]) -> Result<()> {
        if let Some(mirror) = &mut self.mirror {
            mirror.rows(planned, first, rows)?;
        }
        let Filling { features, inserts, order, encoder, boxes, keys, at_global_id, extent, blob, .. } = self;
        inserts
            .insert(rows, |row, slots: &mut Slots<'_, '_>| -> std::result::Result<(), Failure> {
                features.n_rows += 1;
                let object_id = object_id(planned, row, first)?;
                put_fields(planned, order, row, first, slots)
                    .map_err(|Failure(error)| of_row(error, planned, object_id))?;
                features.last_id = features.last_id.max(object_id);
                let key = if features.table.tracked { features.n_rows } else { object_id };
                keys.add(key, object_id, at_global_id.map(|at| global_id(row, first + at)).transpose()?)?;
                if let Some(encoder) = encoder {
                    let bounds = put_shape(encoder, row, first + order.len(), blob, slots)
                        .map_err(|error| of_row(error, planned, object_id))?;
                    if let Some(bounds) = bounds {
                        *extent = Some(extent.map_or(bounds, |known| around(known, bounds)));
                        boxes.add(key, bounds)?;
                    }
                }
                if features.table.tracked {
                    slots.put(ValueRef::Integer(key))?;
                    slots.put(ValueRef::Real(DELIVERED))?;
                    slots.put(ValueRef::Real(FOREVER))?;
                }
                Ok(())
            })
            .map_err(|Failure(error)| error)
    }

    /// Makes what is made when all rows are in.
    fn complete(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let boxes = std::mem::replace(&mut self.boxes, Boxes::beside(connection));
        let keys = std::mem::replace(&mut self.keys, Keys::beside(connection));
        self.features.table.finish(connection, boxes, Some(keys))?;
        if let Some(n_beyond) = self.encoder.as_ref().map(|encoder| encoder.n_beyond).filter(|&n| n > 0) {
            let layer = &self.features.table.name;
            tracing::warn!(
                layer,
                n_beyond,
                "geometries lie farther out than a mobile geodatabase reaches, and are empty in it; syncline check --rows names them"
            );
        }
        match &self.attachments {
            Some(attachments) => attachments.table.finish(connection, Boxes::beside(connection), None),
            None => Ok(()),
        }
    }
}

/// What writes the geometries of a table, if it has any.
pub(super) fn encoder(planned: &geopackage::Table, reference: &SpatialReference) -> Option<Encoder> {
    planned.geometry()?;
    let geometry_type = planned.layer.shape.as_ref().map_or(GeometryType::Point, |shape| shape.geometry_type);
    Some(Encoder::new(reference.grid, geometry_type, ordinates(planned)))
}

/// The heights and measures that the geometries of a table have.
pub(super) fn ordinates(planned: &geopackage::Table) -> Ordinates {
    Ordinates { z: planned.columns.dimensions.z, m: planned.columns.dimensions.m }
}

/// The object id of a row.
pub(super) fn object_id(planned: &geopackage::Table, row: &PgRow, first: usize) -> Result<i64> {
    let fields = &planned.columns.fields;
    let at = fields.iter().position(|&index| index == planned.layer.object_id).unwrap_or_default();
    integer_of(sent(row, first + at)?.unwrap_or_default())
}

/// The global id of a row, at a place in it.
fn global_id(row: &PgRow, at: usize) -> Result<[u8; 16]> {
    array(sent(row, at)?.unwrap_or_default())
}

/// Puts the fields of a row, in this order.
pub(super) fn put_fields(
    planned: &geopackage::Table,
    order: &[usize],
    row: &PgRow,
    first: usize,
    slots: &mut Slots<'_, '_>,
) -> std::result::Result<(), Failure> {
    for &at in order {
        let Some(bytes) = sent(row, first + at)? else {
            slots.put(ValueRef::Null)?;
            continue;
        };
        let field = &planned.layer.fields[planned.columns.fields[at]];
        column::put(bytes, field, slots)?;
    }
    Ok(())
}

/// Puts the geometry of a row. Returns its box.
pub(super) fn put_shape(
    encoder: &mut Encoder,
    row: &PgRow,
    at: usize,
    blob: &mut Vec<u8>,
    slots: &mut Slots<'_, '_>,
) -> Result<Option<[f64; 4]>> {
    let Some(bytes) = sent(row, at)? else {
        slots.put(ValueRef::Null).map_err(cannot_write)?;
        return Ok(None);
    };
    blob.clear();
    let bounds = encoder.encode(bytes, blob)?;
    slots.put(ValueRef::Blob(blob)).map_err(cannot_write)?;
    Ok(bounds)
}

/// Says which row an error is about, if that helps.
pub(super) fn of_row(error: Error, planned: &geopackage::Table, object_id: i64) -> Error {
    match error {
        Error::NotSupported(problem) => Error::NotSupported(format!(
            "layer {} ({}), object id {object_id}: {problem}",
            planned.layer.id, planned.layer.name
        )),
        other => other,
    }
}

/// Enters an attachment.
pub(super) fn insert_attachment(
    connection: &Connection,
    rows: &mut Rows,
    info: &AttachmentInfo,
    bytes: File,
) -> Result<()> {
    rows.n_rows += 1;
    rows.last_id = rows.last_id.max(info.id);
    let tracked = rows.table.tracked.then_some((rows.n_rows, DELIVERED, FOREVER));
    let names: Vec<String> = rows.table.columns.iter().map(|column| identifier(&column.name)).collect();
    let (more, values) = match tracked {
        Some(_) => (",gdb_archive_oid,gdb_from_date,gdb_to_date", ",?8,?9,?10"),
        None => ("", ""),
    };
    let sql = format!(
        "INSERT INTO {} ({}{more}) VALUES (?1,?2,?3,?4,?5,?6,?7{values})",
        identifier(&rows.table.name),
        names.join(",")
    );
    let length = attachment::length(info, &bytes)?;
    let [id, parent] = [info.global_id, info.parent].map(|id| items::braced(id.0));
    let mut insert = connection.prepare(&sql).map_err(cannot_write)?;
    let key = match tracked {
        Some((key, from, to)) => insert.insert(params![
            info.id,
            id,
            parent,
            info.content_type,
            info.name,
            length,
            ZeroBlob(length),
            key,
            from,
            to
        ]),
        None => insert.insert(params![info.id, id, parent, info.content_type, info.name, length, ZeroBlob(length)]),
    };
    attachment::copy(connection, &rows.table.name, key.map_err(cannot_write)?, bytes)
}

/// Marks the file as what it is, and enters two tables whose makers only Esri's library has: nobody else could create them.
pub(super) fn finish(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA writable_schema = ON"))?;
    for (name, module) in [("st_spatial_reference_systems", "VSRS"), ("st_vtspindex_interface", "VTSpindex")] {
        connection.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
            params![name, format!("CREATE VIRTUAL TABLE {name} USING {module}()")],
        )?;
    }
    connection.execute_batch("PRAGMA writable_schema = OFF")
}
