//! What a table in the database is: columns, keys, geometry, and what it lacks to be published.

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        geometry::{Dimensions, GeometryType},
        layer::{Field, Layer, ShapeColumn},
        value::FieldType,
    },
    sql::{
        fragment::Fragment,
        publish::{Ddl, Missing, complete},
    },
};

/// A table as it was found.
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    pub(super) object_id: Option<usize>,
    pub(super) global_id: Option<usize>,
    pub(super) global_id_unique: bool,
    pub(super) shape: Option<ShapeColumn>,
    pub(super) has_spatial_index: bool,
    /// What somebody should know.
    pub(super) notices: Vec<String>,
}

/// Describes a table that is to be published, and is not yet.
pub(super) async fn inspect(connection: &mut PgConnection, schema: &str, name: &str) -> Result<Table> {
    let table = describe(connection, schema, name, None).await?;
    let published = sqlx::query(
        "-- layer_find_by_table
         select s.name, l.layer_id from syncline.layer l join syncline.service s using (service_id) where l.table_schema = $1 and l.table_name = $2",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    if let Some(row) = published {
        let (service, layer): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
        return Err(Error::NotSupported(format!(
            "{schema}.{name} is published already, as layer {layer} of service {service}; unpublish it there first"
        )));
    }
    Ok(table)
}

/// Describes a table. `known` is the geometry column that was published: where the column declares nothing, and its rows do not agree, it stays
/// what it was, since rows that are odd today must not keep anybody from a repair.
pub(super) async fn describe(
    connection: &mut PgConnection,
    schema: &str,
    name: &str,
    known: Option<&ShapeColumn>,
) -> Result<Table> {
    let row = sqlx::query(
        "-- table_find
         select c.oid::int8, c.relkind::text, exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(&mut *connection)
    .await?
    .ok_or_else(|| {
        Error::NotFound(format!(
            "there is no table {schema}.{name} in the database; give it as schema.table, as \\d of psql shows it"
        ))
    })?;
    let (oid, kind): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    if kind != "r" {
        let what = match kind.as_str() {
            "v" | "m" => "a view",
            "p" => "a partitioned table",
            "f" => "a foreign table",
            _ => "not a table",
        };
        return Err(Error::NotSupported(format!(
            "{schema}.{name} is {what}; only ordinary tables can be published, since changes are recorded by triggers on them"
        )));
    }
    if row.try_get(2)? {
        return Err(Error::NotSupported(format!(
            "{schema}.{name} is a partition, or inherits from a table or is inherited from; edits made through the other table could not be recorded"
        )));
    }
    let mut table = Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        fields: Vec::new(),
        object_id: None,
        global_id: None,
        global_id_unique: false,
        shape: None,
        has_spatial_index: false,
        notices: Vec::new(),
    };
    inspect_columns(connection, oid, known, &mut table).await?;
    Ok(table)
}

/// The columns of a table, and what there is on each: indexes, defaults, a comment.
const COLUMN_LIST: &str = "-- column_list
         select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as column_type, t.typname::text as type_name,
           a.attnotnull as not_null, a.atthasdef or a.attidentity <> '' as has_default, a.attgenerated <> '' as generated,
           information_schema._pg_char_max_length(a.atttypid, a.atttypmod) as length, a.atttypmod as modifier,
           coalesce((select bool_or(i.indisprimary) from pg_index i where i.indrelid = a.attrelid and i.indisunique
             and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = a.attnum), false) as is_primary,
           exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indisvalid
             and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as is_unique,
           exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and not i.indimmediate
             and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as is_deferrable,
           exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
             where i.indrelid = a.attrelid and m.amname = 'gist' and i.indkey[0] = a.attnum) as has_gist,
           col_description(a.attrelid, a.attnum) as comment
         from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum";

