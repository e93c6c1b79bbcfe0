//! Related records in both directions, and queries on several layers.

use serde_json::{Value as Json, json};

use super::refusal;
use crate::support::{TestServer, server};

/// Parks (layer 0), and trees that stand in them (layer 1): three in the first, one in the second, none in the third.
async fn parks() -> TestServer {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table park (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, name text, shape geometry(Polygon, 3857));
             create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
               park integer references park (objectid), species text, girth integer, shape geometry(Point, 3857));
             insert into park (name, shape) values ('north', ST_MakeEnvelope(0, 0, 1, 1, 3857)), ('south', null), ('bare', null);
             insert into tree (park, species, girth, shape) values (1, 'elm', 3, ST_Point(1, 1, 3857)), (2, 'fir', 1, null),
               (1, 'ash', 9, null), (1, 'elm', 5, null), (null, 'wild', 7, null)",
        )
        .await;
    server.publish("park").await;
    server.publish("tree").await;
    server
}

/// Object ids of features and, for each, one attribute of its records.
fn groups(answer: &Json, name: &str) -> Json {
    let groups = answer["relatedRecordGroups"].as_array().unwrap_or_else(|| panic!("no groups in {answer}"));
    let records = |group: &Json| -> Json {
        group["relatedRecords"].as_array().unwrap().iter().map(|record| record["attributes"][name].clone()).collect()
    };
    groups.iter().map(|group| json!([group["objectId"], records(group)])).collect()
}

#[tokio::test]
async fn related_records_come_with_the_features_they_belong_to() {
    let server = parks().await;
    let base = [("objectIds", "1,2,3,99"), ("relationshipId", "0"), ("outFields", "species,girth")];
    let query = async |more: &[(&str, &str)]| {
        let parameters = [&base[..], more].concat();
        let answer = server.get("0/queryRelatedRecords", &parameters).await;
        assert_eq!(answer, server.post("0/queryRelatedRecords", &parameters).await);
        answer
    };
    let answer = query(&[]).await;
    assert_eq!(groups(&answer, "species"), json!([[1, ["elm", "ash", "elm"]], [2, ["fir"]]]));
    assert_eq!(
        (&answer["geometryType"], &answer["spatialReference"]["wkid"]),
        (&json!("esriGeometryPoint"), &json!(102_100))
    );
    assert_eq!(answer["relatedRecordGroups"][0]["relatedRecords"][0]["geometry"], json!({"x": 1.0, "y": 1.0}));
    let names: Vec<&Json> = answer["fields"].as_array().unwrap().iter().map(|field| &field["name"]).collect();
    assert_eq!(names, ["objectid", "species", "girth"]);
    let sorted = query(&[("orderByFields", "girth DESC"), ("definitionExpression", "girth > 1")]).await;
    assert_eq!(groups(&sorted, "girth"), json!([[1, [9, 5, 3]]]));
    let first = query(&[("resultRecordCount", "2")]).await;
    assert_eq!((groups(&first, "girth"), &first["exceededTransferLimit"]), (json!([[1, [3, 9]]]), &json!(true)));
    let rest = query(&[("resultOffset", "2")]).await;
    assert_eq!((groups(&rest, "girth"), rest.get("exceededTransferLimit")), (json!([[1, [5]], [2, [1]]]), None));
    let bare = query(&[("returnGeometry", "false")]).await;
    assert!(
        bare.get("geometryType").is_none()
            && bare["relatedRecordGroups"][0]["relatedRecords"][0].get("geometry").is_none()
    );
    let counts = query(&[("returnCountOnly", "true"), ("definitionExpression", "species = 'elm'")]).await;
    assert_eq!(
        counts["relatedRecordGroups"],
        json!([{"objectId": 1, "count": 2}, {"objectId": 2, "count": 0}, {"objectId": 3, "count": 0}])
    );

    let up = [("objectIds", "1,2,5"), ("relationshipId", "0"), ("outFields", "name"), ("outSR", "4326")];
    let answer = server.get("1/queryRelatedRecords", &up).await;
    assert_eq!(groups(&answer, "name"), json!([[1, ["north"]], [2, ["south"]]]));
    assert_eq!(answer["spatialReference"]["wkid"], 4326);
    let none = [("objectIds", "3"), ("relationshipId", "0"), ("outFields", "species")];
    let answer = server.get("0/queryRelatedRecords", &none).await;
    assert_eq!((groups(&answer, "species"), answer["fields"].is_array()), (json!([]), true));

    // As it was before the elms moved to the park without trees.
    let before =
        server.database.value::<i64>("select (extract(epoch from clock_timestamp()) * 1000)::int8").await.to_string();
    server.database.sql("select pg_sleep(0.002); update tree set park = 3 where species = 'elm'").await;
    assert_eq!(groups(&query(&[]).await, "species"), json!([[1, ["ash"]], [2, ["fir"]], [3, ["elm", "elm"]]]));
    assert_eq!(groups(&query(&[("historicMoment", &before)]).await, "girth"), json!([[1, [3, 9, 5]], [2, [1]]]));
}

