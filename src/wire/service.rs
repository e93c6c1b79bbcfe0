//! Documents about services and layers.
//!
//! API reference: *Feature Service*, *Layer (Feature Service)*. Only what this version does is advertised. Where real servers have
//! two spellings of a key, both are there.

use serde_json::{Value as Json, json};

use crate::model::{
    attachment::AttachmentInfo,
    capability::Capabilities,
    data_format::DataFormat,
    definition::Facts,
    geometry::GeometryType,
    id::{Generation, LayerKey},
    layer::{Layer, Service},
    principal::Access,
    query::Columns,
};

use super::{
    describe::{cardinality, editor_tracking, field, indexes, key_field, ownership, put_definition, relationships},
    geometry::{spatial_reference, type_name},
    query::MAX_RECORD_COUNT,
};

/// The version of the API whose documents and parameters these are.
pub(crate) const CURRENT_VERSION: f64 = 10.91;

/// The formats in which data is given without a replica, whatever is installed beside.
const EXPORT_FORMATS: &str = "json,sqlite,geoPackage,featureCollection";

/// The formats in which a layer's features are given, as clients look for them: one of them only in this spelling.
const QUERY_FORMATS: &str = "JSON, geoJSON, PBF";

/// `rest/info`. `tokens` is where tokens are to be had for passwords, if anybody can sign in.
pub(crate) fn info(tokens: Option<&str>) -> Json {
    let auth = match tokens {
        None => json!({"isTokenBasedSecurity": false}),
        Some(url) => json!({"isTokenBasedSecurity": true, "tokenServicesUrl": url, "shortLivedTokenValidity": 60}),
    };
    json!({
        "currentVersion": CURRENT_VERSION,
        "fullVersion": "10.9.1",
        "authInfo": auth,
        "product": "Syncline",
        "productVersion": env!("CARGO_PKG_VERSION"),
    })
}

/// `rest/services`, with the services that whoever asks may see.
pub(crate) fn catalogue<'a>(services: impl Iterator<Item = &'a Service>) -> Json {
    let services: Json = services.map(|service| json!({"name": service.name, "type": "FeatureServer"})).collect();
    json!({"currentVersion": CURRENT_VERSION, "folders": [], "services": services})
}

