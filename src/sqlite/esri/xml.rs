//! Definitions of items: XML as genuine files have it, on one line.

use serde_json::Value as Json;

use crate::model::{definition::Domain, rules::EditTracking};

use super::{
    column::{Column, Kind},
    reference::SpatialReference,
};

/// A document or a part of one.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// A document whose outermost element is `name`.
    pub(super) fn document(name: &str, content: impl FnOnce(&mut Xml)) -> String {
        let mut xml = Xml(format!(
            "<{name} xsi:type='typens:{name}' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:xs='http://www.w3.org/2001/XMLSchema' \
             xmlns:typens='http://www.esri.com/schemas/ArcGIS/10.4'>"
        ));
        content(&mut xml);
        xml.0 + "</" + name + ">"
    }

    /// Appends an element with a text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Xml {
        self.open(name, "").escaped(text).close(name)
    }

    /// Appends `true` or `false`.
    pub(super) fn flag(&mut self, name: &str, flag: bool) -> &mut Xml {
        self.text(name, if flag { "true" } else { "false" })
    }

    /// Appends a number, as short as it reads back as itself.
    pub(super) fn number(&mut self, name: &str, number: f64) -> &mut Xml {
        self.text(name, &number.to_string())
    }

    /// Appends a whole number, with its type if there is one.
    pub(super) fn whole(&mut self, name: &str, xml_type: &str, number: i64) -> &mut Xml {
        self.open(name, xml_type).escaped(&number.to_string()).close(name)
    }

    /// Appends an element of a type with what `content` appends.
    pub(super) fn element(&mut self, name: &str, xml_type: &str, content: impl FnOnce(&mut Xml)) -> &mut Xml {
        self.open(name, xml_type);
        content(self);
        self.close(name)
    }

    /// Appends an element with names.
    pub(super) fn names(&mut self, name: &str, names: &[String]) -> &mut Xml {
        self.element(name, "typens:Names", |xml| {
            names.iter().for_each(|name| {
                xml.text("Name", name);
            });
        })
    }

    fn open(&mut self, name: &str, xml_type: &str) -> &mut Xml {
        self.0.push('<');
        self.0.push_str(name);
        if !xml_type.is_empty() {
            self.0.push_str(" xsi:type='");
            self.0.push_str(xml_type);
            self.0.push('\'');
        }
        self.0.push('>');
        self
    }

    fn close(&mut self, name: &str) -> &mut Xml {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    fn escaped(&mut self, text: &str) -> &mut Xml {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // What no document may have, not even escaped.
                c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }
}

/// The workspace.
pub(super) fn workspace() -> String {
    Xml::document("DEWorkspace", |xml| {
        xml.text("CatalogPath", "\\").text("Name", "").flag("ChildrenExpanded", false);
        xml.text("WorkspaceType", "esriLocalDatabaseWorkspace").text("WorkspaceFactoryProgID", "");
        xml.text("ConnectionString", "");
        xml.0.push_str("<ConnectionInfo xsi:nil='true'/>");
        xml.element("Domains", "typens:ArrayOfDomain", |_| ());
        xml.text("MajorVersion", "3").text("MinorVersion", "0").text("BugfixVersion", "0");
        xml.text("Realm", "").text("User", "OWNER");
    })
}

/// The moment from which there is history; `now` as ISO 8601 without a zone.
pub(super) fn marker(now: &str) -> String {
    Xml::document("GPHistoricalMarker", |xml| {
        xml.text("Name", "DEFAULT").element("TimeStamp", "xs:dateTime", |xml| {
            xml.escaped(now);
        });
    })
}

/// A domain under its name in the file, for fields like `column`. `None` if it is none of its own.
pub(super) fn domain(domain: &Domain, name: &str, column: &Column) -> Option<String> {
    let kind = column.kind;
    let head = |xml: &mut Xml, description: &str, merge: &str, split: &str| {
        xml.text("DomainName", name).text("FieldType", column.field_type());
        xml.text("MergePolicy", merge).text("SplitPolicy", split).text("Description", description).text("Owner", "");
    };
    match domain {
        Domain::CodedValue { description, coded_values, merge_policy, split_policy, .. } => {
            Some(Xml::document("GPCodedValueDomain2", |xml| {
                head(xml, description, merge_policy, split_policy);
                xml.element("CodedValues", "typens:ArrayOfCodedValue", |xml| {
                    for value in coded_values {
                        xml.element("CodedValue", "typens:CodedValue", |xml| {
                            xml.text("Name", &value.name).value("Code", kind, &value.code);
                        });
                    }
                });
            }))
        }
        Domain::Range { description, range: [least, greatest], merge_policy, split_policy, .. } => {
            Some(Xml::document("GPRangeDomain2", |xml| {
                head(xml, description, merge_policy, split_policy);
                xml.value("MaxValue", kind, greatest).value("MinValue", kind, least);
            }))
        }
        Domain::Inherited => None,
    }
}