#[tokio::test]
async fn mistakes_about_related_records_are_named() {
    let server = parks().await;
    for (parameters, said) in [
        (vec![("relationshipId", "0")], "'objectIds'"),
        (vec![("objectIds", "1")], "'relationshipId'"),
        (vec![("objectIds", "1"), ("relationshipId", "7")], "no relationship 7; it has 0 ("),
        (
            vec![("objectIds", "1"), ("relationshipId", "0"), ("definitionExpression", "name = 'x'")],
            "'definitionExpression'",
        ),
        (vec![("objectIds", "1"), ("relationshipId", "0"), ("outFields", "name")], "no field 'name' in layer 1"),
        (vec![("objectIds", "1"), ("relationshipId", "0"), ("orderByFields", "name")], "'orderByFields'"),
    ] {
        let words = refusal(&server, "0/queryRelatedRecords", &parameters).await;
        assert!(words.contains(said), "{words}");
    }
    let page = server::text(server.fetch("0/queryRelatedRecords", &[]).await).await;
    assert!(page.contains("name=\"relationshipId\""), "a person gets a form: {page}");
    let page =
        server::text(server.fetch("0/queryRelatedRecords?objectIds=1&relationshipId=0&outFields=species", &[]).await)
            .await;
    assert!(page.contains("elm"), "{page}");
}

