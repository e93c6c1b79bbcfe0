//! Tables of features and attachments in a mobile geodatabase: definitions, indexes, triggers, and the view through which clients edit.
//!
//! A table that is synchronized keeps every version of a row, with the Julian days from and to which it held; a client finds out from them what to
//! upload. The triggers call functions that only its library has: they are made when the rows are in.

use rusqlite::{Connection, types::ValueRef};

use crate::sqlite::{
    geopackage::values::guid,
    packed::Boxes,
    quoted,
    sorted::{IdKeys, Index, Sorter, id_key, number, of_id_key, ordered},
};

use super::column::{Column, Kind, identifier};

/// When rows begin as they are delivered: the first second of 1970. Clients take it for their generation 1000.
pub(super) const DELIVERED: f64 = 2_440_587.500_011_574;
/// When rows end that have not ended: the last second of the year 9999.
pub(super) const FOREVER: f64 = 5_373_484.499_988_425_5;
/// What clients begin to count with, in milliseconds since 1970.
pub(super) const CLIENT_GENERATION: i64 = 1000;

const MAX: &str = "julianday ('9999-12-31 23:59:59')";
const NOW: &str = "gdb_transaction_time ()";

/// A table in the file.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// Its columns: the object id first, the geometry last.
    pub(super) columns: Vec<Column>,
    /// The number under which it is registered.
    pub(super) registration: i64,
    /// The layer's number in the file, if it has a geometry.
    pub(super) layer: Option<i64>,
    /// Whether it keeps versions of its rows.
    pub(super) tracked: bool,
    /// Columns by which rows belong to others.
    pub(super) foreign_keys: Vec<String>,
}

/// What the indexes of a table are made of: what rows are known by, gathered while they are written.
pub(super) struct Keys {
    ids: IdKeys,
    /// Object ids, with the keys of their rows.
    object_ids: Sorter<16>,
    n_rows: i64,
}

/// The name of an index, and how it would be made.
type Named = (String, String);

impl Keys {
    /// None yet, of a table in the file of `connection`.
    pub(super) fn beside(connection: &Connection) -> Keys {
        Keys { ids: IdKeys::beside(connection), object_ids: Sorter::beside(connection), n_rows: 0 }
    }

    /// Adds those of the next row: keys are counted.
    pub(super) fn add(&mut self, key: i64, object_id: i64, global_id: Option<[u8; 16]>) -> rusqlite::Result<()> {
        self.n_rows += 1;
        if let Some(global_id) = global_id {
            self.ids.push(id_key(global_id, key))?;
        }
        let mut record = [0; 16];
        record[..8].copy_from_slice(&ordered(object_id));
        record[8..].copy_from_slice(&ordered(key));
        self.object_ids.push(record)
    }

    fn build(
        self,
        connection: &Connection,
        table: &str,
        (of_ids, of_versions): (Option<Named>, Option<[Named; 3]>),
    ) -> rusqlite::Result<()> {
        if let Some((name, sql)) = of_ids {
            let ids = self.ids.sorted()?;
            Index { name: &name, table, sql: &sql, n_columns: 1 }.build(connection, ids.iter()?, |entry, slots| {
                let (id, key) = of_id_key(entry);
                slots.put(ValueRef::Text(&guid(id)))?;
                slots.put(ValueRef::Integer(key))
            })?;
        }
        let Some([by_end, by_dates, by_begin]) = of_versions else { return Ok(()) };
        let object_ids = self.object_ids.sorted()?;
        for ((name, sql), date) in [(&by_end, FOREVER), (&by_begin, DELIVERED)] {
            let index = Index { name, table, sql, n_columns: 2 };
            index.build(connection, object_ids.iter()?, |entry, slots| {
                let (mut object_id, mut key) = ([0; 8], [0; 8]);
                object_id.copy_from_slice(&entry[..8]);
                key.copy_from_slice(&entry[8..]);
                slots.put(ValueRef::Integer(number(object_id)))?;
                slots.put(ValueRef::Real(date))?;
                slots.put(ValueRef::Integer(number(key)))
            })?;
        }
        // All versions begin and end at the same time, and stand in the order of their keys.
        let (name, sql) = &by_dates;
        Index { name, table, sql, n_columns: 2 }.build(connection, (1..=self.n_rows).map(Ok), |key, slots| {
            slots.put(ValueRef::Real(DELIVERED))?;
            slots.put(ValueRef::Real(FOREVER))?;
            slots.put(ValueRef::Integer(*key))
        })
    }
}