impl Xml {
    /// Appends a value of a field.
    fn value(&mut self, name: &str, kind: Kind, value: &Json) -> &mut Xml {
        let xml_type = match kind {
            Kind::Short => "xs:short",
            Kind::ObjectId | Kind::Integer => "xs:int",
            Kind::Single => "xs:float",
            Kind::Double => "xs:double",
            Kind::Date => "xs:dateTime",
            _ => "xs:string",
        };
        let text = match (kind, value.as_str(), value.as_i64()) {
            (Kind::Date, None, Some(ms)) => iso(ms),
            (_, Some(text), _) => text.to_owned(),
            _ => value.to_string(),
        };
        self.element(name, xml_type, |xml| {
            xml.escaped(&text);
        })
    }
}

/// Milliseconds since 1970 as ISO 8601 to the second, without a zone.
pub(super) fn iso(ms: i64) -> String {
    let (mut day, mut time) = (Vec::new(), Vec::new());
    let days = i32::try_from(ms.div_euclid(86_400_000)).unwrap_or_default();
    crate::format::json::day(days, &mut day);
    crate::format::json::time_of_day(ms.rem_euclid(86_400_000) / 1000 * 1_000_000, &mut time);
    let bare = |text: Vec<u8>| String::from_utf8_lossy(&text).trim_matches('"').to_owned();
    format!("{}T{}", bare(day), bare(time))
}

/// What the definition of a class says beside its columns.
pub(super) struct Class<'a> {
    /// Its name, with `main.` before it.
    pub(super) name: &'a str,
    /// Its number among the items.
    pub(super) item: i64,
    /// Its fields: columns, aliases, domains, defaults, whether they can be written.
    pub(super) fields: Vec<ClassField<'a>>,
    /// The relationships that it takes part in.
    pub(super) relationships: Vec<String>,
    /// The fields that the server fills in, by their names.
    pub(super) tracking: Option<(EditTracking, &'a dyn Fn(usize) -> &'a str)>,
    /// Of features: the name of the geometry type, what vertices have, and where they are.
    pub(super) shape: Option<ClassShape<'a>>,
    /// Whether it keeps versions of its rows.
    pub(super) tracked: bool,
}

/// A field of a class.
pub(super) struct ClassField<'a> {
    /// Its column.
    pub(super) column: &'a Column,
    /// What a person reads.
    pub(super) alias: &'a str,
    /// The name of its domain.
    pub(super) domain: Option<&'a str>,
    /// What a client fills in.
    pub(super) default: Option<&'a Json>,
    /// Whether clients may write it.
    pub(super) editable: bool,
}

/// The geometries of a class.
pub(super) struct ClassShape<'a> {
    /// `esriGeometryPoint` and so on.
    pub(super) geometry_type: &'a str,
    /// The column.
    pub(super) column: &'a str,
    /// Whether vertices have heights and measures.
    pub(super) has: super::geometry::Ordinates,
    /// The box round them all.
    pub(super) extent: Option<[f64; 4]>,
    /// Where they are.
    pub(super) reference: &'a SpatialReference,
}

