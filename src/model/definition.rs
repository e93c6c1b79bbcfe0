//! Definitions: what an administrator says about a service or a layer beside its table.
//!
//! A definition is a document, kept and exchanged as such, with the names that clients know from the documents of layers: what
//! `updateDefinition` changes, what a definition file holds, and what the catalogue stores are the same thing. What it means
//! for a table is worked out by [`super::rules`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{geometry::GeometryType, id::LayerId, principal::Principal, value::FieldType};

/// What is said about a layer or table. Everything may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Definition {
    /// The name that people see, if it is not the one with which the layer was published.
    pub name: Option<String>,
    /// A few sentences for people.
    pub description: Option<String>,
    /// Whose data it is.
    pub copyright_text: Option<String>,
    /// The field that stands for a feature in lists.
    pub display_field: Option<String>,
    /// Whether maps show the layer at first.
    pub default_visibility: Option<bool>,
    /// The smallest scale at which maps show the layer, as a denominator; 0: any.
    pub min_scale: Option<f64>,
    /// The largest one.
    pub max_scale: Option<f64>,
    /// Whether and how clients show a feature's details.
    pub html_popup_type: Option<String>,
    /// Whether the data never changes, so that clients may keep it.
    pub has_static_data: Option<bool>,
    /// What clients may do, as a list with commas.
    pub capabilities: Option<String>,
    /// Whether geometries may be changed.
    pub allow_geometry_updates: Option<bool>,
    /// The most features in a page.
    pub max_record_count: Option<i64>,
    /// The fields that the server fills in with who edited a row, and when.
    pub edit_fields_info: Option<EditFields>,
    /// What of rows depends on who added them.
    pub ownership_based_access_control_for_features: Option<OwnershipControl>,
    /// Who sees which rows; everybody sees all if it is empty. Who manages the service sees all in any case.
    pub row_access: Vec<RowRule>,
    /// The fields that place a row in time.
    pub time_info: Option<TimeInfo>,
    /// How maps draw the layer. Nothing in the server reads it.
    pub drawing_info: Option<Json>,
    /// The field whose value is the type of a feature.
    pub type_id_field: Option<String>,
    /// The types of features.
    pub types: Vec<FeatureType>,
    /// The field whose value is the subtype of a row: a type that a row must have.
    pub subtype_field: Option<String>,
    /// The subtypes.
    pub subtypes: Vec<Subtype>,
    /// The subtype of new rows.
    pub default_subtype_code: Option<Json>,
    /// What new features are made from, if there are no types.
    pub templates: Vec<Template>,
    /// What is said about fields.
    pub fields: Vec<FieldDefinition>,
}

/// What is said about a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldDefinition {
    /// Which field.
    pub name: String,
    /// What a person reads.
    pub alias: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Whether clients may write it.
    pub editable: Option<bool>,
    /// Whether it may be empty.
    pub nullable: Option<bool>,
    /// Whether clients show it. They can ask for it nevertheless.
    pub visible: Option<bool>,
    /// What the database fills in when an edit does not name the field.
    pub default_value: Option<Json>,
    /// The values that it takes.
    pub domain: Option<Domain>,
}

/// The values that a field takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Domain {
    /// One of a list.
    #[serde(rename_all = "camelCase")]
    CodedValue {
        /// The name.
        name: String,
        /// A sentence for people.
        #[serde(default)]
        description: String,
        /// The values.
        coded_values: Vec<CodedValue>,
        /// What becomes of it when features are merged.
        #[serde(default = "merge_policy")]
        merge_policy: String,
        /// What becomes of it when a feature is split.
        #[serde(default = "split_policy")]
        split_policy: String,
    },
    /// From one value to another.
    #[serde(rename_all = "camelCase")]
    Range {
        /// The name.
        name: String,
        /// A sentence for people.
        #[serde(default)]
        description: String,
        /// The least and the greatest.
        range: [Json; 2],
        /// What becomes of it when features are merged.
        #[serde(default = "merge_policy")]
        merge_policy: String,
        /// What becomes of it when a feature is split.
        #[serde(default = "split_policy")]
        split_policy: String,
    },
    /// In a type: what the field takes anyway.
    Inherited,
}

fn merge_policy() -> String {
    "esriMPTDefaultValue".to_owned()
}

