//! The catalogue: what is published, as an immutable value that is replaced whole when it changes.

use std::{borrow::Cow, sync::Arc};

use super::{
    capability::{Capabilities, Capability},
    definition::{Definition, ServiceDefinition},
    geometry::{Dimensions, GeometryType, Target},
    guard::{Caller, Guard},
    id::{LayerId, LayerKey, ServiceKey},
    principal::{Access, Grants, Principal},
    rules::Rules,
    value::FieldType,
};

/// All services.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// In the order of their names.
    pub services: Vec<Arc<Service>>,
}

impl Catalogue {
    /// The service with this name; names differ in more than case.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| service.name.eq_ignore_ascii_case(name))
    }
}

/// A published set of layers under one URL, with one history.
#[derive(Clone, Debug)]
pub struct Service {
    /// The key in the database.
    pub key: ServiceKey,
    /// The name in the URL.
    pub name: String,
    /// A sentence or two for people.
    pub description: String,
    /// Layers and tables in the order of their ids.
    pub layers: Vec<Arc<Layer>>,
    /// Which rows belong to which, in the order of their ids.
    pub relationships: Vec<Relationship>,
    /// What an administrator says about it.
    pub definition: ServiceDefinition,
    /// The most that clients may do with any of its layers.
    pub capabilities: Capabilities,
    /// Who may do what with it.
    pub grants: Grants,
    /// Who uses it; in the catalogue, the server itself.
    pub caller: Caller,
}

impl Service {
    /// What somebody may do with it, where `anonymous` is what everybody may do with a service of which nothing else is said.
    pub fn access(&self, who: &Principal, anonymous: Access) -> Access {
        self.grants.access(self.key, who, anonymous)
    }

    /// The layer or table with this id.
    pub fn layer(&self, id: LayerId) -> Option<&Arc<Layer>> {
        self.layers.iter().find(|layer| layer.id == id)
    }

    /// The layer or table with this key. Attachments have none of their own here.
    pub fn layer_by_key(&self, key: LayerKey) -> Option<&Arc<Layer>> {
        self.layers.iter().find(|layer| layer.key == key)
    }

    /// The layers, the tables, and the attachments of both: everything that is tracked.
    pub fn tracked(&self) -> impl Iterator<Item = &Arc<Layer>> {
        self.layers.iter().flat_map(|layer| std::iter::once(layer).chain(&layer.attachments))
    }

    /// Checks that the service allows something. The error is for whoever asked.
    pub fn require(&self, needed: Capability) -> Result<(), String> {
        self.capabilities.require(needed, &format!("service {}", self.name))
    }

    /// The spatial reference of the service: that of its first layer with geometry, else WGS 84.
    pub fn srid(&self) -> i32 {
        self.layers.iter().find_map(|layer| layer.shape.as_ref()).map_or(4326, |shape| shape.srid)
    }
}

/// Rows of one table belong to rows of another.
#[derive(Debug, Clone)]
pub struct Relationship {
    /// The id within the service.
    pub id: i32,
    /// The name that people see.
    pub name: String,
    /// The table of the rows that others belong to.
    pub origin: LayerKey,
    /// Their key, a field of the origin.
    pub origin_field: usize,
    /// The table of the rows that belong.
    pub destination: LayerKey,
    /// The field of the destination that holds the key.
    pub destination_field: usize,
    /// Whether an origin has at most one destination.
    pub single: bool,
}

/// One published table, with a geometry or without; or the attachments of one.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The key in the database; names the change table.
    pub key: LayerKey,
    /// The id within the service. Attachments have that of the layer whose they are.
    pub id: LayerId,
    /// The attachments of its features, if it has any: a table with the columns of [`attachment`].
    pub attachments: Option<Arc<Layer>>,
    /// The layer whose attachments these are, if they are.
    pub attached_to: Option<LayerKey>,
    /// The name that people see.
    pub name: String,
    /// The schema of the user's table.
    pub table_schema: String,
    /// The user's table.
    pub table_name: String,
    /// The geometry column, if the table has one that is published.
    pub shape: Option<ShapeColumn>,
    /// The attributes in the order of the table's columns.
    pub fields: Vec<Field>,
    /// Where the object id is in `fields`.
    pub object_id: usize,
    /// Where the global id is in `fields`.
    pub global_id: usize,
    /// Whether a stored row may differ from what was sent because of its columns' types: generated, or rounded.
    pub alters_rows: bool,
    /// What an administrator says about it.
    pub definition: Arc<Definition>,
    /// What that means for its fields and for clients.
    pub rules: Arc<Rules>,
    /// Which rows who asks may see and change; in the catalogue, all. Attachments have that of their features instead.
    pub guard: Guard,
}

impl Layer {
    /// The object id field.
    pub fn object_id_field(&self) -> &Field {
        &self.fields[self.object_id]
    }

    /// The global id field.
    pub fn global_id_field(&self) -> &Field {
        &self.fields[self.global_id]
    }

    /// Checks that the layer and its service allow something. The error is for whoever asked.
    pub fn require(&self, needed: Capability) -> Result<(), String> {
        self.rules.capabilities.require(needed, &format!("layer {} ({})", self.id, self.name))
    }

