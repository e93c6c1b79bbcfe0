//! What the documents of a service say, as far as a holder of a replica needs it.

use serde_json::{Value as Json, json};

use super::{
    error::{Error, Result},
    geometry,
    http::Server,
    values,
};

/// A feature service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// What it offers for replicas.
    pub(crate) offers: Offers,
    /// Its spatial reference, as it says it.
    pub(crate) spatial_reference: Json,
    /// The extent of all that it has, with its spatial reference.
    pub(crate) full_extent: Json,
    /// Its layers and tables.
    pub(crate) layers: Vec<Layer>,
    /// The document, without layers.
    pub(crate) document: Json,
}

/// What a service offers to holders of replicas.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other, as in the API")]
pub(crate) struct Offers {
    /// Requests that run on their own.
    pub(crate) jobs: bool,
    /// A generation for each layer.
    pub(crate) per_layer: bool,
    /// Choosing what is sent which way.
    pub(crate) directions: bool,
    /// Choosing whether a refused edit undoes the others.
    pub(crate) rollback: bool,
    /// Choosing which way attachments go.
    pub(crate) attachment_directions: bool,
    /// Any edits at all.
    pub(crate) edits: bool,
    /// Files that are sent before they are named.
    pub(crate) uploads: bool,
}

/// A layer or a table.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Its number in the service.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// The kind of its geometries, and whether they have heights and measures. `None` for a table.
    pub(crate) geometry: Option<(geometry::Kind, bool, bool)>,
    /// The field of object ids.
    pub(crate) oid_field: String,
    /// The field of global ids.
    pub(crate) globalid_field: String,
    /// The fields that are carried along, object and global ids among them.
    pub(crate) fields: Vec<Field>,
    /// The names of those that are not.
    pub(crate) left_out: Vec<String>,
    /// Whether its features have attachments.
    pub(crate) has_attachments: bool,
    /// Whether its rows belong to rows of other layers.
    pub(crate) is_destination: bool,
    /// The document.
    pub(crate) document: Json,
}

/// A field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: String,
    /// What people call it.
    pub(crate) alias: Option<String>,
    /// What its values are.
    pub(crate) kind: values::Kind,
    /// How many characters a text may have.
    pub(crate) length: Option<i64>,
    /// What its values may be.
    pub(crate) domain: Json,
    /// Whether clients may set it.
    pub(crate) editable: bool,
}

