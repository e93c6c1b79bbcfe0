//! Layers, tables and relationships that administrators add to a service over HTTP.

use serde_json::{Value as Json, json};

use super::{apply, attempt, change, create, id, synchronize, with_admin};
use crate::support::{TestServer, server::error};

/// The document of a layer of wells, as clients send it.
fn wells() -> Json {
    json!({
        "name": "Old Wells", "type": "Feature Layer", "geometryType": "esriGeometryPoint", "hasZ": true, "hasAttachments": true,
        "description": "Where water was", "displayField": "owner", "currentVersion": 10.91, "objectIdField": "OBJECTID",
        "extent": {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1, "spatialReference": {"wkid": 4326}},
        "advancedQueryCapabilities": {"supportsPagination": true}, "indexes": [], "types": [], "typeIdField": "",
        "fields": [
            {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID", "editable": false},
            {"name": "GlobalID", "type": "esriFieldTypeGlobalID", "length": 38},
            {"name": "owner", "type": "esriFieldTypeString", "length": 20, "alias": "Belongs to", "domain": null},
            {"name": "depth", "type": "esriFieldTypeDouble", "domain": {"type": "range", "name": "Depth", "range": [0, 50]}},
        ],
    })
}

async fn tables(server: &TestServer) -> i64 {
    server.database.value("select count(*) from pg_tables where schemaname = 'public'").await
}

#[tokio::test]
async fn a_layer_that_is_added_is_a_table_and_can_be_taken_offline_at_once() {
    let server = with_admin().await;
    let visits = json!({"name": "checks", "fields": [{"name": "well", "type": "esriFieldTypeGUID"}, {"name": "note", "type": "esriFieldTypeString"}]});
    let answer = attempt(&server, "addToDefinition", &json!({"layers": [wells()], "tables": [visits]})).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(
        (&answer["layers"], &answer["tables"]),
        (&json!([{"id": 2, "name": "Old Wells"}]), &json!([{"id": 3, "name": "checks"}]))
    );
    let layer = server.get("2", &[]).await;
    assert_eq!(
        (&layer["name"], &layer["geometryType"], &layer["hasZ"], &layer["hasAttachments"], &layer["displayField"]),
        (&json!("Old Wells"), &json!("esriGeometryPoint"), &json!(true), &json!(true), &json!("owner"))
    );
    assert_eq!((&layer["objectIdField"], &layer["globalIdField"]), (&json!("OBJECTID"), &json!("GlobalID")));
    assert_eq!(layer["extent"]["spatialReference"]["wkid"], 4326);
    assert_eq!((&layer["fields"][2]["alias"], &layer["fields"][2]["length"]), (&json!("Belongs to"), &json!(20)));
    assert_eq!(server.get("", &[]).await["tables"][1]["name"], "checks");

    let related = json!({"relationships": [
        {"name": "wells_checks", "originLayerId": 2, "originPrimaryKey": "GlobalID", "destinationLayerId": 3, "originForeignKey": "well"}]});
    let answer = attempt(&server, "addToDefinition", &related).await;
    assert_eq!(answer["relationships"], json!([{"id": 0, "name": "wells_checks"}]), "{answer}");
    let replica = server.post("createReplica", &[("layers", "2,3"), super::EMBEDDED, ("replicaName", "field")]).await;
    let well = json!({"attributes": {"GlobalID": id(1), "owner": "Ann", "depth": 7}, "geometry": {"x": 1, "y": 2, "z": 3, "spatialReference": {"wkid": 4326}}});
    let deep = json!({"attributes": {"GlobalID": id(2), "depth": 70}});
    let edits = json!([{"id": 2, "features": {"adds": [well, deep]}}, {"id": 3, "features": {"adds": [{"attributes": {"globalid": id(3), "well": id(1)}}]}}]);
    let answer = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", replica["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &replica["replicaServerGen"].to_string()),
                ("edits", &edits.to_string()),
                ("rollbackOnFailure", "false"),
                super::EMBEDDED,
            ],
        )
        .await;
    assert!(answer.to_string().contains("domain 'Depth'"), "what was said of a field holds: {answer}");
    let found = server
        .get("2/queryRelatedRecords", &[("objectIds", "1"), ("relationshipId", "0"), ("returnCountOnly", "true")])
        .await;
    assert_eq!(found["relatedRecordGroups"], json!([{"objectId": 1, "count": 1}]));
    let stored: String = server.database.value("select ST_AsEWKT(shape) || ' ' || owner from old_wells").await;
    assert_eq!(stored, "SRID=4326;POINT(1 2 3) Ann");
}