impl Table {
    /// The column of a kind of which there is at most one.
    pub(super) fn column(&self, kind: Kind) -> Option<&Column> {
        self.columns.iter().find(|column| column.kind == kind)
    }

    /// The object id's column.
    pub(super) fn object_id(&self) -> &str {
        self.columns.first().map_or("OBJECTID", |column| &column.name)
    }

    /// The name of the index of its geometries.
    pub(super) fn index(&self, shape: &Column) -> String {
        format!("st_spindex__{}_{}", self.name, shape.name)
    }

    /// Makes the table.
    pub(super) fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut columns: Vec<String> = self.columns.iter().map(Column::definition).collect();
        if self.tracked {
            columns.push("gdb_archive_oid integer primary key not null".to_owned());
            for (name, default) in [("gdb_from_date", NOW), ("gdb_to_date", MAX)] {
                columns.push(format!(
                    "{name} realdate check(typeof({name}) = 'real' and {name} >= 0.0) not null default ({default})"
                ));
            }
        } else if let Some(first) = columns.first_mut() {
            *first = format!("{} integer primary key not null", identifier(self.object_id()));
        }
        connection.execute_batch(&format!("CREATE TABLE {} ({})", identifier(&self.name), columns.join(", ")))
    }

    /// Makes indexes, triggers and the view, when the rows are in. `boxes` are those of the geometries, by their rows' keys; `keys` of all rows, or
    /// `None` if SQLite is to find them itself.
    pub(super) fn finish(&self, connection: &Connection, boxes: Boxes, keys: Option<Keys>) -> rusqlite::Result<()> {
        let (table, number) = (identifier(&self.name), self.registration);
        let object_id = identifier(self.object_id());
        let mut script = Vec::new();
        let of_ids = self.column(Kind::GlobalId).map(|global_id| {
            let (name, column) = (format!("UUID_{number}"), identifier(&global_id.name));
            let sql = format!("CREATE INDEX {name} ON {table} ({column} ASC)");
            (name, sql)
        });
        let of_versions = self.tracked.then(|| {
            let unique =
                |name: &str, date: &str| format!("CREATE UNIQUE INDEX {name} ON {table} ({object_id} ASC,{date} ASC)");
            let [xpk, ct1, ct4] =
                [format!("r{number}_gdb_xpk"), format!("gdb_ct1_{number}"), format!("gdb_ct4_{number}")];
            let by_dates = format!("CREATE INDEX {ct1} ON {table} (gdb_from_date ASC,gdb_to_date ASC)");
            let (by_end, by_begin) = (unique(&xpk, "gdb_to_date"), unique(&ct4, "gdb_from_date"));
            [(xpk, by_end), (ct1, by_dates), (ct4, by_begin)]
        });
        match keys {
            Some(keys) => keys.build(connection, &self.name, (of_ids, of_versions))?,
            None => script.extend(of_ids.into_iter().chain(of_versions.into_iter().flatten()).map(|(_, sql)| sql)),
        }
        for (position, key) in self.foreign_keys.iter().enumerate() {
            let (index, key) = (quoted(&format!("GDB_{number}_key_{position}")), identifier(key));
            script.push(format!("CREATE INDEX {index} ON {table} ({key} ASC)"));
        }
        if let Some(shape) = self.column(Kind::Shape) {
            let index = self.index(shape);
            connection.execute_batch(&format!(
                "CREATE VIRTUAL TABLE {} USING RTREE (pkid,minx,maxx,miny,maxy)",
                quoted(&index)
            ))?;
            boxes.write(connection, &index)?;
            script.extend(self.index_triggers(shape));
        }
        if self.tracked {
            script.extend(self.view());
        }
        script.push(String::new());
        connection.execute_batch(&script.join(";\n"))
    }

    /// The triggers that keep the index of geometries.
    fn index_triggers(&self, shape: &Column) -> [String; 4] {
        let (table, column) = (identifier(&self.name), identifier(&shape.name));
        let index = quoted(&self.index(shape));
        let name = |event: &str| quoted(&format!("st_{event}_trigger_{}_{}", self.name, shape.name));
        let (insert, delete, update, update1) = (name("insert"), name("delete"), name("update"), name("update1"));
        [
            format!(
                "CREATE TRIGGER {insert} AFTER INSERT ON {table} FOR EACH ROW BEGIN SELECT InsertIndexEntry ({index},NEW.{column},NEW._ROWID_,2); END"
            ),
            format!(
                "CREATE TRIGGER {delete} AFTER DELETE ON {table} FOR EACH ROW BEGIN DELETE FROM {index} WHERE pkid = OLD._ROWID_; END"
            ),
            format!(
                "CREATE TRIGGER {update} AFTER UPDATE OF {column} ON {table} WHEN OLD._ROWID_ = NEW._ROWID_ BEGIN \
                 SELECT UpdateIndexEntry ({index},NEW.{column},NEW._ROWID_,2); END"
            ),
            format!(
                "CREATE TRIGGER {update1} AFTER UPDATE OF {column} ON {table} WHEN OLD._ROWID_ != NEW._ROWID_ BEGIN \
                 DELETE FROM {index} WHERE pkid = OLD._ROWID_; SELECT UpdateIndexEntry ({index},NEW.{column},NEW._ROWID_,2); END"
            ),
        ]
    }

    /// The view of the current rows, and the triggers that turn edits of it into versions.
    fn view(&self) -> [String; 4] {
        let (table, object_id) = (identifier(&self.name), identifier(self.object_id()));
        let name = |suffix: &str| identifier(&format!("{}_evw{suffix}", self.name));
        let view = name("");
        let columns: Vec<String> = self.columns.iter().map(|column| identifier(&column.name)).collect();
        let new: Vec<String> = columns.iter().map(|column| format!("NEW.{column}")).collect();
        let others: String = new.iter().skip(1).map(|column| format!("{column},")).collect();
        let (columns, new) = (columns.join(","), new.join(","));
        let near = |column: &str, moment: &str| {
            format!("{column} BETWEEN ({moment} - 0.000000001) AND ({moment} + 0.000000001)")
        };
        let (open, begun_now) = (near("gdb_to_date", MAX), near("gdb_from_date", NOW));
        let text = crate::sqlite::literal(&self.name);
        [
            format!("CREATE VIEW {view} AS SELECT {columns} FROM {table} WHERE {open}"),
            format!(
                "CREATE TRIGGER {} INSTEAD OF INSERT ON {view} BEGIN INSERT INTO {table} ({columns},gdb_from_date,gdb_to_date) \
                 VALUES (IFNULL (NEW.{object_id},Next_RowID (NULL,{text})),{others}{NOW},{MAX}); END",
                name("_insert")
            ),
            format!(
                "CREATE TRIGGER {} INSTEAD OF DELETE ON {view} BEGIN DELETE FROM {table} WHERE {object_id} = OLD.{object_id} AND {begun_now}; \
                 UPDATE OR REPLACE {table} SET gdb_to_date = {NOW} WHERE {object_id} = OLD.{object_id} AND {open}; END",
                name("_delete")
            ),
            format!(
                "CREATE TRIGGER {} INSTEAD OF UPDATE ON {view} BEGIN UPDATE OR IGNORE {table} SET gdb_to_date = {NOW} \
                 WHERE {object_id} = OLD.{object_id} AND {open};REPLACE INTO {table} ({columns},gdb_from_date,gdb_to_date) VALUES ({new},\
                 (SELECT MAX (gdb_to_date) FROM {table} WHERE {object_id} = OLD.{object_id} AND gdb_to_date < {MAX}),{MAX}); END",
                name("_update")
            ),
        ]
    }
}
