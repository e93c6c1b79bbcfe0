//! The items of a mobile geodatabase: what there is in it, with definitions, and how they are related. They are written when the rows are in.

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    error::Result,
    format::vertices::{Outer, Vertices},
    model::{
        filter::QueryOption,
        geometry::GeometryType,
        replica::{AttachmentsDirection, SyncDirection, SyncModel},
    },
    sqlite::{
        cannot_write,
        geopackage::{self, Documents, Relation},
        insert::around,
    },
};

use super::{
    column::Kind,
    domains::Domains,
    geometry::{Encoder, Ordinates},
    reference::built_in,
    registry,
    table::Table,
    write::{Filling, Geodatabase, Rows, ordinates},
    xml::{self, Class, ClassField, ClassShape, Dataset, Relationship, Replica, iso},
};

const FOLDER: &str = "{F3783E6F-65CA-4514-8315-CE3985DAD3B1}";
const WORKSPACE: &str = "{C673FE0F-7280-404F-8532-20755DD8FC06}";
const HISTORICAL_MARKER: &str = "{DC64B6E4-DC0F-43BD-B4F5-F22385DCF055}";
const CODED_VALUE_DOMAIN: &str = "{8C368B12-A12E-4C7E-9638-C9C64E69E98F}";
const RANGE_DOMAIN: &str = "{C29DA988-8C3E-45F7-8B5C-18E51EE7BEB4}";
pub(super) const FEATURE_CLASS: &str = "{70737809-852C-4A03-9E22-2CECEA5B9BFA}";
pub(super) const TABLE: &str = "{CD06BC3B-789D-4C51-AAFA-A467912B8965}";
const RELATIONSHIP_CLASS: &str = "{B606A7E1-FA5B-439C-849C-6E9C2481537B}";
const SYNC_REPLICA: &str = "{5B966567-FB87-4DDE-938B-B4B37423539D}";
const SYNC_DATASET: &str = "{D86502F9-9758-45C6-9D23-6DD1A0107B47}";

const DATASET_IN_FOLDER: &str = "{DC78F1AB-34E4-43AC-BA47-1C4EABD0E7C7}";
const DOMAIN_IN_DATASET: &str = "{17E08ADB-2B31-4DCD-8FDD-DF529E88F843}";
const DATASETS_RELATED_THROUGH: &str = "{725BADAB-3452-491B-A795-55F32D67229C}";
const SYNC_DATASET_IN_SYNC_REPLICA: &str = "{CC28387C-441F-4D7C-A802-41A160317FE0}";
const DATASET_OF_SYNC_DATASET: &str = "{79CC71C8-B7D9-4141-9014-B6373E236ABB}";

/// A row of the items.
#[derive(Default)]
struct Item {
    kind: &'static str,
    name: String,
    path: String,
    properties: i64,
    subtypes: (Option<i64>, Option<i64>),
    info: (Option<String>, Option<String>),
    definition: Option<String>,
    shape: Option<Vec<u8>>,
    bounds: Option<[f64; 4]>,
    /// By default a new one.
    uuid: Option<Uuid>,
}

/// The items so far. The number of one is its position and one.
#[derive(Default)]
struct Items {
    list: Vec<(Uuid, Item)>,
    relations: Vec<(&'static str, Uuid, Uuid)>,
}

impl Items {
    fn push(&mut self, item: Item) -> Uuid {
        let uuid = item.uuid.unwrap_or_else(Uuid::new_v4);
        self.list.push((uuid, item));
        uuid
    }

    /// The number that the next one gets.
    fn next(&self) -> i64 {
        count(self.list.len()) + 1
    }
}

/// A class with where it stands in the items.
struct Known<'a> {
    rows: &'a Rows,
    item: i64,
    uuid: Uuid,
}

/// A relationship between tables of the file, by their positions.
struct Relating {
    name: String,
    origin: (Member, String),
    destination: (Member, String),
    labels: (String, String),
    single: bool,
}

/// A class of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    /// The features of the layer at this position.
    Features(usize),
    /// Their attachments.
    Attachments(usize),
}