#[tokio::test]
async fn relationships_are_added_in_both_spellings_and_deleted() {
    let server = with_admin().await;
    let ends = json!({"layers": [
        {"id": 0, "relationships": [{"name": "r", "relatedTableId": 1, "role": "esriRelRoleOrigin", "keyField": "globalid",
            "cardinality": "esriRelCardinalityOneToMany", "composite": false}]}],
        "tables": [{"id": 1, "relationships": [{"name": "r", "relatedTableId": 0, "role": "esriRelRoleDestination", "keyField": "oak_id"}]}]});
    change(&server, "addToDefinition", ends.clone()).await;
    let shown = server.get("relationships", &[]).await["relationships"][0].clone();
    assert_eq!((&shown["originPrimaryKey"], &shown["originForeignKey"]), (&json!("globalid"), &json!("oak_id")));
    let (_, words) = error(&attempt(&server, "addToDefinition", &ends).await);
    assert!(words.contains("exists already"), "{words}");
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}}])).await;
    let replica = create(&server).await;
    let (_, words) =
        error(&attempt(&server, "deleteFromDefinition", &json!({"relationships": [{"id": 0}, {"id": 9}]})).await);
    assert!(words.contains("no relationship 9"), "{words}");
    assert_eq!(server.get("relationships", &[]).await["relationships"].as_array().unwrap().len(), 1, "all or nothing");
    change(&server, "deleteFromDefinition", json!({"relationships": [{"id": 0}]})).await;
    assert_eq!(server.get("relationships", &[]).await["relationships"], json!([]));
    assert!(synchronize(&server, &replica, &json!({})).await.get("error").is_none());
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_with_the_reason_and_leaves_nothing_behind() {
    let server = with_admin().await;
    let before = (tables(&server).await, server.get("", &[]).await["layers"].clone());
    let with = |key: &str, value: Json| {
        let mut layer = wells();
        layer[key] = value;
        json!({"layers": [layer]})
    };
    let field = |field: Json| with("fields", json!([field]));
    let relationship = |key: &str, value: Json| {
        let mut given = json!({"originLayerId": 0, "originPrimaryKey": "globalid", "destinationLayerId": 1, "originForeignKey": "oak_id"});
        given[key] = value;
        json!({"relationships": [given]})
    };
    for (given, said) in [
        (json!({}), "it is missing"),
        (json!({"layers": []}), "adds nothing"),
        (json!({"layers": 5}), "array of objects"),
        (json!({"domains": []}), "'domains' cannot be added"),
        (with("name", json!("oak")), "table public.oak exists already"),
        (with("name", json!("?")), "no letters"),
        (with("geometryType", json!("esriGeometryMultiPatch")), "esriGeometryMultiPatch"),
        (with("geometryType", Json::Null), "belongs in tables"),
        (with("spatialReference", json!({"wkid": 999_999})), "spatial reference"),
        (with("displayField", json!("nosuch")), "displayField: there is no field 'nosuch'"),
        (with("id", json!(7)), "asks for the id 7, and the next one is 2"),
        (with("id", json!("x")), "whole number"),
        (field(json!({"name": "a b", "type": "esriFieldTypeString"})), "'a b' cannot be a name"),
        (field(json!({"name": "a\"; drop table oak; --", "type": "esriFieldTypeString"})), "cannot be a name"),
        (field(json!({"name": "a", "type": "esriFieldTypeBlob"})), "esriFieldTypeBlob"),
        (field(json!({"name": "shape", "type": "esriFieldTypeString"})), "two of its columns would be called 'shape'"),
        (field(json!({"name": "gid", "type": "esriFieldTypeGlobalID"})), "call it globalid"),
        (field(json!({"name": "a", "type": "esriFieldTypeDouble", "defaultValue": "deep"})), "defaultValue"),
        (relationship("originLayerId", json!(9)), "no layer or table 9"),
        (relationship("originForeignKey", json!("nosuch")), "no field 'nosuch'"),
        (relationship("originForeignKey", json!("note")), "types that compare"),
        (relationship("composite", json!(true)), "composite=true is not supported"),
        (relationship("cardinality", json!("esriRelCardinalityManyToMany")), "many to many"),
    ] {
        let (code, words) = error(&attempt(&server, "addToDefinition", &given).await);
        assert!((code == 400 || code == 404) && words.contains(said), "{said}: {code} {words}");
    }
    // The second does not fit: nor is the first made.
    let mut second = wells();
    second["name"] = json!("Other");
    second["displayField"] = json!("nosuch");
    error(&attempt(&server, "addToDefinition", &json!({"layers": [wells(), second]})).await);
    assert_eq!((tables(&server).await, server.get("", &[]).await["layers"].clone()), before);
    let (_, words) = error(&attempt(&server, "deleteFromDefinition", &json!({"layers": [{"id": 0}]})).await);
    assert!(words.contains("syncline unpublish"), "{words}");
}