impl Class<'_> {
    /// The definition of a feature class or a table.
    pub(super) fn document(&self) -> String {
        let (root, dataset_type, class_id) = match &self.shape {
            Some(_) => ("DEFeatureClassInfo", "esriDTFeatureClass", "{52353152-891A-11D0-BEC6-00805F7C4268}"),
            None => ("DETableInfo", "esriDTTable", "{7A566981-C114-11D2-8A28-006097AFF44E}"),
        };
        Xml::document(root, |xml| {
            xml.head(self.name, dataset_type, self.item);
            let object_id = self.fields.iter().find(|field| field.column.kind == Kind::ObjectId);
            xml.flag("HasOID", true).text("OIDFieldName", object_id.map_or("", |field| &field.column.name));
            xml.element("GPFieldInfoExs", "typens:ArrayOfGPFieldInfoEx", |xml| {
                self.fields.iter().for_each(|field| xml.field(field));
            });
            xml.text("CLSID", class_id).text("EXTCLSID", "").names("RelationshipClassNames", &self.relationships);
            xml.text("AliasName", "").text("ModelName", "");
            let global_id = self.fields.iter().find(|field| field.column.kind == Kind::GlobalId);
            xml.flag("HasGlobalID", global_id.is_some());
            xml.text("GlobalIDFieldName", global_id.map_or("", |field| &field.column.name));
            xml.empty_extensions();
            self.tracking(xml);
            if let Some(shape) = &self.shape {
                xml.text("FeatureType", "esriFTSimple").text("ShapeType", shape.geometry_type);
                xml.text("ShapeFieldName", shape.column).flag("HasM", shape.has.m).flag("HasZ", shape.has.z);
                xml.flag("HasSpatialIndex", true).text("AreaFieldName", "").text("LengthFieldName", "");
                if let Some(extent) = shape.extent {
                    xml.element("Extent", "typens:EnvelopeN", |xml| {
                        xml.bounds(extent).reference(shape.reference);
                    });
                }
                xml.reference(shape.reference);
            }
            xml.flag("ChangeTracked", self.tracked)
                .flag("FieldFilteringEnabled", false)
                .names("FilteredFieldNames", &[]);
        })
    }

    fn tracking(&self, xml: &mut Xml) {
        let name = |field: fn(EditTracking) -> Option<usize>| {
            self.tracking.as_ref().and_then(|(tracking, name)| field(*tracking).map(name)).unwrap_or_default()
        };
        let (creator, created) = (name(|tracking| tracking.creator), name(|tracking| tracking.created));
        let (editor, edited) = (name(|tracking| tracking.editor), name(|tracking| tracking.edited));
        xml.flag("EditorTrackingEnabled", [creator, created, editor, edited].iter().any(|name| !name.is_empty()));
        xml.text("CreatorFieldName", creator).text("CreatedAtFieldName", created);
        xml.text("EditorFieldName", editor).text("EditedAtFieldName", edited).flag("IsTimeInUTC", true);
    }
}

impl Xml {
    /// Appends what the definitions of all datasets begin with.
    fn head(&mut self, name: &str, dataset_type: &str, item: i64) {
        self.text("CatalogPath", &format!("\\{name}")).text("Name", name).flag("ChildrenExpanded", false);
        self.text("DatasetType", dataset_type)
            .whole("DSID", "", item)
            .flag("Versioned", false)
            .flag("CanVersion", true);
        self.text("ConfigurationKeyword", "").text("RequiredGeodatabaseClientVersion", "10.2");
    }

    fn empty_extensions(&mut self) {
        self.text("RasterFieldName", "");
        self.element("ExtensionProperties", "typens:PropertySet", |xml| {
            xml.element("PropertyArray", "typens:ArrayOfPropertySetProperty", |_| ());
        });
        self.element("ControllerMemberships", "typens:ArrayOfControllerMembership", |_| ());
    }

    fn field(&mut self, field: &ClassField<'_>) {
        let column = field.column;
        self.element("GPFieldInfoEx", "typens:GPFieldInfoEx", |xml| {
            xml.text("Name", &column.name);
            if !matches!(column.kind, Kind::ObjectId | Kind::GlobalId | Kind::Shape) {
                xml.text("AliasName", field.alias);
            }
            xml.text("ModelName", &column.name);
            if let Some(domain) = field.domain {
                xml.text("DomainName", domain);
            }
            xml.text("FieldType", column.field_type());
            match field.default {
                Some(Json::String(text)) => {
                    xml.text("DefaultValueString", text);
                }
                Some(Json::Number(number)) => {
                    xml.text("DefaultValueNumeric", &number.to_string());
                }
                _ => {}
            }
            xml.flag("IsNullable", column.nullable);
            match column.kind {
                Kind::ObjectId => xml.flag("DomainFixed", true).flag("Required", true).flag("Editable", false),
                Kind::GlobalId => xml.flag("Required", true).flag("Editable", false),
                Kind::Shape => xml.flag("DomainFixed", true).flag("Required", true),
                _ if !field.editable => xml.flag("Editable", false),
                _ => xml,
            };
        });
    }

    /// Appends the four sides of a box.
    pub(super) fn bounds(&mut self, [xmin, ymin, xmax, ymax]: [f64; 4]) -> &mut Xml {
        self.number("XMin", xmin).number("YMin", ymin).number("XMax", xmax).number("YMax", ymax)
    }