/// Writes everything but rows. `name` is what the replica is called.
pub(super) fn write(file: &Geodatabase<'_, '_>, name: &str) -> Result<()> {
    let mut items = Items::default();
    let root = items.push(Item { kind: FOLDER, path: "\\".to_owned(), properties: 1, ..Item::default() });
    items.push(Item {
        kind: WORKSPACE,
        name: "Workspace".to_owned(),
        subtypes: (Some(1), None),
        definition: Some(xml::workspace()),
        ..Item::default()
    });
    items.push(Item {
        kind: HISTORICAL_MARKER,
        name: "DEFAULT".to_owned(),
        properties: 1,
        definition: Some(xml::marker(&iso(file.now_ms))),
        ..Item::default()
    });
    let domains = Domains::of(file);
    let mut domain_items = Vec::new();
    for domain in domains.iter() {
        domain_items.push(items.push(Item {
            kind: if domain.is_range() { RANGE_DOMAIN } else { CODED_VALUE_DOMAIN },
            name: domain.name.clone(),
            properties: 1,
            definition: domain.document(),
            ..Item::default()
        }));
    }
    let relations = relations(file);
    let classes = classes(file, &domains, &relations, &mut items)?;
    for known in &classes {
        items.relations.push((DATASET_IN_FOLDER, root, known.1.uuid));
    }
    for (member, known) in &classes {
        let Member::Features(position) = member else { continue };
        for domain in domains.of_layer(*position) {
            items.relations.push((DOMAIN_IN_DATASET, known.uuid, domain_items[domain]));
        }
    }
    for relation in &relations {
        relationship(relation, &classes, root, &mut items);
    }
    replica(file, name, &classes, &mut items)?;
    let connection = file.connection;
    let write = || -> rusqlite::Result<()> {
        let extent = items.list.iter().filter_map(|(_, item)| item.bounds).reduce(around);
        registry::write(file, (count(items.list.len()), count(items.relations.len())), extent)?;
        entries(connection, &items)?;
        services(file)?;
        connection.execute_batch(include_str!("indexes.sql"))
    };
    write().map_err(cannot_write)
}

/// The items of features, tables, and attachments, in the order in which they are registered.
fn classes<'f>(
    file: &'f Geodatabase<'_, '_>,
    domains: &Domains,
    relations: &[Relating],
    items: &mut Items,
) -> Result<Vec<(Member, Known<'f>)>> {
    let mut members = Vec::new();
    for (position, filling) in file.layers.iter().enumerate() {
        members.push((Member::Features(position), &filling.features));
        members.extend(filling.attachments.as_ref().map(|rows| (Member::Attachments(position), rows)));
    }
    members.sort_by_key(|(_, rows)| rows.table.registration);
    let mut classes = Vec::with_capacity(members.len());
    for (member, rows) in members {
        let item = items.next();
        let taking_part = relations.iter().filter(|it| it.origin.0 == member || it.destination.0 == member);
        let names = taking_part.map(|relation| relation.name.clone()).collect();
        let made = match member {
            Member::Features(position) => {
                let (planned, filling) = (&file.plan.tables[position], &file.layers[position]);
                feature_class(file, (planned, filling), &domains.names(position).collect::<Vec<_>>(), item, names)?
            }
            Member::Attachments(_) => attachments_class(&rows.table, item, names),
        };
        classes.push((member, Known { rows, item, uuid: items.push(made) }));
    }
    Ok(classes)
}