impl Service {
    /// Asks a server for a service's documents, those of some layers or of all.
    pub(crate) fn ask(server: &Server, wanted: &[String]) -> Result<Service> {
        let document = server.document(server.url.as_str(), &[])?;
        let listed: Vec<&Json> =
            ["layers", "tables"].iter().filter_map(|key| document[*key].as_array()).flatten().collect();
        if document.get("layers").is_none() && document.get("tables").is_none() {
            return Err(Error::Unfit(format!(
                "{} is not a feature service; the address must end in /FeatureServer",
                server.url
            )));
        }
        let offers = Offers::read(&document);
        if !has(&document, "Sync") && document["syncEnabled"] != true {
            return Err(Error::Unfit(
                "the service offers no synchronization (no 'Sync' among its capabilities); ask its owner to enable it"
                    .to_owned(),
            ));
        }
        let mut chosen = Vec::new();
        for name in wanted {
            let found = listed.iter().find(|layer| {
                layer["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
                    || layer["id"].as_i64().is_some_and(|id| name.trim().parse() == Ok(id))
            });
            chosen.push(*found.ok_or_else(|| {
                let known: Vec<String> = listed
                    .iter()
                    .map(|layer| format!("{} ({})", layer["id"], layer["name"].as_str().unwrap_or("?")))
                    .collect();
                Error::Unfit(format!("--layers: the service has no layer '{name}'; there are {}", known.join(", ")))
            })?);
        }
        if wanted.is_empty() {
            // Groups have no rows of their own.
            chosen =
                listed.into_iter().filter(|layer| layer["subLayerIds"].as_array().is_none_or(Vec::is_empty)).collect();
        }
        let mut layers = Vec::new();
        for layer in chosen {
            let id = layer["id"].as_i64().ok_or_else(|| Error::Protocol("a layer without an id".to_owned()))?;
            layers.push(Layer::read(server.document(&server.at(&id.to_string()), &[])?)?);
        }
        if layers.is_empty() {
            return Err(Error::Unfit("the service has no layers".to_owned()));
        }
        Ok(Service {
            offers,
            spatial_reference: document["spatialReference"].clone(),
            full_extent: document["fullExtent"].clone(),
            layers,
            document,
        })
    }
}

impl Offers {
    /// Reads them out of a service's document.
    pub(crate) fn read(document: &Json) -> Offers {
        let sync = &document["syncCapabilities"];
        Offers {
            jobs: sync["supportsAsync"] == true || sync["supportsASync"] == true,
            per_layer: sync["supportsPerLayerSync"] == true,
            directions: sync["supportsSyncDirectionControl"] == true,
            rollback: sync["supportsRollbackOnFailure"] == true,
            attachment_directions: sync["supportsAttachmentsSyncDirection"] == true,
            edits: ["Create", "Update", "Delete", "Editing"].iter().any(|word| has(document, word)),
            uploads: ["Create", "Update", "Uploads"].iter().any(|word| has(document, word)),
        }
    }
}

/// Whether a document lists a capability.
pub(crate) fn has(document: &Json, capability: &str) -> bool {
    let listed = document["capabilities"].as_str().unwrap_or_default();
    listed.split(',').any(|word| word.trim().eq_ignore_ascii_case(capability))
}

impl Layer {
    /// Reads a layer's document.
    pub(crate) fn read(document: Json) -> Result<Layer> {
        let text = |key: &str| document[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let id = document["id"].as_i64().ok_or_else(|| Error::Protocol("a layer without an id".to_owned()))?;
        let name = text("name").unwrap_or_else(|| format!("layer {id}"));
        let (mut fields, mut left_out) = (Vec::new(), Vec::new());
        for field in document["fields"].as_array().into_iter().flatten() {
            let Some(field_name) = field["name"].as_str() else { continue };
            let kind = field["type"].as_str().unwrap_or_default();
            match values::Kind::from_name(kind) {
                Some(kind) => fields.push(Field {
                    name: field_name.to_owned(),
                    alias: field["alias"].as_str().map(str::to_owned).filter(|alias| alias != field_name),
                    kind,
                    length: field["length"].as_i64().filter(|_| kind == values::Kind::Text),
                    domain: field["domain"].clone(),
                    editable: field["editable"] != false,
                }),
                None if kind == "esriFieldTypeGeometry" => {}
                None => left_out.push(field_name.to_owned()),
            }
        }
        let of_kind = |kind| fields.iter().find(|field: &&Field| field.kind == kind).map(|field| field.name.clone());
        let oid_field = text("objectIdField").or_else(|| of_kind(values::Kind::ObjectId));
        let globalid_field = text("globalIdField").or_else(|| of_kind(values::Kind::GlobalId));
        let (Some(oid_field), Some(globalid_field)) = (oid_field, globalid_field) else {
            return Err(Error::Unfit(format!(
                "layer {id} ({name}) has no global ids, without which it cannot be synchronized"
            )));
        };
        // The two keys are what the document says they are, whatever their types are called.
        for field in &mut fields {
            if field.name == oid_field {
                field.kind = values::Kind::ObjectId;
            } else if field.name == globalid_field {
                field.kind = values::Kind::GlobalId;
            }
        }
        let geometry = match text("geometryType") {
            None => None,
            Some(name) => {
                let kind = geometry::Kind::from_name(&name).ok_or_else(|| {
                    Error::Unfit(format!("layer {id} has geometries of type {name}, which this program does not know"))
                })?;
                Some((kind, document["hasZ"] == true, document["hasM"] == true))
            }
        };
        let is_destination = document["relationships"].as_array().is_some_and(|relationships| {
            relationships.iter().any(|relationship| relationship["role"] == "esriRelRoleDestination")
        });
        Ok(Layer {
            id,
            name,
            geometry,
            oid_field,
            globalid_field,
            fields,
            left_out,
            has_attachments: document["hasAttachments"] == true,
            is_destination,
            document,
        })
    }

    /// The name of the geometry column, if the document has one.
    pub(crate) fn shape_field(&self) -> String {
        let named = self.document["geometryField"]["name"].as_str().map(str::to_owned);
        let typed = || {
            let fields = self.document["fields"].as_array()?;
            fields.iter().find(|field| field["type"] == "esriFieldTypeGeometry")?["name"].as_str().map(str::to_owned)
        };
        named.or_else(typed).unwrap_or_else(|| "SHAPE".to_owned())
    }
}

/// The number of a spatial reference: EPSG's where there is one.
pub(crate) fn wkid(reference: &Json) -> Option<i32> {
    let number = |key: &str| reference[key].as_i64().or_else(|| reference[key].as_str()?.parse().ok());
    let found = number("latestWkid").or_else(|| number("wkid"))?;
    match found {
        102_100 | 102_113 | 900_913 => Some(3857),
        found => i32::try_from(found).ok().filter(|wkid| *wkid > 0),
    }
}

/// A spatial reference as a parameter.
pub(crate) fn reference(srs_id: i32) -> String {
    json!({"wkid": srs_id}).to_string()
}