async fn inspect_columns(
    connection: &mut PgConnection,
    oid: i64,
    known: Option<&ShapeColumn>,
    table: &mut Table,
) -> Result<()> {
    let rows = sqlx::query(COLUMN_LIST).bind(oid).fetch_all(&mut *connection).await?;
    let mut keys = Vec::new();
    for row in &rows {
        let name: String = row.try_get("name")?;
        let (type_name, column_type): (String, String) = (row.try_get("type_name")?, row.try_get("column_type")?);
        if name.starts_with("syncline_") {
            return Err(Error::NotSupported(format!(
                "column {name} of {}.{} has a reserved name; rename it",
                table.schema, table.name
            )));
        }
        if type_name == "geometry" {
            if table.shape.is_some() {
                table
                    .notices
                    .push(format!("geometry column {name} is not published: a layer has one geometry, the first"));
            } else {
                let found = inspect_shape(connection, table, &name, row.try_get("modifier")?).await;
                let known = known.filter(|known| known.column == name && !known.declared);
                table.shape = Some(match (found, known) {
                    (Err(Error::NotSupported(_)), Some(known)) => known.clone(),
                    (found, _) => found?,
                });
                table.has_spatial_index = row.try_get("has_gist")?;
            }
            continue;
        }
        let Some(field_type) = field_type(&type_name) else {
            table
                .notices
                .push(format!("column {name} is not published: type {column_type} has no counterpart in the API"));
            continue;
        };
        if type_name == "numeric" {
            table
                .notices
                .push(format!("column {name} ({column_type}) is shown as a double: about 15 digits are exact"));
        }
        let (is_primary, is_unique): (bool, bool) = (row.try_get("is_primary")?, row.try_get("is_unique")?);
        let not_null: bool = row.try_get("not_null")?;
        let index = table.fields.len();
        if matches!(type_name.as_str(), "int2" | "int4" | "int8") && is_unique && not_null {
            keys.push((index, is_primary, name.to_ascii_lowercase()));
        }
        if type_name == "uuid"
            && matches!(name.to_ascii_lowercase().as_str(), "globalid" | "global_id")
            && table.global_id.is_none()
        {
            table.global_id = Some(index);
            table.global_id_unique = is_unique;
            if row.try_get("is_deferrable")? {
                return Err(Error::NotSupported(format!(
                    "the unique constraint of {name} in {}.{} is deferrable, and then features cannot be put by it; make it again, not deferrable",
                    table.schema, table.name
                )));
            }
        }
        table.fields.push(found_field(row, name, field_type)?);
    }
    table.object_id = keys
        .iter()
        .find(|(_, is_primary, _)| *is_primary)
        .or_else(|| {
            keys.iter()
                .find(|(_, _, name)| matches!(name.as_str(), "objectid" | "fid" | "gid" | "ogc_fid" | "id" | "oid"))
        })
        .map(|(index, _, _)| *index);
    Ok(())
}

/// The field that a column of [`COLUMN_LIST`] is.
fn found_field(row: &PgRow, name: String, field_type: FieldType) -> Result<Field> {
    let comment: Option<String> = row.try_get("comment")?;
    Ok(Field {
        alias: comment.filter(|text| !text.is_empty() && text.len() <= 100).unwrap_or_else(|| name.clone()),
        name,
        field_type,
        column_type: row.try_get("column_type")?,
        length: row.try_get::<Option<i32>, _>("length")?.and_then(|length| u32::try_from(length).ok()),
        nullable: !row.try_get::<bool, _>("not_null")?,
        has_default: row.try_get("has_default")?,
        generated: row.try_get("generated")?,
    })
}

fn field_type(type_name: &str) -> Option<FieldType> {
    Some(match type_name {
        "int2" => FieldType::SmallInteger,
        "int4" => FieldType::Integer,
        "int8" => FieldType::BigInteger,
        "float4" => FieldType::Single,
        "float8" | "numeric" => FieldType::Double,
        "text" | "varchar" | "bpchar" => FieldType::Text,
        "bool" => FieldType::Boolean,
        "uuid" => FieldType::Guid,
        "timestamptz" | "timestamp" => FieldType::Date,
        "date" => FieldType::DateOnly,
        "time" => FieldType::TimeOnly,
        // The domain of this name, which a migration makes.
        "timestamp_offset" => FieldType::TimestampOffset,
        _ => return None,
    })
}