fn feature_class(
    file: &Geodatabase<'_, '_>,
    (planned, filling): (&geopackage::Table, &Filling<'_>),
    domains: &[(usize, &str)],
    item: i64,
    relationships: Vec<String>,
) -> Result<Item> {
    let (layer, table) = (&planned.layer, &filling.features.table);
    let name = format!("main.{}", table.name);
    let field_name = |index: usize| layer.fields[index].name.as_str();
    let fields = table.columns.iter().map(|column| {
        let index = layer.field_index(&column.name).filter(|_| column.kind != Kind::Shape);
        let defined = index.and_then(|_| layer.definition.field(&column.name));
        ClassField {
            column,
            alias: index.map_or(column.name.as_str(), |index| layer.fields[index].alias.as_str()),
            domain: index.and_then(|index| domains.iter().find(|(field, _)| *field == index)).map(|(_, name)| *name),
            default: defined.and_then(|field| field.default_value.as_ref()),
            editable: index.is_none_or(|index| layer.is_editable(index)),
        }
    });
    let shape = table.column(Kind::Shape).zip(layer.shape.as_ref()).map(|(column, shape)| ClassShape {
        geometry_type: geometry_type(shape.geometry_type).1,
        column: &column.name,
        has: ordinates(planned),
        extent: filling.extent,
        reference: &file.reference,
    });
    let class = Class {
        name: &name,
        item,
        fields: fields.collect(),
        relationships,
        tracking: Some((layer.rules.tracking, &field_name)),
        shape,
        tracked: table.tracked,
    };
    let definition = Some(class.document());
    let path = format!("\\{name}");
    let Some((column, shape)) = table.column(Kind::Shape).zip(layer.shape.as_ref()) else {
        return Ok(Item { kind: TABLE, name, path, properties: 1, definition, ..Item::default() });
    };
    let bounds = filling.extent.and_then(|extent| file.reference.to_degrees(extent));
    Ok(Item {
        kind: FEATURE_CLASS,
        name,
        path,
        properties: 1,
        subtypes: (Some(1), Some(geometry_type(shape.geometry_type).0)),
        info: (Some(column.name.clone()), None),
        definition,
        shape: outline(bounds, filling.extent.is_none())?,
        bounds,
        ..Item::default()
    })
}

/// The outline of a class in degrees: a box, an empty area, or nothing where it is not known.
fn outline(bounds: Option<[f64; 4]>, is_empty: bool) -> Result<Option<Vec<u8>>> {
    let Some(grid) = built_in(4326) else { return Ok(None) };
    let mut encoder = Encoder::new(grid, GeometryType::Polygon, Ordinates { z: false, m: false });
    let mut blob = Vec::new();
    match bounds {
        Some(bounds) => encoder.encode_box(bounds, &mut blob)?,
        None if is_empty => encoder.encode_nothing(&mut blob)?,
        None => return Ok(None),
    }
    Ok(Some(blob))
}

fn attachments_class(table: &Table, item: i64, relationships: Vec<String>) -> Item {
    let name = format!("main.{}", table.name);
    // Genuine definitions pass the bytes over.
    let fields = table.columns.iter().filter(|column| column.kind != Kind::Blob).map(|column| ClassField {
        column,
        alias: &column.name,
        domain: None,
        default: None,
        editable: true,
    });
    let class = Class {
        name: &name,
        item,
        fields: fields.collect(),
        relationships,
        tracking: None,
        shape: None,
        tracked: table.tracked,
    };
    let definition = Some(class.document());
    Item { kind: TABLE, path: format!("\\{name}"), name, properties: 1, definition, ..Item::default() }
}

/// The relationships of the plan, and those of attachments to their features.
fn relations(file: &Geodatabase<'_, '_>) -> Vec<Relating> {
    let mut made: Vec<Relating> = Vec::new();
    for Relation { name, origin, destination, single } in &file.plan.relations {
        let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(100).collect();
        let mut plain = format!("main.{plain}");
        while made.iter().any(|known| known.name.eq_ignore_ascii_case(&plain)) {
            plain.push('_');
        }
        let of_layer = |position: usize| file.plan.tables[position].layer.name.clone();
        made.push(Relating {
            name: plain,
            origin: (Member::Features(origin.0), origin.1.clone()),
            destination: (Member::Features(destination.0), destination.1.clone()),
            labels: (of_layer(destination.0), of_layer(origin.0)),
            single: *single,
        });
    }
    for (position, filling) in file.layers.iter().enumerate() {
        let global_id = filling.features.table.column(Kind::GlobalId);
        let (Some(_), Some(global_id)) = (&filling.attachments, global_id) else { continue };
        made.push(Relating {
            name: format!("main.{}__ATTACHREL", filling.features.table.name),
            origin: (Member::Features(position), global_id.name.clone()),
            destination: (Member::Attachments(position), "REL_GLOBALID".to_owned()),
            labels: ("attachment".to_owned(), "object".to_owned()),
            single: false,
        });
    }
    made
}

fn relationship(relation: &Relating, classes: &[(Member, Known<'_>)], root: Uuid, items: &mut Items) {
    let find = |wanted: Member| classes.iter().find(|(member, _)| *member == wanted).map(|(_, known)| known);
    let (Some(origin), Some(destination)) = (find(relation.origin.0), find(relation.destination.0)) else { return };
    let names = [origin, destination].map(|known| format!("main.{}", known.rows.table.name));
    let definition = Relationship {
        name: &relation.name,
        item: items.next(),
        origin: (&names[0], &relation.origin.1),
        destination: (&names[1], &relation.destination.1),
        of_attachments: matches!(relation.destination.0, Member::Attachments(_)),
        labels: (&relation.labels.0, &relation.labels.1),
        single: relation.single,
    }
    .document();
    let uuid = items.push(Item {
        kind: RELATIONSHIP_CLASS,
        path: format!("\\{}", relation.name),
        name: relation.name.clone(),
        properties: 1,
        // One to one, or to many; nobody is told of anything.
        subtypes: (Some(if relation.single { 1 } else { 2 }), Some(0)),
        definition: Some(definition),
        ..Item::default()
    });
    items.relations.push((DATASET_IN_FOLDER, root, uuid));
    items.relations.push((DATASETS_RELATED_THROUGH, origin.uuid, uuid));
    items.relations.push((DATASETS_RELATED_THROUGH, destination.uuid, uuid));
}

fn replica(file: &Geodatabase<'_, '_>, name: &str, classes: &[(Member, Known<'_>)], items: &mut Items) -> Result<()> {
    let Some(replica) = &file.plan.replica else { return Ok(()) };
    let area = file.details.area.as_deref().map(rings).transpose()?.flatten();
    let direction = direction(replica.direction);
    let mut datasets = Vec::with_capacity(classes.len());
    for (member, known) in classes {
        let (position, is_attachments) = match member {
            Member::Features(position) => (*position, false),
            Member::Attachments(position) => (*position, true),
        };
        let planned = &file.plan.tables[position];
        let Some(synced) = &planned.synced else { continue };
        datasets.push(Dataset {
            class: known.item,
            name: &known.rows.table.name,
            is_feature_class: known.rows.table.layer.is_some(),
            layer: (planned.layer.id.0, &planned.layer.name),
            direction,
            generation: synced.generation.get(),
            use_geometry: synced.query.use_geometry,
            condition: synced.query.where_clause.as_deref(),
            include_related: synced.query.include_related && !is_attachments,
            option: query_option(synced.query.option),
            attachments: (is_attachments, planned.attachments),
        });
    }
    let (came_with_attachments, attachments_direction) =
        file.details.attachments.unwrap_or((false, AttachmentsDirection::None));
    let definition = Replica {
        name,
        id: replica.id.0,
        service: &replica.service_url,
        per_layer: replica.model == SyncModel::PerLayer,
        direction,
        created: &iso(file.now_ms),
        attachments: came_with_attachments,
        attachments_direction: match attachments_direction {
            AttachmentsDirection::None => "esriAttachmentsSyncDirectionNone",
            AttachmentsDirection::Upload => "esriAttachmentsSyncDirectionUpload",
            AttachmentsDirection::Bidirectional => "esriAttachmentsSyncDirectionBidirectional",
        },
        area: area.as_deref().map(|rings| (rings, &file.reference)),
        datasets: &datasets,
    }
    .document();
    let item = items.push(Item {
        kind: SYNC_REPLICA,
        name: name.to_owned(),
        path: name.to_owned(),
        properties: 1,
        info: (Some(replica.service_url.clone()), Some(String::new())),
        definition: Some(definition),
        uuid: Some(replica.id.0),
        ..Item::default()
    });
    for dataset in &datasets {
        let uuid = items.push(Item {
            kind: SYNC_DATASET,
            name: dataset.name.to_owned(),
            path: format!("{name}\\{}", dataset.name),
            properties: 1,
            definition: Some(dataset.document()),
            ..Item::default()
        });
        items.relations.push((SYNC_DATASET_IN_SYNC_REPLICA, item, uuid));
        let class = classes.iter().find(|(_, known)| known.item == dataset.class);
        items.relations.extend(class.map(|(_, known)| (DATASET_OF_SYNC_DATASET, uuid, known.uuid)));
    }
    Ok(())
}

/// The rings of an area, outer ones clockwise. `None` if it is a point or a line, or what becomes of an area that crosses itself.
fn rings(ewkb: &[u8]) -> Result<Option<Vec<Vec<[f64; 2]>>>> {
    const POLYGON: u8 = 3;
    const MULTIPOLYGON: u8 = 6;
    if !matches!(ewkb.get(1), Some(&POLYGON | &MULTIPOLYGON)) {
        return Ok(None);
    }
    let mut vertices = Vertices::default();
    vertices.read(ewkb, Outer::Clockwise)?;
    Ok(Some(vertices.each_part().map(|(ring, _)| ring.iter().map(|[x, y, ..]| [*x, *y]).collect()).collect()))
}

fn entries(connection: &Connection, items: &Items) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(
        "INSERT INTO GDB_Items (ObjectID, UUID, Type, Name, PhysicalName, Path, Url, Properties, DatasetSubtype1, DatasetSubtype2, DatasetInfo1,
           DatasetInfo2, Definition, Shape) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut index = connection.prepare("INSERT INTO st_spindex__GDB_Items_Shape VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (number, (uuid, item)) in (1_i64..).zip(&items.list) {
        // The root alone has none.
        let url = (number > 1).then_some("");
        insert.execute(params![
            number,
            braced(*uuid),
            item.kind,
            item.name,
            item.name.to_uppercase(),
            item.path,
            url,
            item.properties,
            item.subtypes.0,
            item.subtypes.1,
            item.info.0,
            item.info.1,
            item.definition,
            item.shape
        ])?;
        if let Some([xmin, ymin, xmax, ymax]) = item.bounds {
            index.execute(params![number, xmin, xmax, ymin, ymax])?;
        }
    }
    let mut insert = connection.prepare("INSERT INTO GDB_ItemRelationships VALUES (?1, ?2, ?3, ?4, ?5, 1, NULL)")?;
    for (number, (kind, origin, destination)) in (1_i64..).zip(&items.relations) {
        insert.execute(params![number, braced(Uuid::new_v4()), kind, braced(*origin), braced(*destination)])?;
    }
    Ok(())
}

/// Enters the documents of the service and its layers, by which clients draw and edit.
fn services(file: &Geodatabase<'_, '_>) -> rusqlite::Result<()> {
    let Some(Documents { service, layers }) = &file.plan.documents else { return Ok(()) };
    let mut insert = file.connection.prepare("INSERT INTO GDB_ServiceItems VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?;
    insert.execute(params![1, 0, service, -1, file.details.service])?;
    for (number, (planned, document)) in (2_i64..).zip(file.plan.tables.iter().zip(layers)) {
        insert.execute(params![number, 1, document, planned.layer.id.0, planned.name])?;
    }
    Ok(())
}

/// The number of a geometry type in items, and its name.
pub(super) fn geometry_type(geometry: GeometryType) -> (i64, &'static str) {
    match geometry {
        GeometryType::Point => (1, "esriGeometryPoint"),
        GeometryType::Multipoint => (2, "esriGeometryMultipoint"),
        GeometryType::Polyline => (3, "esriGeometryPolyline"),
        GeometryType::Polygon => (4, "esriGeometryPolygon"),
    }
}

fn direction(direction: SyncDirection) -> &'static str {
    match direction {
        SyncDirection::Bidirectional => "esriSyncDirectionBidirectional",
        SyncDirection::Upload => "esriSyncDirectionUpload",
        SyncDirection::Download => "esriSyncDirectionDownload",
        SyncDirection::Snapshot => "esriSyncDirectionSnapshot",
    }
}

fn query_option(option: QueryOption) -> &'static str {
    match option {
        QueryOption::None => "esriRowsTypeNone",
        QueryOption::UseFilter => "esriRowsTypeFilter",
        QueryOption::All => "esriRowsTypeAll",
    }
}

/// A GUID in braces and capitals.
pub(super) fn braced(id: Uuid) -> String {
    id.braced().to_string().to_uppercase()
}

pub(super) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