    /// Appends a spatial reference.
    pub(super) fn reference(&mut self, reference: &SpatialReference) -> &mut Xml {
        let kind = match reference.geographic {
            true => "typens:GeographicCoordinateSystem",
            false => "typens:ProjectedCoordinateSystem",
        };
        let [(x, xy), (y, _), (z, z_units), (m, m_units)] = reference.grid.axes;
        self.element("SpatialReference", kind, |xml| {
            xml.text("WKT", &reference.wkt).number("XOrigin", x).number("YOrigin", y).number("XYScale", xy);
            xml.number("ZOrigin", z).number("ZScale", z_units).number("MOrigin", m).number("MScale", m_units);
            xml.text("XYTolerance", reference.tolerance).text("ZTolerance", "0.001").text("MTolerance", "0.001");
            xml.flag("HighPrecision", true);
            if reference.geographic {
                xml.text("LeftLongitude", "-180");
            }
            xml.whole("WKID", "", reference.wkid).whole("LatestWKID", "", reference.latest_wkid);
        })
    }
}

/// A relationship between two classes of the file.
pub(super) struct Relationship<'a> {
    /// Its name, with `main.` before it.
    pub(super) name: &'a str,
    /// Its number among the items.
    pub(super) item: i64,
    /// The class of the rows that others belong to, and their key.
    pub(super) origin: (&'a str, &'a str),
    /// The class of the rows that belong, and the field that holds the key.
    pub(super) destination: (&'a str, &'a str),
    /// Whether it is that of attachments to their features.
    pub(super) of_attachments: bool,
    /// What its two directions are called.
    pub(super) labels: (&'a str, &'a str),
    /// Whether no more than one row belongs to a row.
    pub(super) single: bool,
}

impl Relationship<'_> {
    /// The definition.
    pub(super) fn document(&self) -> String {
        Xml::document("DERelationshipClassInfo", |xml| {
            xml.head(self.name, "esriDTRelationshipClass", self.item);
            xml.flag("HasOID", false).text("OIDFieldName", "");
            xml.element("GPFieldInfoExs", "typens:ArrayOfGPFieldInfoEx", |_| ());
            xml.text("CLSID", "").text("EXTCLSID", "").names("RelationshipClassNames", &[]);
            xml.text("AliasName", "").text("ModelName", "");
            xml.flag("HasGlobalID", false).text("GlobalIDFieldName", "");
            xml.empty_extensions();
            let cardinality = if self.single { "esriRelCardinalityOneToOne" } else { "esriRelCardinalityOneToMany" };
            xml.text("Cardinality", cardinality).text("Notification", "esriRelNotificationNone");
            xml.flag("IsAttributed", false).flag("IsComposite", self.of_attachments);
            xml.names("OriginClassNames", &[self.origin.0.to_owned()]);
            xml.names("DestinationClassNames", &[self.destination.0.to_owned()]);
            xml.text("KeyType", "esriRelKeyTypeSingle").text("ClassKey", "esriRelClassKeyUndefined");
            xml.text("ForwardPathLabel", self.labels.0)
                .text("BackwardPathLabel", self.labels.1)
                .flag("IsReflexive", false);
            xml.element("OriginClassKeys", "typens:ArrayOfRelationshipClassKey", |xml| {
                let keys = [
                    (self.origin.1, "esriRelKeyRoleOriginPrimary"),
                    (self.destination.1, "esriRelKeyRoleOriginForeign"),
                ];
                for (key, role) in keys {
                    xml.element("RelationshipClassKey", "typens:RelationshipClassKey", |xml| {
                        xml.text("ObjectKeyName", key).text("ClassKeyName", "").text("KeyRole", role);
                    });
                }
            });
            xml.element("RelationshipRules", "typens:ArrayOfRelationshipRule", |_| ());
            xml.flag("IsAttachmentRelationship", self.of_attachments).flag("ChangeTracked", false);
        })
    }
}

/// A replica.
pub(super) struct Replica<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Its identity.
    pub(super) id: uuid::Uuid,
    /// The address of the service.
    pub(super) service: &'a str,
    /// Whether there is a generation for each layer.
    pub(super) per_layer: bool,
    /// Which way edits go.
    pub(super) direction: &'a str,
    /// When it was made, as [`iso`] has it.
    pub(super) created: &'a str,
    /// Whether it came with attachments.
    pub(super) attachments: bool,
    /// Which way attachments go.
    pub(super) attachments_direction: &'a str,
    /// Which part of the service it has: rings of x and y.
    pub(super) area: Option<(&'a [Vec<[f64; 2]>], &'a SpatialReference)>,
    /// Its layers and tables.
    pub(super) datasets: &'a [Dataset<'a>],
}