fn split_policy() -> String {
    "esriSPTDefaultValue".to_owned()
}

impl Domain {
    /// The name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Domain::CodedValue { name, .. } | Domain::Range { name, .. } => Some(name),
            Domain::Inherited => None,
        }
    }
}

/// A value with its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodedValue {
    /// What a person reads.
    pub name: String,
    /// What is stored.
    pub code: Json,
}

/// The fields that say who edited a row, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EditFields {
    /// When the row was added.
    pub creation_date_field: Option<String>,
    /// Who added it.
    pub creator_field: Option<String>,
    /// When it was last edited.
    pub edit_date_field: Option<String>,
    /// Who last edited it.
    pub editor_field: Option<String>,
}

/// What may be done with rows that somebody else has added. Everything is allowed unless it says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OwnershipControl {
    /// Whether users see them.
    pub allow_others_to_query: bool,
    /// Whether users may change them.
    pub allow_others_to_update: bool,
    /// Whether users may delete them.
    pub allow_others_to_delete: bool,
    /// The same for who did not sign in, and so owns nothing; as for others if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_anonymous_to_query: Option<bool>,
    /// Whether they may change rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_anonymous_to_update: Option<bool>,
    /// Whether they may delete rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_anonymous_to_delete: Option<bool>,
}

impl Default for OwnershipControl {
    fn default() -> OwnershipControl {
        OwnershipControl {
            allow_others_to_query: true,
            allow_others_to_update: true,
            allow_others_to_delete: true,
            allow_anonymous_to_query: None,
            allow_anonymous_to_update: None,
            allow_anonymous_to_delete: None,
        }
    }
}

/// Rows that somebody sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowRule {
    /// The name of the user whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the role whose users it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether it is for who did not sign in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// The condition that the rows meet; all rows if `None`. `CURRENT_USER` is the name of who asks.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The condition that a row meets after they have added or changed it; the same as that of the rows that they see if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

impl RowRule {
    /// Whether it is for somebody.
    pub fn is_for(&self, who: &Principal) -> bool {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let (name, roles) = (who.name(), &who.roles);
        (self.anonymous && who.is_anonymous())
            || self.user.as_deref().is_some_and(|user| !who.is_anonymous() && same(user, name))
            || self.role.as_deref().is_some_and(|role| roles.iter().any(|known| same(role, known)))
    }
}

/// The fields that place a row in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeInfo {
    /// When it begins, or happens.
    pub start_time_field: Option<String>,
    /// When it ends.
    pub end_time_field: Option<String>,
    /// What makes several rows one thing that moves.
    pub track_id_field: Option<String>,
    /// The step of a time slider.
    pub time_interval: Option<f64>,
    /// Its unit.
    pub time_interval_units: Option<String>,
}

/// A type of features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeatureType {
    /// The value of the type field.
    pub id: Json,
    /// What a person reads.
    pub name: String,
    /// The domains of fields in features of this type.
    pub domains: BTreeMap<String, Domain>,
    /// What new features of the type are made from.
    pub templates: Vec<Template>,
}

/// A subtype of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subtype {
    /// The value of the subtype field.
    pub code: Json,
    /// What a person reads.
    pub name: String,
    /// What clients fill in for a new row of this subtype.
    pub default_values: BTreeMap<String, Json>,
    /// The domains of fields in rows of this subtype.
    pub domains: BTreeMap<String, Domain>,
}

/// What a client makes a new feature from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Template {
    /// What a person reads.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// The tool with which it is drawn; that of the geometry's type if `None`.
    pub drawing_tool: Option<String>,
    /// The attributes that it begins with.
    pub prototype: Prototype,
    /// A picture of it. Nothing in the server reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Json>,
}

/// The feature of a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prototype {
    /// Its attributes.
    pub attributes: BTreeMap<String, Json>,
}

/// What is said about a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceDefinition {
    /// A few sentences for people.
    pub description: Option<String>,
    /// Whose data it is.
    pub copyright_text: Option<String>,
    /// The most that clients may do with any layer, as a list with commas.
    pub capabilities: Option<String>,
    /// Whether geometries may be changed in any layer.
    pub allow_geometry_updates: Option<bool>,
    /// Whether the data never changes, so that clients may keep it.
    pub has_static_data: Option<bool>,
}