/// A feature service.
pub(crate) fn service(service: &Service, facts: &[Facts], current: Generation, oldest: &[Generation]) -> Json {
    let srid = service.srid();
    let of_service: Vec<[f64; 4]> = service
        .layers
        .iter()
        .zip(facts)
        .filter(|(layer, _)| layer.shape.as_ref().is_some_and(|shape| shape.srid == srid))
        .filter_map(|(_, facts)| facts.extent)
        .collect();
    let union = of_service.into_iter().reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    let extent = extent_json(union, srid);
    let (layers, tables): (Vec<_>, Vec<_>) = service.layers.iter().partition(|layer| layer.shape.is_some());
    let entry = |layer: &Layer| {
        let mut entry = json!({
            "id": layer.id.0, "name": layer.name, "parentLayerId": -1,
            "defaultVisibility": layer.definition.default_visibility.unwrap_or(true), "subLayerIds": null,
            "minScale": layer.definition.min_scale.unwrap_or(0.0), "maxScale": layer.definition.max_scale.unwrap_or(0.0),
            "type": type_of(layer),
        });
        if let Some(shape) = &layer.shape {
            entry["geometryType"] = type_name(shape.geometry_type).into();
        }
        entry
    };
    let generations: Json = service
        .layers
        .iter()
        .zip(oldest)
        .map(|(layer, oldest)| json!({"id": layer.id.0, "minServerGen": oldest.get(), "serverGen": current.get()}))
        .collect();
    json!({
        "currentVersion": CURRENT_VERSION,
        "serviceDescription": service.description,
        "hasVersionedData": false,
        "hasArchivedData": false,
        "hasBranchVersionedData": false,
        "supportsDisconnectedEditing": false,
        "supportsDatumTransformation": false,
        "supportsReturnDeleteResults": true,
        "hasStaticData": service.definition.has_static_data.unwrap_or(false),
        "hasSharedDomains": false,
        "supportsSharedDomains": false,
        "supportsQueryDomains": true,
        "supportsQueryDataElements": false,
        "supportsRelationshipsResource": true,
        "maxRecordCount": MAX_RECORD_COUNT,
        "supportedQueryFormats": "JSON",
        "supportedExportFormats": EXPORT_FORMATS,
        "supportsAppend": true,
        "supportsApplyEditsWithGlobalIds": true,
        "supportsTrueCurve": false,
        "capabilities": service.capabilities.to_string(),
        "description": service.description,
        "copyrightText": service.definition.copyright_text.as_deref().unwrap_or_default(),
        "spatialReference": spatial_reference(srid),
        "initialExtent": extent,
        "fullExtent": extent,
        "allowGeometryUpdates": service.definition.allow_geometry_updates.unwrap_or(true),
        "allowTrueCurvesUpdates": false,
        "onlyAllowTrueCurveUpdatesByTrueCurveClients": true,
        "supportedCurveTypes": [],
        "supportsVCSProjection": false,
        "allowUpdateWithoutMValues": true,
        "units": units(srid),
        "syncEnabled": service.capabilities.sync,
        "syncCapabilities": sync_capabilities(service.capabilities.extract),
        "extractChangesCapabilities": extract_changes_capabilities(),
        "changeTrackingInfo": {"lastSyncDate": null, "layerServerGens": generations},
        "editorTrackingInfo": editor_tracking(service),
        "advancedEditingCapabilities": {"supportsAsyncApplyEdits": true, "supportsReturnEditResults": true},
        "documentInfo": {"Title": service.name, "Author": "", "Comments": "", "Subject": "", "Category": "", "Keywords": ""},
        "layers": layers.iter().map(|layer| entry(layer)).collect::<Json>(),
        "tables": tables.iter().map(|layer| entry(layer)).collect::<Json>(),
        "relationships": relationships(service)["relationships"],
        "enableZDefaults": false,
        "zDefault": 0,
        "datesInUnknownTimezone": false,
        "preferredTimeReference": null,
        "cacheMaxAge": 0,
    })
}

/// Adds the formats that are written with the help of other programs to those of a service, of a layer or of all layers.
pub(crate) fn add_export_formats(document: &mut Json, formats: &[DataFormat]) {
    let Some(members) = document.as_object_mut() else { return };
    if members.contains_key("supportedExportFormats") {
        let all = std::iter::once(EXPORT_FORMATS).chain(formats.iter().map(|format| format.name()));
        members.insert("supportedExportFormats".to_owned(), all.collect::<Vec<_>>().join(",").into());
    }
    for name in ["layers", "tables"] {
        for layer in members.get_mut(name).and_then(Json::as_array_mut).into_iter().flatten() {
            add_export_formats(layer, formats);
        }
    }
}

/// The members of documents that say that something can be edited.
const OF_EDITING: [&str; 8] = [
    "supportsAppend",
    "supportsApplyEditsWithGlobalIds",
    "supportsCalculate",
    "supportsAsyncCalculate",
    "supportsAsyncDelete",
    "supportsRollbackOnFailureParameter",
    "supportsAttachmentsByUploadId",
    "supportsBiDirectionalSyncForServer",
];

/// Takes out of the document of a service, of a layer or of all layers what whoever asks may not do.
pub(crate) fn limit(document: &mut Json, access: Access) {
    let Some(members) = document.as_object_mut() else { return };
    if let Some(Json::String(list)) = members.get("capabilities") {
        // What a document lists was written by the same type that reads it here.
        let listed = Capabilities::parse(list).unwrap_or(Capabilities::NONE);
        members.insert("capabilities".to_owned(), listed.and(access.capabilities()).to_string().into());
    }
    let mut deny = |name: &str| {
        if let Some(value) = members.get_mut(name) {
            *value = false.into();
        }
    };
    if access < Access::Edit {
        OF_EDITING.into_iter().for_each(&mut deny);
    }
    if access < Access::Manage {
        deny("supportsTruncate");
    }
    for name in ["layers", "tables"] {
        for layer in members.get_mut(name).and_then(Json::as_array_mut).into_iter().flatten() {
            limit(layer, access);
        }
    }
}