impl Replica<'_> {
    /// The definition.
    pub(super) fn document(&self) -> String {
        Xml::document("GPSyncReplica", |xml| {
            xml.text("ReplicaName", self.name).text("ID", "1");
            xml.text("ReplicaID", &self.id.braced().to_string()).text("ServiceName", self.service);
            xml.text("Owner", "").text("Role", "esriReplicaRoleChild");
            xml.text("SyncModel", if self.per_layer { "esriSyncModelPerLayer" } else { "esriSyncModelPerReplica" });
            xml.text("Direction", self.direction).text("CreationDate", self.created);
            xml.text("LastSyncDate", "1970-01-01T00:00:01").flag("ReturnsAttachments", self.attachments);
            xml.text("SpatialRelation", "esriSpatialRelIntersects");
            if let Some((rings, reference)) = self.area {
                xml.element("QueryGeometry", "typens:PolygonN", |xml| {
                    xml.flag("HasID", false).flag("HasZ", false).flag("HasM", false);
                    let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
                    for [x, y] in rings.iter().flatten() {
                        bounds = [bounds[0].min(*x), bounds[1].min(*y), bounds[2].max(*x), bounds[3].max(*y)];
                    }
                    xml.element("Extent", "typens:EnvelopeN", |xml| {
                        xml.bounds(bounds);
                    });
                    xml.element("RingArray", "typens:ArrayOfRing", |xml| rings.iter().for_each(|ring| xml.ring(ring)));
                    xml.reference(reference);
                });
            }
            xml.element("GPSyncDatasets", "typens:ArrayOfGPSyncDataset", |xml| {
                for dataset in self.datasets {
                    xml.element("GPSyncDataset", "typens:GPSyncDataset", |xml| dataset.write(xml));
                }
            });
            xml.text("AttachmentsSyncDirection", self.attachments_direction);
        })
    }
}

impl Xml {
    fn ring(&mut self, ring: &[[f64; 2]]) {
        self.element("Ring", "typens:Ring", |xml| {
            xml.element("PointArray", "typens:ArrayOfPoint", |xml| {
                for [x, y] in ring {
                    xml.element("Point", "typens:PointN", |xml| {
                        xml.number("X", *x).number("Y", *y);
                    });
                }
            });
        });
    }
}

/// A layer, a table or a table of attachments in a replica.
pub(super) struct Dataset<'a> {
    /// The number of its class among the items.
    pub(super) class: i64,
    /// The name of its table.
    pub(super) name: &'a str,
    /// Whether it has geometries.
    pub(super) is_feature_class: bool,
    /// The layer in the service.
    pub(super) layer: (i32, &'a str),
    /// Which way edits go.
    pub(super) direction: &'a str,
    /// The generation of the server that it is at.
    pub(super) generation: i64,
    /// Whether the replica's geometry chooses its rows.
    pub(super) use_geometry: bool,
    /// The condition that chooses them.
    pub(super) condition: Option<&'a str>,
    /// Whether rows come along that belong to others.
    pub(super) include_related: bool,
    /// `esriRowsTypeFilter` and so on.
    pub(super) option: &'a str,
    /// Whether it is a table of attachments, or has one.
    pub(super) attachments: (bool, bool),
}

impl Dataset<'_> {
    /// The definition.
    pub(super) fn document(&self) -> String {
        Xml::document("GPSyncDataset", |xml| self.write(xml))
    }

    fn write(&self, xml: &mut Xml) {
        xml.whole("DatasetID", "", self.class).text("DatasetName", self.name);
        xml.text("DatasetType", if self.is_feature_class { "esriDTFeatureClass" } else { "esriDTTable" });
        xml.whole("LayerID", "", self.layer.0.into()).text("LayerName", self.layer.1).text("Direction", self.direction);
        xml.whole("ReplicaServerGen", "xs:long", self.generation);
        for name in ["ReplicaClientDownloadGen", "ReplicaClientUploadGen", "ReplicaClientAcknowledgeUploadGen"] {
            xml.whole(name, "xs:long", super::table::CLIENT_GENERATION);
        }
        xml.flag("UseGeometry", self.use_geometry);
        if let Some(condition) = self.condition {
            xml.text("Where", condition);
        }
        xml.flag("IncludeRelated", self.include_related).text("QueryOption", self.option);
        match self.attachments {
            (true, _) => {
                xml.flag("IsAttachment", true);
            }
            (false, true) => {
                xml.flag("HasAttachments", true);
            }
            (false, false) => {}
        }
    }
}