impl Definition {
    /// The definition as a document, without what it leaves out.
    pub fn document(&self) -> Result<Json, serde_json::Error> {
        let mut document = without_absent(serde_json::to_value(self)?);
        if let Some(Json::Array(fields)) = document.get_mut("fields") {
            fields.iter_mut().for_each(|field| *field = without_absent(field.take()));
        }
        Ok(document)
    }

    /// What is said about the field with this name.
    pub fn field(&self, name: &str) -> Option<&FieldDefinition> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

impl ServiceDefinition {
    /// The definition as a document, without what it leaves out.
    pub fn document(&self) -> Result<Json, serde_json::Error> {
        Ok(without_absent(serde_json::to_value(self)?))
    }
}

/// An object without members that are null or empty lists.
fn without_absent(mut object: Json) -> Json {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    object
}

/// What is to become of a layer: its definition, its columns, and its indexes.
#[derive(Clone, Debug, Default)]
pub struct LayerChange {
    /// The whole definition as it is to be.
    pub definition: Definition,
    /// Columns to add.
    pub new_fields: Vec<NewField>,
    /// Columns to drop.
    pub dropped_fields: Vec<String>,
    /// Indexes to make.
    pub new_indexes: Vec<NewIndex>,
    /// Indexes to drop.
    pub dropped_indexes: Vec<String>,
    /// Whether columns are dropped although replicas hold them.
    pub force: bool,
}

/// A column to add. It may be empty: rows that are there have no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// The most characters of a text; unlimited if `None`.
    pub length: Option<u32>,
}

/// A layer or table to make, with a table of its own in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLayer {
    /// The id that it is to have; the next one if `None`.
    pub id: Option<LayerId>,
    /// The name that people see.
    pub name: String,
    /// The name of the table.
    pub table: String,
    /// The column of object ids.
    pub object_id: String,
    /// The column of global ids.
    pub global_id: String,
    /// The other columns.
    pub fields: Vec<NewField>,
    /// The geometries; `None` for a table.
    pub shape: Option<NewShape>,
    /// Whether features can have attachments.
    pub attachments: bool,
    /// What is said about it beside its table.
    pub definition: Definition,
}

/// The geometries of a layer to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewShape {
    /// What they are.
    pub geometry_type: GeometryType,
    /// Their spatial reference.
    pub srid: i32,
    /// Whether vertices have heights.
    pub has_z: bool,
    /// Whether vertices have measures.
    pub has_m: bool,
}

impl NewShape {
    /// The name of their column.
    pub const COLUMN: &str = "shape";
}

/// A relationship that somebody declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The name that people see; made of the layers' if `None`.
    pub name: Option<String>,
    /// The layer of the rows that others belong to, and the name of the field that is their key.
    pub origin: (LayerId, String),
    /// The layer of the rows that belong, and the name of the field that holds the key.
    pub destination: (LayerId, String),
}

/// What is to be added to a service as a whole.
#[derive(Clone, Debug, Default)]
pub struct ServiceAdditions {
    /// New layers and tables.
    pub layers: Vec<NewLayer>,
    /// Relationships between layers that are there.
    pub relationships: Vec<Declaration>,
}

/// What is to be deleted from a service as a whole.
#[derive(Clone, Debug, Default)]
pub struct ServiceDeletions {
    /// Relationships, by their ids.
    pub relationships: Vec<i32>,
}

/// An index to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIndex {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub fields: Vec<String>,
    /// Whether values are to be unique.
    pub unique: bool,
}

/// An index of a table, as documents show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub fields: Vec<String>,
    /// Whether values are unique.
    pub unique: bool,
    /// Whether it ascends.
    pub ascending: bool,
    /// A sentence for people.
    pub description: String,
}

/// What is known of the table of a layer at a moment, beside what is published.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// A box that covers the rows; `None` if there are none.
    pub extent: Option<[f64; 4]>,
    /// From when to when the rows are, in milliseconds since 1970; `None` if there are none, or the layer has no time, or it would take
    /// long to find out.
    pub time_extent: Option<[i64; 2]>,
    /// The indexes.
    pub indexes: Vec<Index>,
    /// Since when the rows are known, in milliseconds since 1970.
    pub since_ms: i64,
    /// When the service was last edited, in milliseconds since 1970.
    pub edited_ms: Option<i64>,
}