/// What of the sync protocol there is.
fn sync_capabilities(extract: bool) -> Json {
    json!({
        "supportsAsync": true,
        "supportsASync": true,
        "supportsRegisteringExistingData": true,
        "supportsSyncDirectionControl": true,
        "supportsPerLayerSync": true,
        "supportsPerReplicaSync": true,
        "supportsSyncModelNone": extract,
        "supportsRollbackOnFailure": true,
        "supportsAttachmentsSyncDirection": true,
        "supportsBiDirectionalSyncForServer": true,
        "supportedSyncDataOptions": 0,
        "advancedReplicasResourceCapabilities": {
            "supportsVersion": false, "supportsReturnVersion": false, "supportsReturnLastSyncDate": true,
        },
    })
}

/// What of extractChanges there is. One of the keys has two names in the documents.
fn extract_changes_capabilities() -> Json {
    json!({
        "supportsReturnIdsOnly": true,
        "supportsReturnExtentOnly": true,
        "supportsReturnAttachments": true,
        "supportsLayerQueries": true,
        "supportsGeometry": true,
        "supportsSpatialFilter": true,
        "supportsReturnFeature": true,
        "supportsReturnHasGeometryUpdates": true,
        "supportsFieldsToCompare": true,
        "supportsServerGens": true,
    })
}

/// All layers and tables in full.
pub(crate) fn layers(service: &Service, facts: &[Facts]) -> Json {
    let (layers, tables): (Vec<_>, Vec<_>) =
        service.layers.iter().zip(facts).partition(|(layer, _)| layer.shape.is_some());
    json!({
        "layers": layers.iter().map(|(shown, facts)| layer(service, shown, facts)).collect::<Json>(),
        "tables": tables.iter().map(|(shown, facts)| layer(service, shown, facts)).collect::<Json>(),
    })
}

