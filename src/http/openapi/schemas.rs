//! The schemas that operations share.

use serde_json::{Value as Json, json};

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
    let generations = json!({"type": "array", "items": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "serverGen": {"type": "integer"}},
        "required": ["id", "serverGen"],
    }});
    json!({
        "Array": {"type": "array", "items": {"type": "object"}},
        "Object": {"type": "object"},
        "Accepted": {"type": "object", "properties": {"statusUrl": {"type": "string"}}, "required": ["statusUrl"]},
        "Failure": {
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
        },
        "Feature": {
            "type": "object",
            "properties": {"attributes": {"type": "object"}, "geometry": {"type": ["object", "null"]}},
        },
        "Features": {"type": "array", "items": {"$ref": "#/components/schemas/Feature"}},
        "EditResult": {
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
        },
        "EditResults": {"type": "array", "items": {"$ref": "#/components/schemas/EditResult"}},
        "ServiceEdits": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "adds": {"$ref": "#/components/schemas/Features"},
                "updates": {"$ref": "#/components/schemas/Features"},
                "deletes": {"description": "Object ids or global ids.", "type": ["array", "string"]},
            },
            "required": ["id"],
        }},
        "SyncEdits": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "features": {
                    "type": "object",
                    "properties": {
                        "adds": {"$ref": "#/components/schemas/Features"},
                        "updates": {"$ref": "#/components/schemas/Features"},
                        "deleteIds": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "attachments": {"type": "object"},
            },
            "required": ["id"],
        }},
        "LayerQueries": {"type": "object", "additionalProperties": {
            "type": "object",
            "properties": {
                "queryOption": {"enum": ["none", "useFilter", "all"]},
                "where": {"type": "string"},
                "useGeometry": {"type": "boolean"},
                "includeRelated": {"type": "boolean"},
            },
        }},
        "LayerServerGens": generations,
        "SyncLayers": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "serverGen": {"type": "integer"},
                "serverSibGen": {"type": "integer"},
                "syncDirection": {"enum": ["bidirectional", "upload", "download", "snapshot"]},
            },
            "required": ["id"],
        }},
        "ReplicaOptions": {
            "type": "object",
            "properties": {
                "registerExistingData": {"type": "boolean"},
                "refReplicaId": {"type": "string"},
                "refReplicaServerGen": {"type": "integer"},
                "refLayerServerGens": {"$ref": "#/components/schemas/LayerServerGens"},
                "syncDataOptions": {"type": "integer"},
            },
        },
    })
}
