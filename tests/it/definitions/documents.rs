//! Documents say what a definition says, and what the table is.

use serde_json::{Value as Json, json};

use super::{apply, change, with_admin};
use crate::support::TestServer;

#[tokio::test]
async fn what_a_definition_says_is_in_the_documents_of_layer_service_and_layers() {
    let server = with_admin().await;
    let renderer = json!({"type": "uniqueValue", "field1": "species", "uniqueValueInfos": []});
    let given = json!({
        "name": "Old oaks", "description": "Trees", "copyrightText": "City", "displayField": "height", "defaultVisibility": false,
        "minScale": 50000, "htmlPopupType": "esriServerHTMLPopupTypeAsHTMLText", "hasStaticData": true,
        "drawingInfo": {"renderer": renderer, "labelingInfo": [{"labelExpression": "[species]"}]},
        "timeInfo": {"startTimeField": "planted", "timeInterval": 1, "timeIntervalUnits": "esriTimeUnitsYears"},
        "templates": [{"name": "Tall oak", "prototype": {"attributes": {"height": 30}}}],
        "fields": [{"name": "height", "description": "In metres", "visible": true, "editable": false}],
    });
    change(&server, "0/updateDefinition", given).await;
    let layer = server.get("0", &[]).await;
    for (key, value) in [
        ("name", json!("Old oaks")),
        ("description", json!("Trees")),
        ("copyrightText", json!("City")),
        ("displayField", json!("height")),
        ("defaultVisibility", json!(false)),
        ("minScale", json!(50000)),
        ("maxScale", json!(0)),
        ("htmlPopupType", json!("esriServerHTMLPopupTypeAsHTMLText")),
        ("hasStaticData", json!(true)),
    ] {
        assert_eq!(layer[key], value, "{key}");
    }
    assert_eq!(layer["drawingInfo"]["renderer"], renderer);
    assert_eq!(layer["drawingInfo"]["transparency"], 0);
    assert_eq!(layer["timeInfo"]["startTimeField"], "planted");
    assert_eq!(layer["timeInfo"]["timeInterval"], 1);
    assert_eq!(layer["templates"][0]["name"], "Tall oak");
    assert_eq!(layer["templates"][0]["prototype"]["attributes"]["height"], 30);
    let height = &layer["fields"][3];
    assert_eq!(
        (&height["description"], &height["visible"], &height["editable"]),
        (&json!("In metres"), &json!(true), &json!(false))
    );
    assert_eq!(server.get("layers", &[]).await["layers"][0], layer);
    change(&server, "updateDefinition", json!({"serviceDescription": "All trees", "copyrightText": "Us"})).await;
    let service = server.get("", &[]).await;
    assert_eq!((&service["description"], &service["copyrightText"]), (&json!("All trees"), &json!("Us")));
    assert_eq!(
        (&service["layers"][0]["name"], &service["layers"][0]["minScale"]),
        (&json!("Old oaks"), &json!(50000.0))
    );
    change(&server, "0/updateDefinition", json!({"name": null, "timeInfo": null, "drawingInfo": null})).await;
    let layer = server.get("0", &[]).await;
    assert_eq!((&layer["name"], &layer["timeInfo"]), (&json!("oak"), &Json::Null));
    assert_eq!(layer["drawingInfo"]["renderer"]["symbol"]["type"], "esriSMS");
    assert_eq!(layer["description"], "Trees");
}

#[tokio::test]
async fn a_field_that_clients_must_not_write_is_passed_over_in_edits() {
    let server = with_admin().await;
    change(&server, "0/updateDefinition", json!({"fields": [{"name": "height", "editable": false}]})).await;
    assert_eq!(apply(&server, "adds", &json!([{"attributes": {"species": "oak", "height": 9}}])).await, [""]);
    let row = server.features(0).await[0]["attributes"].clone();
    assert_eq!((&row["species"], &row["height"]), (&json!("oak"), &Json::Null));
}