/// A layer or table.
pub(crate) fn layer(service: &Service, layer: &Layer, facts: &Facts) -> Json {
    let mut shown = json!({
        "currentVersion": CURRENT_VERSION,
        "id": layer.id.0,
        "name": layer.name,
        "type": type_of(layer),
        "parentLayer": null,
        "definitionExpression": "",
        "relationships": relationships_of(service, layer),
        "isDataVersioned": false,
        "isDataBranchVersioned": false,
        "isDataArchived": false,
        "archivingInfo": {"supportsQueryWithHistoricMoment": true, "startArchivingMoment": facts.since_ms},
        "syncCanReturnChanges": true,
        "supportsRollbackOnFailureParameter": true,
        "supportsApplyEditsWithGlobalIds": true,
        "supportsStatistics": true,
        "supportsAdvancedQueries": true,
        "supportsCoordinatesQuantization": layer.shape.is_some(),
        "supportsQuantizationEditMode": layer.shape.is_some(),
        "supportsCalculate": true,
        "supportsAsyncCalculate": true,
        "supportsAsyncDelete": true,
        "supportsReturnDeleteResults": true,
        "supportsTruncate": true,
        "supportsAppend": true,
        "supportedAppendFormats": "featureCollection,geojson,csv",
        "supportsValidateSQL": true,
        "supportsValidateSql": true,
        "advancedEditingCapabilities": {"supportsAsyncApplyEdits": true, "supportsReturnEditResults": true},
        "supportsAttachmentsByUploadId": layer.attachments.is_some(),
        "hasAttachments": layer.attachments.is_some(),
        "objectIdField": layer.object_id_field().name,
        "uniqueIdField": {"name": layer.object_id_field().name, "isSystemMaintained": true},
        "globalIdField": layer.global_id_field().name,
        "fields": layer.visible_fields().map(|index| field(layer, index)).collect::<Json>(),
        "indexes": indexes(layer, &facts.indexes),
        "maxRecordCountFactor": 1,
        "supportedQueryFormats": QUERY_FORMATS,
        "supportedExportFormats": EXPORT_FORMATS,
        "useStandardizedQueries": true,
        "advancedQueryCapabilities": query_capabilities(layer),
        "ownershipBasedAccessControlForFeatures": ownership(layer),
        "allowTrueCurvesUpdates": false,
        "onlyAllowTrueCurveUpdatesByTrueCurveClients": true,
        "enableZDefaults": false,
        "zDefault": 0,
        "datesInUnknownTimezone": false,
        "dateFieldsTimeReference": {"timeZone": "UTC", "timeZoneIANA": "Etc/UTC", "respectsDaylightSaving": false},
        "infoInEstimates": [],
        "isDataReplicaTracked": true,
        "hasContingentValuesDefinition": false,
        "hasGeometryProperties": false,
        "canModifyLayer": false,
        "canScaleSymbols": false,
        "hasLabels": false,
        "hasMetadata": false,
        "cacheMaxAge": 0,
    });
    if let Some(members) = shown.as_object_mut() {
        put_definition(layer, facts, members);
        if let Some(edited_ms) = facts.edited_ms {
            let dates = json!({"lastEditDate": edited_ms, "dataLastEditDate": edited_ms});
            members.insert("editingInfo".to_owned(), dates);
        }
    }
    if let (Some(_), Some(members)) = (&layer.attachments, shown.as_object_mut()) {
        let property = |name: &str, on: bool| json!({"name": name, "isEnabled": on});
        let properties =
            [("name", true), ("size", true), ("contentType", true), ("keywords", true), ("exifInfo", false)];
        members.insert(
            "attachmentProperties".to_owned(),
            properties.map(|(name, on)| property(name, on)).into_iter().collect(),
        );
    }
    if let (Some(shape), Some(members)) = (&layer.shape, shown.as_object_mut()) {
        members.insert("geometryType".to_owned(), type_name(shape.geometry_type).into());
        members.insert("hasZ".to_owned(), shape.dimensions.z.into());
        members.insert("hasM".to_owned(), shape.dimensions.m.into());
        members.insert("extent".to_owned(), extent_json(facts.extent, shape.srid));
        members.insert("sourceSpatialReference".to_owned(), spatial_reference(shape.srid));
    }
    shown
}

/// What of `query` and its kin there is.
fn query_capabilities(layer: &Layer) -> Json {
    let spatial = layer.shape.is_some();
    let is_polygon = layer.shape.as_ref().is_some_and(|shape| shape.geometry_type == GeometryType::Polygon);
    json!({
        "supportsPagination": true,
        "supportsPaginationOnAggregatedQueries": true,
        "supportsOrderBy": true,
        "supportsStatistics": true,
        "supportsPercentileStatistics": true,
        "supportsHavingClause": true,
        "supportsDistinct": true,
        "supportsCountDistinct": true,
        "supportsReturningQueryExtent": spatial,
        "supportsQueryWithDistance": spatial,
        "supportsDisjointSpatialRel": spatial,
        "supportsDefaultSR": spatial,
        "supportsQueryWithResultType": true,
        "supportsMaxRecordCountFactor": true,
        "supportsQueryWithHistoricMoment": true,
        "supportsQueryRelatedPagination": true,
        "supportsAdvancedQueryRelated": true,
        "supportsQueryAttachments": layer.attachments.is_some(),
        "supportsQueryAttachmentsCountOnly": layer.attachments.is_some(),
        "supportsQueryAttachmentsWithReturnUrl": layer.attachments.is_some(),
        "supportsQueryAttachmentOrderByFields": layer.attachments.is_some(),
        "supportsQueryAttachmentWithTypeWildcard": layer.attachments.is_some(),
        "supportsSqlExpression": true,
        "supportsCurrentUserQueries": false,
        "supportsFullTextSearch": false,
        "supportsQueryWithDatumTransformation": false,
        "supportsReturningGeometryCentroid": is_polygon,
        "supportsReturningGeometryEnvelope": spatial,
        "supportsTopFeaturesQuery": false,
        "supportsQueryAnalytic": false,
        "supportsTrueCurve": false,
    })
}