#[tokio::test]
async fn a_query_on_a_service_answers_for_each_layer_in_every_spelling() {
    let server = parks().await;
    let ids = json!({"layers": [
        {"id": 0, "objectIdFieldName": "objectid", "objectIds": [1]},
        {"id": 1, "objectIdFieldName": "objectid", "objectIds": [1, 4]}]});
    for defs in [
        "0:name = 'north';1:species = 'elm'",
        r#"{"0":"name = 'north'","1":"species = 'elm'"}"#,
        r#"[{"layerId":0,"where":"name = 'north'","outFields":"*"},{"layerId":1,"where":"species = 'elm'","outFields":"species"}]"#,
        "{'0':\"name = 'north'\",'1':\"species = 'elm'\"}",
    ] {
        let parameters = [("layerDefs", defs), ("returnIdsOnly", "true")];
        assert_eq!(server.get("query", &parameters).await, ids, "{defs}");
        assert_eq!(server.post("query", &parameters).await, ids, "{defs}");
    }
    let defs = r#"[{"layerId":1,"where":"species LIKE ';%' OR girth = 3","outFields":"species"}]"#;
    let answer = server.get("query", &[("layerDefs", defs), ("outSR", "4326")]).await;
    let layer = &answer["layers"][0];
    assert_eq!(answer["layers"].as_array().unwrap().len(), 1);
    assert_eq!((&layer["id"], &layer["geometryType"]), (&json!(1), &json!("esriGeometryPoint")));
    assert_eq!(layer["features"][0]["attributes"], json!({"objectid": 1, "species": "elm"}));
    assert_eq!(layer["spatialReference"]["wkid"], 4326);
    let quoted = server.get("query", &[("layerDefs", "1:species <> 'a;0:b'"), ("returnCountOnly", "true")]).await;
    assert_eq!(quoted, json!({"layers": [{"id": 1, "count": 5}]}));
    let area = [("geometry", "0.5,0.5,2,2"), ("returnCountOnly", "true")];
    let answer = server.get("query", &area).await;
    assert_eq!(
        answer,
        json!({"layers": [{"id": 0, "count": 1}, {"id": 1, "count": 1}]}),
        "without definitions, all layers"
    );
    for (defs, said) in [
        ("0:nome = 1", "the definition of layer 0: unknown field 'nome'"),
        ("7:1=1", "7"),
        ("name = 'north'", "is not written id:clause"),
        (r#"{"0":5}"#, "a clause belongs there"),
        (r#"[{"where":"1=1"}]"#, "no layerId"),
        ("0:1=1;0:1=0", "layer 0 is there twice"),
    ] {
        let words = refusal(&server, "query", &[("layerDefs", defs)]).await;
        assert!(words.contains("'layerDefs'") && words.contains(said), "{defs}: {words}");
    }
    let page = server::text(server.fetch("query", &[]).await).await;
    assert!(page.contains("name=\"layerDefs\""), "{page}");
}

#[tokio::test]
async fn related_records_are_written_as_a_query_writes_them() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table owner (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, name text);
             create table plot (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
               owner integer references owner (objectid), shape geometry(PolygonZ, 3857));
             insert into owner (name) values ('a'), ('b');
             insert into plot (owner, shape) values
               (2, 'SRID=3857;POLYGON Z((0 0 1, 0 100 2, 50 101 3, 100 100.123456 4, 100 0 5, 0 0 1))'),
               (1, 'SRID=3857;POLYGON Z((0 0 1, 0 10.5 2, 10.25 10.5 3, 0 0 1))'), (2, null)",
        )
        .await;
    server.publish("owner").await;
    server.publish("plot").await;
    let grid = r#"{"mode":"view","originPosition":"upperLeft","tolerance":10,"extent":{"xmin":0,"ymin":0,"xmax":100,"ymax":100}}"#;
    for more in [
        [("quantizationParameters", grid), ("returnZ", "true")],
        [("geometryPrecision", "1"), ("returnZ", "true")],
        [("maxAllowableOffset", "5"), ("outSR", "3857")],
        [("returnCentroid", "true"), ("returnEnvelope", "true")],
        [("returnTrueCurves", "false"), ("outSR", "4326")],
    ] {
        let of_query = server.get("1/query", &[&more[..], &[("where", "1=1"), ("outFields", "*")]].concat()).await;
        let base = [("objectIds", "1,2"), ("relationshipId", "0"), ("outFields", "*")];
        let related = server.get("0/queryRelatedRecords", &[&more[..], &base[..]].concat()).await;
        for name in ["transform", "spatialReference", "hasZ", "geometryType", "fields"] {
            assert_eq!(related[name], of_query[name], "{name} with {more:?}");
        }
        let features = &of_query["features"];
        assert_eq!(
            related["relatedRecordGroups"],
            json!([{"objectId": 1, "relatedRecords": [features[1]]}, {"objectId": 2, "relatedRecords": [features[0], features[2]]}]),
            "{more:?}"
        );
        assert!(features[0]["geometry"]["rings"].is_array(), "{features}");
    }
    let base = [("objectIds", "1,2"), ("relationshipId", "0")];
    for (more, said) in [
        (("quantizationParameters", r#"{"mode":"print"}"#), "'print'"),
        (("geometryPrecision", "-1"), "geometryPrecision"),
        (("f", "geojson"), "'f'"),
    ] {
        let words = refusal(&server, "0/queryRelatedRecords", &[&[more], &base[..]].concat()).await;
        assert!(words.contains(said), "{words}");
    }
}
