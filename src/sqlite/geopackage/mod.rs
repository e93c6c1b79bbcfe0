//! GeoPackages: what any program opens, and, for a replica, a log of what is edited in it.
//!
//! [`write()`] makes one of a [`Plan`] and of the rows that it is told. The tables are those of the OGC standard with the
//! extensions for R-trees, for domains and aliases, and for related tables; [`log`] has the tables and triggers of a replica;
//! [`style`] how maps draw the layers; [`read`] finds the edits in one that a client sends.
//!
//! Standard: OGC 12-128r18, <https://www.geopackage.org/spec130/>.

pub(super) mod geometry;
pub(crate) mod log;
pub(crate) mod read;
pub(crate) mod schema;
mod shape;
pub(crate) mod style;
pub(super) mod values;
mod write;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::{
    filter::LayerQuery,
    geometry::SpatialReference,
    id::{Generation, ReplicaId},
    layer::{Layer, Service},
    query::Columns,
    replica::{SyncDirection, SyncModel},
};

pub(crate) use write::write;

/// What a GeoPackage is to hold.
pub(crate) struct Plan {
    /// The spatial reference of all geometries.
    pub(crate) reference: SpatialReference,
    /// The layers and tables.
    pub(crate) tables: Vec<Table>,
    /// Which rows belong to which.
    pub(crate) relations: Vec<Relation>,
    /// The replica whose data it is; `None` for an export, which nobody synchronizes.
    pub(crate) replica: Option<Replica>,
    /// What the service says of itself and of them, for who holds the file.
    pub(crate) documents: Option<Documents>,
    /// Whether it is only read from beginning to end, as a file of changes is: then it has neither log nor spatial indexes.
    pub(crate) only_changes: bool,
}

/// Documents of the API, as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    /// That of the service.
    pub(crate) service: String,
    /// Those of the layers and tables, by their position in the plan.
    pub(crate) layers: Vec<String>,
}

/// A layer or table in the file.
pub(crate) struct Table {
    /// The name in the file.
    pub(crate) name: String,
    /// What it is.
    pub(crate) layer: Arc<Layer>,
    /// Which of its columns; the object id is among them.
    pub(crate) columns: Columns,
    /// Whether its attachments have a table in the file.
    pub(crate) attachments: bool,
    /// Whether rows have keys of their own, and the object id is a field like others: so other programs see it.
    pub(crate) own_keys: bool,
    /// What a replica knows of it.
    pub(crate) synced: Option<Synced>,
}

/// What a replica knows of a layer.
pub(crate) struct Synced {
    /// The generation that the holder of the file has.
    pub(crate) generation: Generation,
    /// Which rows.
    pub(crate) query: LayerQuery,
    /// Whether the rows in a file of changes are all that there are, not only those that changed.
    pub(crate) replaces: bool,
}

/// The replica whose data it is.
pub(crate) struct Replica {
    /// Its identity.
    pub(crate) id: ReplicaId,
    /// The name asked for; what it comes to be called is told later.
    pub(crate) name: Option<String>,
    /// The address of the service.
    pub(crate) service_url: String,
    /// One generation or one for each layer.
    pub(crate) model: SyncModel,
    /// Which way it synchronizes.
    pub(crate) direction: SyncDirection,
}

/// Rows of one table belong to rows of another.
pub(crate) struct Relation {
    /// The name that people see.
    pub(crate) name: String,
    /// The table of the rows that others belong to, by its position in the plan, and its key.
    pub(crate) origin: (usize, String),
    /// The table of the rows that belong, and the field that holds the key.
    pub(crate) destination: (usize, String),
    /// Whether no more than one row belongs to a row.
    pub(crate) single: bool,
}

impl Table {
    /// Refuses columns that are the same to SQLite, which does not tell `Name` from `name`, and those whose names are `reserved`.
    pub(crate) fn require_distinct_columns(&self, reserved: &[&'static str]) -> Result<()> {
        let names = schema::columns(self);
        let refused = |problem: String| {
            Error::NotSupported(format!(
                "layer {} ({}) {problem}; use dataFormat=json, or rename the column and repair the layer",
                self.layer.id, self.layer.name
            ))
        };
        for (position, name) in names.iter().enumerate() {
            if let Some(same) = names[..position].iter().find(|known| known.eq_ignore_ascii_case(name)) {
                return Err(refused(format!(
                    "has the columns '{same}' and '{name}', which a database file cannot tell apart"
                )));
            }
            if reserved.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
                return Err(refused(format!(
                    "has the column '{name}', a name that a mobile geodatabase needs for itself"
                )));
            }
        }
        Ok(())
    }

    /// The table of its attachments.
    fn attachments_name(&self) -> String {
        attachments_name(&self.name)
    }

    fn object_id(&self) -> &str {
        &self.layer.object_id_field().name
    }

    fn global_id(&self) -> &str {
        &self.layer.global_id_field().name
    }

    fn has_global_ids(&self) -> bool {
        self.columns.fields.contains(&self.layer.global_id)
    }

    /// The geometry's column, if there is one.
    pub(super) fn geometry(&self) -> Option<&str> {
        self.columns.srid.and(self.layer.shape.as_ref()).map(|shape| shape.column.as_str())
    }
}

/// The table of a table's attachments.
pub(crate) fn attachments_name(table: &str) -> String {
    format!("{table}__ATTACH")
}

/// The names that the layers of a service have in files: those that people see, without what some program stumbles over, and
/// no name twice. They depend on the whole service, so that they are the same in each file.
pub(crate) fn table_names(service: &Service) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    let mut names = Vec::with_capacity(service.layers.len());
    for layer in &service.layers {
        let mut name: String = layer.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(80).collect();
        let lower = name.to_lowercase();
        let reserved = ["gpkg", "rtree", "sqlite", "sync", "layer_styles", "gdb_", "st_"]
            .iter()
            .any(|head| lower.starts_with(head));
        // What names of other tables and views end with, in one kind of file or the other.
        let derived = ["__attach", "_evw", "_open"].iter().any(|tail| lower.ends_with(tail));
        if reserved || derived || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            name = format!("layer_{name}");
        }
        let is_free = |name: &str, taken: &[String]| {
            !taken.contains(&name.to_lowercase()) && !taken.contains(&attachments_name(name).to_lowercase())
        };
        if !is_free(&name, &taken) {
            name = format!("{name}_{}", layer.id);
        }
        taken.push(name.to_lowercase());
        taken.push(attachments_name(&name).to_lowercase());
        names.push(name);
    }
    names
}