/// The relationships that a layer takes part in, each seen from it.
pub(crate) fn relationships_of(service: &Service, layer: &Layer) -> Json {
    let id = |key: LayerKey| service.layer_by_key(key).map_or(-1, |layer| layer.id.0);
    let mut shown = Vec::new();
    for relationship in &service.relationships {
        let mut role = |name: &str, related: LayerKey, field: usize| {
            shown.push(json!({
                "id": relationship.id,
                "name": relationship.name,
                "relatedTableId": id(related),
                "cardinality": cardinality(relationship),
                "role": name,
                "keyField": key_field(layer, field),
                "composite": false,
            }));
        };
        if relationship.origin == layer.key {
            role("esriRelRoleOrigin", relationship.destination, relationship.origin_field);
        }
        if relationship.destination == layer.key {
            role("esriRelRoleDestination", relationship.origin, relationship.destination_field);
        }
    }
    Json::Array(shown)
}

/// What is known of an attachment, as the attachment resources show it.
pub(crate) fn attachment_info(info: &AttachmentInfo) -> Json {
    json!({
        "id": info.id,
        "globalId": info.global_id.to_string(),
        "parentGlobalId": info.parent.to_string(),
        "name": info.name,
        "contentType": info.content_type,
        "size": info.size_bytes,
        "keywords": info.keywords.as_deref().unwrap_or_default(),
        "exifInfo": null,
    })
}

fn type_of(layer: &Layer) -> &'static str {
    if layer.shape.is_some() { "Feature Layer" } else { "Table" }
}

/// A box that is always finite: clients build requests from it, also for empty layers.
fn extent_json(extent: Option<[f64; 4]>, srid: i32) -> Json {
    let [xmin, ymin, xmax, ymax] = extent.unwrap_or(match srid {
        4326 => [-180.0, -90.0, 180.0, 90.0],
        3857 => [-20_037_508.342_789_244, -20_037_508.342_789_244, 20_037_508.342_789_244, 20_037_508.342_789_244],
        _ => [0.0, 0.0, 0.0, 0.0],
    });
    json!({"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax, "spatialReference": spatial_reference(srid)})
}

fn units(srid: i32) -> &'static str {
    if (4000..5000).contains(&srid) { "esriDecimalDegrees" } else { "esriMeters" }
}

/// Everything of a feature set but the features.
pub(crate) fn feature_set_head(layer: &Layer, columns: &Columns) -> Json {
    let mut head = json!({
        "objectIdFieldName": layer.object_id_field().name,
        "uniqueIdField": {"name": layer.object_id_field().name, "isSystemMaintained": true},
        "globalIdFieldName": layer.global_id_field().name,
    });
    if let (Some(srid), Some(shape), Some(members)) = (columns.srid, &layer.shape, head.as_object_mut()) {
        members.insert("geometryType".to_owned(), type_name(shape.geometry_type).into());
        members.insert("spatialReference".to_owned(), spatial_reference(srid));
        if columns.dimensions.z {
            members.insert("hasZ".to_owned(), true.into());
        }
        if columns.dimensions.m {
            members.insert("hasM".to_owned(), true.into());
        }
    }
    if let Some(members) = head.as_object_mut() {
        members.insert("fields".to_owned(), columns.fields.iter().map(|&index| field(layer, index)).collect());
    }
    head
}

/// Everything of an answer with related records but the records.
pub(crate) fn related_head(layer: &Layer, columns: &Columns) -> Json {
    let mut head = feature_set_head(layer, columns);
    if let Some(members) = head.as_object_mut() {
        // The answer is no feature set of its own.
        for name in ["objectIdFieldName", "uniqueIdField", "globalIdFieldName"] {
            members.shift_remove(name);
        }
    }
    head
}
