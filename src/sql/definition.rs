//! What a changed definition changes about a published table: columns and indexes.

use crate::model::{
    definition::{NewField, NewIndex},
    layer::Layer,
    value::FieldType,
};

use super::{fragment::Ident, publish::Ddl, select::table};

/// The statement that adds a column. Without a default, which would give rows a value without a trace.
pub(crate) fn add_column(layer: &Layer, field: &NewField) -> Ddl {
    let name = Ident::new(&field.name);
    Ddl::new(format!("alter table {} add column {} {}", table(layer).as_str(), name.as_str(), column_type(field)))
}

/// The statement that drops a column, unless something else in the database needs it.
pub(crate) fn drop_column(layer: &Layer, name: &str) -> Ddl {
    Ddl::new(format!("alter table {} drop column {}", table(layer).as_str(), Ident::new(name).as_str()))
}

/// The statement that makes an index.
pub(crate) fn add_index(layer: &Layer, index: &NewIndex) -> Ddl {
    let columns: Vec<String> = index.fields.iter().map(|name| Ident::new(name).as_str().to_owned()).collect();
    Ddl::new(format!(
        "create {}index {} on {} ({})",
        if index.unique { "unique " } else { "" },
        Ident::new(&index.name).as_str(),
        table(layer).as_str(),
        columns.join(", ")
    ))
}

/// The statement that drops an index.
pub(crate) fn drop_index(layer: &Layer, name: &str) -> Ddl {
    Ddl::new(format!("drop index {}", Ident::qualified(&layer.table_schema, name).as_str()))
}

/// The statement that makes the database fill nothing in for a column.
pub(crate) fn drop_default(layer: &Layer, name: &str) -> Ddl {
    Ddl::new(format!("alter table {} alter column {} drop default", table(layer).as_str(), Ident::new(name).as_str()))
}

fn column_type(field: &NewField) -> String {
    match (field.field_type, field.length) {
        (FieldType::SmallInteger, _) => "smallint".to_owned(),
        (FieldType::Integer | FieldType::ObjectId, _) => "integer".to_owned(),
        (FieldType::BigInteger, _) => "bigint".to_owned(),
        (FieldType::Single, _) => "real".to_owned(),
        (FieldType::Double, _) => "double precision".to_owned(),
        (FieldType::Boolean, _) => "boolean".to_owned(),
        (FieldType::Guid | FieldType::GlobalId, _) => "uuid".to_owned(),
        (FieldType::Date, _) => "timestamp with time zone".to_owned(),
        (FieldType::DateOnly, _) => "date".to_owned(),
        (FieldType::TimeOnly, _) => "time without time zone".to_owned(),
        (FieldType::TimestampOffset, _) => "syncline.timestamp_offset".to_owned(),
        (FieldType::Text, Some(length)) => format!("character varying({length})"),
        (FieldType::Text, None) => "text".to_owned(),
    }
}