/// What a geometry column holds: from its declaration or, if that says nothing, from its rows.
async fn inspect_shape(
    connection: &mut PgConnection,
    table: &Table,
    column: &str,
    modifier: i32,
) -> Result<ShapeColumn> {
    let wrong = |problem: String| {
        Error::NotSupported(format!(
            "{problem}; declare it, for instance: alter table {}.{} alter column {column} type geometry(Point, 4326)",
            table.schema, table.name
        ))
    };
    let row = sqlx::query(
        "-- shape_declared\nselect postgis_typmod_type($1), postgis_typmod_srid($1), postgis_typmod_dims($1)",
    )
    .bind(modifier)
    .fetch_one(&mut *connection)
    .await?;
    let mut found = vec![(row.try_get::<String, _>(0)?.to_ascii_uppercase(), row.try_get::<i32, _>(1)?)];
    let declared = modifier >= 0 && found[0].0 != "GEOMETRY";
    if !declared {
        let mut statement = Fragment::new(
            "-- shape_found\nselect distinct upper(GeometryType(n.g)) || case ST_Zmflag(n.g) when 1 then 'M' when 2 then 'Z' when 3 then 'ZM' else '' end, ST_SRID(n.g) from (select ",
        );
        statement.ident(&crate::sql::fragment::Ident::new(column)).sql(" as g from ");
        statement
            .ident(&crate::sql::fragment::Ident::qualified(&table.schema, &table.name))
            .sql(") n where n.g is not null limit 20");
        found.clear();
        for row in statement.query()?.fetch_all(connection).await? {
            found.push((row.try_get(0)?, row.try_get(1)?));
        }
    }
    let Some((first, srid)) = found.first().cloned() else {
        return Err(wrong(format!("geometry column {column} declares no type, and has no rows to tell it by")));
    };
    if srid <= 0 {
        return Err(wrong(format!("geometry column {column} has no spatial reference")));
    }
    let dimensions = |name: &str| Dimensions {
        z: name.ends_with('Z') || name.ends_with("ZM"),
        m: name.ends_with('M') && !name.ends_with("GEOM"),
    };
    let mut kinds = Vec::new();
    for (name, other) in &found {
        let bare = name.trim_end_matches('M').trim_end_matches('Z');
        let kind = match bare {
            "POINT" => GeometryType::Point,
            "MULTIPOINT" => GeometryType::Multipoint,
            "LINESTRING" | "MULTILINESTRING" => GeometryType::Polyline,
            "POLYGON" | "MULTIPOLYGON" => GeometryType::Polygon,
            _ => {
                return Err(wrong(format!(
                    "geometry column {column} holds {bare}, which has no counterpart in the API"
                )));
            }
        };
        if *other != srid || dimensions(name) != dimensions(&first) {
            return Err(wrong(format!("geometry column {column} mixes spatial references or dimensions")));
        }
        kinds.push((kind, bare.starts_with("MULTI")));
    }
    let (geometry_type, _) = kinds[0];
    if kinds.iter().any(|(kind, _)| *kind != geometry_type) {
        return Err(wrong(format!("geometry column {column} mixes points, lines or polygons")));
    }
    let multi = kinds.iter().any(|(_, multi)| *multi) && geometry_type != GeometryType::Multipoint;
    Ok(ShapeColumn { column: column.to_owned(), geometry_type, multi, srid, dimensions: dimensions(&first), declared })
}

impl Table {
    /// The statements that add what tracking needs; the description of the table is brought up to what they make of it.
    pub(super) fn complete(&mut self) -> Vec<Ddl> {
        let mut statements = Vec::new();
        let mut add =
            |table: &Table, missing: &Missing<'_>| statements.extend(complete(&table.schema, &table.name, missing));
        match self.object_id {
            None => {
                let column = self.free_name("objectid");
                add(self, &Missing::ObjectId { column: &column });
                self.notices.push(format!("no integer key: column {column} was added"));
                self.object_id = Some(self.fields.len());
                self.fields.push(new_field(column, FieldType::ObjectId, "integer"));
            }
            Some(index) if !self.fields[index].has_default => {
                let column = self.fields[index].name.clone();
                add(self, &Missing::ObjectIdDefault { column: &column });
                self.notices
                    .push(format!("key {column} had no default: a sequence was added, so that new features get one"));
                self.fields[index].has_default = true;
            }
            Some(_) => {}
        }
        match self.global_id {
            None => {
                let column = self.free_name("globalid");
                add(self, &Missing::GlobalId { column: &column });
                self.notices.push(format!("no global id: column {column} was added"));
                self.global_id = Some(self.fields.len());
                self.fields.push(new_field(column, FieldType::GlobalId, "uuid"));
            }
            Some(index) => {
                let column = self.fields[index].name.clone();
                if self.fields[index].nullable {
                    add(self, &Missing::GlobalIdNotNull { column: &column });
                    self.fields[index].nullable = false;
                }
                if !self.global_id_unique {
                    add(self, &Missing::GlobalIdUnique { column: &column });
                }
                if !self.fields[index].has_default {
                    add(self, &Missing::GlobalIdDefault { column: &column });
                    self.fields[index].has_default = true;
                }
            }
        }
        if let Some(shape) = &self.shape
            && !self.has_spatial_index
        {
            let column = shape.column.clone();
            add(self, &Missing::SpatialIndex { column: &column });
        }
        for (index, field_type) in [(self.object_id, FieldType::ObjectId), (self.global_id, FieldType::GlobalId)] {
            if let Some(index) = index {
                self.fields[index].field_type = field_type;
            }
        }
        statements
    }

    /// The layer that this table makes, published as `before` was.
    pub(super) fn as_layer(&self, before: &Layer) -> Result<Layer> {
        let (Some(object_id), Some(global_id)) = (self.object_id, self.global_id) else {
            return Err(Error::internal("describing a layer", "its keys were not completed"));
        };
        Ok(Layer { shape: self.shape.clone(), fields: self.fields.clone(), object_id, global_id, ..before.clone() })
    }

    fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        let mut name = wanted.to_owned();
        let mut number = 1;
        while taken(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}

fn new_field(name: String, field_type: FieldType, column_type: &str) -> Field {
    Field {
        alias: name.clone(),
        name,
        field_type,
        column_type: column_type.to_owned(),
        length: None,
        nullable: false,
        has_default: true,
        generated: false,
    }
}