    /// The position of a field by its exact name, or else in any case.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.name == name)
            .or_else(|| self.fields.iter().position(|field| field.name.eq_ignore_ascii_case(name)))
    }

    /// The heights and measures that its geometries have.
    pub fn dimensions(&self) -> Dimensions {
        self.shape.as_ref().map_or_else(Dimensions::default, |shape| shape.dimensions)
    }

    /// Whether the server may write the field: it is no key, and the database does not compute it.
    pub fn is_writable(&self, index: usize) -> bool {
        index != self.object_id && index != self.global_id && !self.fields[index].generated
    }

    /// Whether clients may write the field.
    pub fn is_editable(&self, index: usize) -> bool {
        self.is_writable(index) && !self.rules.is_read_only(index)
    }

    /// Whether clients see the field: in documents, in what they can ask for, in what they are sent and may send. For them, others are not
    /// there.
    pub fn is_visible(&self, index: usize) -> bool {
        !self.rules.is_hidden(index)
    }

    /// The fields that clients see, by their positions.
    pub fn visible_fields(&self) -> impl Iterator<Item = usize> {
        (0..self.fields.len()).filter(|&index| self.is_visible(index))
    }

    /// The names of the others.
    pub fn hidden_fields(&self) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .enumerate()
            .filter(|(index, _)| !self.is_visible(*index))
            .map(|(_, field)| field.name.as_str())
    }

    /// The position of a field that clients see, by its name as for [`Layer::field_index`].
    pub fn visible_field(&self, name: &str) -> Option<usize> {
        self.field_index(name).filter(|&index| self.is_visible(index))
    }

    /// The fields for texts of clients to name, at their positions: those that clients do not see have no name, as if they were not there.
    pub fn nameable_fields(&self) -> Cow<'_, [Field]> {
        if (0..self.fields.len()).all(|index| self.is_visible(index)) {
            return Cow::Borrowed(&self.fields);
        }
        let mut fields = self.fields.clone();
        for (index, field) in fields.iter_mut().enumerate() {
            if !self.is_visible(index) {
                field.name.clear();
            }
        }
        Cow::Owned(fields)
    }

    /// Whether clients may leave the field empty.
    pub fn is_nullable(&self, index: usize) -> bool {
        self.fields[index].nullable && !self.rules.is_required(index)
    }
}

/// A geometry column.
#[derive(Debug, Clone)]
pub struct ShapeColumn {
    /// Its name in the table.
    pub column: String,
    /// What it holds, in the API's terms.
    pub geometry_type: GeometryType,
    /// Whether the column holds multi-part geometries, so that single ones are promoted on the way in.
    pub multi: bool,
    /// Its spatial reference in the database.
    pub srid: i32,
    /// Whether vertices have a height, and a measure.
    pub dimensions: Dimensions,
    /// Whether the column takes nothing else. If not, a row may have a geometry of another type or spatial reference, which no client is given.
    pub declared: bool,
}

impl ShapeColumn {
    /// How geometries are written for the column.
    pub fn target(&self) -> Target {
        let multi = self.multi || self.geometry_type == GeometryType::Multipoint;
        Target { multi, has_z: self.dimensions.z, has_m: self.dimensions.m }
    }
}

/// One attribute of a layer.
#[derive(Debug, Clone)]
pub struct Field {
    /// The column's name, case preserved; compared without case on input.
    pub name: String,
    /// What a person reads.
    pub alias: String,
    /// Its type.
    pub field_type: FieldType,
    /// The type of the column as PostgreSQL writes it, for casts: `character varying(20)`.
    pub column_type: String,
    /// The most characters of a text; `None` if unlimited.
    pub length: Option<u32>,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether the database fills it in when an edit does not name it.
    pub has_default: bool,
    /// Whether the database computes it, so that nobody may write it.
    pub generated: bool,
}

impl Field {
    /// Whether the column may hold numbers that no double can: too great ones, or ones too near to nothing.
    pub fn exceeds_double(&self) -> bool {
        let Some(rest) = self.column_type.strip_prefix("numeric") else { return false };
        let declared =
            rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once(','));
        let Some((precision, scale)) = declared else { return true };
        match (precision.parse::<i32>(), scale.parse::<i32>()) {
            (Ok(precision), Ok(scale)) => precision - scale > 308 || scale > 307,
            _ => true,
        }
    }
}

/// The columns of a table of attachments, by their positions in [`Layer::fields`].
pub mod attachment {
    /// The id within the layer, an integer that is never given twice.
    pub const ID: usize = 0;
    /// The identity.
    pub const GLOBAL_ID: usize = 1;
    /// The identity of the feature that it belongs to.
    pub const PARENT: usize = 2;
    /// The name of the file.
    pub const NAME: usize = 3;
    /// The media type.
    pub const CONTENT_TYPE: usize = 4;
    /// How many bytes it has.
    pub const SIZE: usize = 5;
    /// The SHA-256 of the bytes, as 64 hexadecimal digits: the name under which they are kept.
    pub const SHA256: usize = 6;
    /// Words that somebody gave it.
    pub const KEYWORDS: usize = 7;
}