#[tokio::test]
async fn a_time_field_of_the_definition_is_what_time_in_queries_is_about() {
    let server = with_admin().await;
    apply(
        &server,
        "adds",
        &json!([{"attributes": {"girth": 1, "planted": 1000}}, {"attributes": {"girth": 2, "planted": 9000}}]),
    )
    .await;
    change(&server, "0/updateDefinition", json!({"timeInfo": {"startTimeField": "planted"}})).await;
    let found = server.get("0/query", &[("time", "500,2000"), ("outFields", "girth")]).await;
    assert_eq!(found["features"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["features"][0]["attributes"]["girth"], 1);
    let extent = async || server.get("0", &[]).await["timeInfo"]["timeExtent"].clone();
    assert_eq!(extent().await, json!([1000, 9000]));
    server.database.sql("alter table oak add gone date; update oak set gone = '1970-01-03' where girth = 1").await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    assert_eq!(extent().await, json!([1000, 9000]));
    let both = json!({"startTimeField": "planted", "endTimeField": "gone"});
    change(&server, "0/updateDefinition", json!({"timeInfo": both})).await;
    assert_eq!(extent().await, json!([1000, 2 * 86_400_000]), "to the last end, or the last beginning");
    server.database.sql("update oak set planted = 'infinity' where girth = 2").await;
    assert_eq!(extent().await, json!([1000, 2 * 86_400_000]), "what has no date has no place in time");
    server.database.sql("delete from oak").await;
    assert_eq!(extent().await, Json::Null);
}

#[tokio::test]
async fn indexes_and_relationships_are_those_of_the_database() {
    let server = with_admin().await;
    server.database.sql("create index girths on oak (girth desc); create index on oak (lower(species)); create index on oak (girth) where girth > 5").await;
    let layer = server.get("0", &[]).await;
    let mut indexes: Vec<(&str, bool, bool)> = layer["indexes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|index| (index["fields"].as_str().unwrap(), index["isUnique"] == true, index["isAscending"] == true))
        .collect();
    indexes.sort_unstable();
    assert_eq!(
        indexes,
        [("Shape", false, true), ("girth", false, false), ("globalid", true, true), ("objectid", true, true)]
    );
    assert_eq!(server.get("relationships", &[]).await, json!({"relationships": []}));
    server.database.sql("create table nest (id serial primary key, oak uuid references oak (globalid))").await;
    server.publish("nest").await;
    let shown = server.get("relationships", &[]).await["relationships"][0].clone();
    for (key, value) in [
        ("originLayerId", json!(0)),
        ("originPrimaryKey", json!("globalid")),
        ("destinationLayerId", json!(2)),
        ("originForeignKey", json!("oak")),
        ("cardinality", json!("esriRelCardinalityOneToMany")),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(server.get("", &[]).await["relationships"][0], shown);
}

async fn extent(server: &TestServer) -> [f64; 4] {
    let shown = server.get("0", &[]).await["extent"].clone();
    ["xmin", "ymin", "xmax", "ymax"].map(|corner| shown[corner].as_f64().unwrap())
}

#[tokio::test]
async fn an_extent_follows_every_edit_also_when_rows_go() {
    let server = with_admin().await;
    server.database.sql("insert into oak (shape) values (ST_Point(1, 2, 3857)), (ST_Point(30, 40, 3857))").await;
    assert_eq!(extent(&server).await, [1.0, 2.0, 30.0, 40.0]);
    server.database.sql("insert into oak (shape) values (ST_Point(100.1, 50, 3857))").await;
    assert_eq!(extent(&server).await, [1.0, 2.0, 100.1, 50.0], "to the last digit");
    server.database.sql("delete from oak where ST_X(shape) > 1").await;
    assert_eq!(extent(&server).await, [1.0, 2.0, 1.0, 2.0]);
    let service = server.get("", &[]).await;
    assert_eq!(service["fullExtent"]["xmax"], 1.0);
}

#[tokio::test]
async fn the_extent_of_a_large_table_covers_it_without_reading_it() {
    let server = with_admin().await;
    server
        .database
        .sql("insert into oak (species, shape) select repeat('x', 20), ST_Point(n % 1000, n / 1000, 3857) from generate_series(0, 99999) n")
        .await;
    let [xmin, ymin, xmax, ymax] = extent(&server).await;
    assert!(xmin <= 0.0 && ymin <= 0.0 && xmax >= 999.0 && ymax >= 99.0);
    server.database.sql("insert into oak (shape) values (ST_Point(5000, 0, 3857))").await;
    let [_, _, xmax, _] = extent(&server).await;
    assert!((5000.0..5001.0).contains(&xmax), "a new row is covered at once: {xmax}");
    let scanned: i64 =
        server.database.value("select coalesce(seq_tup_read, 0) from pg_stat_user_tables where relname = 'oak'").await;
    assert!(scanned < 100_000, "{scanned} rows were read");
}

#[tokio::test]
async fn a_document_tells_when_the_service_was_last_edited() {
    let server = with_admin().await;
    assert!(server.get("0", &[]).await.get("editingInfo").is_none());
    server.database.sql("insert into oak (species) values ('oak')").await;
    let before = server.get("0", &[]).await["editingInfo"]["lastEditDate"].as_i64().unwrap();
    assert!(before > 1_600_000_000_000);
    server.database.sql("select pg_sleep(0.002); update oak set species = 'elm'").await;
    assert!(server.get("0", &[]).await["editingInfo"]["lastEditDate"].as_i64().unwrap() > before);
}
