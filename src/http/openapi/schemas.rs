//! The schemas that operations share.

use serde_json::{Map, Value as Json, json};

/// A schema for a member of an answer: one of the shared ones by its name, or a plain type.
pub(super) fn named(name: &str) -> Json {
    match name {
        "any" => json!({}),
        "text" => json!({"type": "string"}),
        "text?" => json!({"type": ["string", "null"]}),
        "number" => json!({"type": "number"}),
        "integer" => json!({"type": "integer"}),
        "flag" => json!({"type": "boolean"}),
        "array" => json!({"type": "array"}),
        "object" => json!({"type": "object"}),
        shared => json!({"$ref": format!("#/components/schemas/{shared}")}),
    }
}

/// All shared schemas.
pub(super) fn all() -> Json {
    let mut all = Map::new();
    for (name, schema) in answers().into_iter().chain(edits()).chain(replicas()) {
        all.insert(name.to_owned(), schema);
    }
    Json::Object(all)
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(name: &str) -> Json {
    json!({"type": "array", "items": reference(name)})
}

/// What any operation may answer, or take.
fn answers() -> [(&'static str, Json); 4] {
    let failure = json!({
        "type": "object",
        "properties": {"error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string", "minLength": 1},
                "details": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["code", "message", "details"],
        }},
        "required": ["error"],
    });
    [
        ("Array", json!({"type": "array", "items": {"type": "object"}})),
        ("Object", json!({"type": "object"})),
        (
            "Accepted",
            json!({"type": "object", "properties": {"statusUrl": {"type": "string"}}, "required": ["statusUrl"]}),
        ),
        ("Failure", failure),
    ]
}

/// Features and their edits.
fn edits() -> [(&'static str, Json); 6] {
    let feature = json!({
        "type": "object",
        "properties": {"attributes": {"type": "object"}, "geometry": {"type": ["object", "null"]}},
    });
    let result = json!({
        "type": "object",
        "properties": {
            "objectId": {"type": ["integer", "null"]},
            "globalId": {"type": ["string", "null"]},
            "success": {"type": "boolean"},
            "error": {
                "type": "object",
                "properties": {"code": {"type": "integer"}, "description": {"type": "string"}},
                "required": ["code", "description"],
            },
        },
        "required": ["success"],
    });
    let of_service = json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "adds": reference("Features"),
            "updates": reference("Features"),
            "deletes": {"description": "Object ids or global ids.", "type": ["array", "string"]},
        },
        "required": ["id"],
    }});
    let of_sync = json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "features": {
                "type": "object",
                "properties": {
                    "adds": reference("Features"),
                    "updates": reference("Features"),
                    "deleteIds": {"type": "array", "items": {"type": "string"}},
                },
            },
            "attachments": {"type": "object"},
        },
        "required": ["id"],
    }});
    [
        ("Feature", feature),
        ("Features", list_of("Feature")),
        ("EditResult", result),
        ("EditResults", list_of("EditResult")),
        ("ServiceEdits", of_service),
        ("SyncEdits", of_sync),
    ]
}

/// What replicas are asked for.
fn replicas() -> [(&'static str, Json); 4] {
    let generations = json!({"type": "array", "items": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "serverGen": {"type": "integer"}},
        "required": ["id", "serverGen"],
    }});
    let queries = json!({"type": "object", "additionalProperties": {
        "type": "object",
        "properties": {
            "queryOption": {"enum": ["none", "useFilter", "all"]},
            "where": {"type": "string"},
            "useGeometry": {"type": "boolean"},
            "includeRelated": {"type": "boolean"},
        },
    }});
    let layers = json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "serverGen": {"type": "integer"},
            "serverSibGen": {"type": "integer"},
            "syncDirection": {"enum": ["bidirectional", "upload", "download", "snapshot"]},
        },
        "required": ["id"],
    }});
    let options = json!({
        "type": "object",
        "properties": {
            "registerExistingData": {"type": "boolean"},
            "refReplicaId": {"type": "string"},
            "refReplicaServerGen": {"type": "integer"},
            "refLayerServerGens": reference("LayerServerGens"),
            "syncDataOptions": {"type": "integer"},
        },
    });
    [("LayerQueries", queries), ("LayerServerGens", generations), ("SyncLayers", layers), ("ReplicaOptions", options)]
}
