//! When features were: at an instant, or from a beginning to an end.

use serde_json::{Value as Json, json};

use super::column;
use crate::support::TestServer;

const DAY: i64 = 86_400_000;

/// A definition gives a layer its times.
async fn define(server: &mut TestServer, layer: u32, times: Json) {
    const TOKEN: &str = "a-token-of-an-administrator";
    server.configure(|config| config.admin_token = Some(TOKEN.to_owned()));
    let path = format!("/arcgis/rest/admin/services/trees/FeatureServer/{layer}/updateDefinition");
    let definition = json!({ "timeInfo": times }).to_string();
    let answer = server.post(&path, &[("token", TOKEN), ("updateDefinition", &definition)]).await;
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn features_are_found_by_when_they_were() {
    let mut server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, planted) values
               ('a', '1970-01-01'), ('b', '1970-01-02'), ('c', '1970-01-03 12:00'), ('d', null);
             create table pine (id serial primary key, name text, planted timestamptz, felled date);
             insert into pine (name, planted, felled) values
               ('a', '1970-01-01', '1970-01-03'), ('b', '1970-01-04', null), ('c', null, '1970-01-02'), ('d', null, null)",
        )
        .await;
    server.publish("pine").await;
    define(&mut server, 0, json!({"startTimeField": "planted"})).await;
    define(&mut server, 2, json!({"startTimeField": "planted", "endTimeField": "felled"})).await;
    for (time, instants, stretches) in [
        ("0".to_owned(), json!(["a"]), json!(["a", "c", "d"])),
        (format!("0,{DAY}"), json!(["a", "b"]), json!(["a", "c", "d"])),
        (format!("{DAY}, null"), json!(["b", "c"]), json!(["a", "b", "c", "d"])),
        (format!("null,{}", DAY - 1), json!(["a"]), json!(["a", "c", "d"])),
        (format!("{},{}", 2 * DAY, 3 * DAY - 1), json!(["c"]), json!(["a", "d"])),
        (format!("{},{}", 2 * DAY + 1, 3 * DAY), json!(["c"]), json!(["b", "d"])),
        (format!("{},null", 9 * DAY), json!([]), json!(["b", "d"])),
        (format!("{},{}", i64::MIN, i64::MAX), json!(["a", "b", "c"]), json!(["a", "b", "c", "d"])),
        ("null,null".to_owned(), json!(["a", "b", "c", "d"]), json!(["a", "b", "c", "d"])),
    ] {
        for (layer, name, expected) in [(0, "species", instants), (2, "name", stretches)] {
            let answer = server.get(&format!("{layer}/query"), &[("time", &time), ("outFields", name)]).await;
            assert_eq!(column(&answer, name), expected, "layer {layer}, {time}");
        }
    }
    let all = [("time", "0"), ("layerDefs", "0:1=1;1:1=1;2:1=1"), ("returnCountOnly", "true")];
    let counts = json!({"layers": [{"id": 0, "count": 1}, {"id": 1, "count": 0}, {"id": 2, "count": 3}]});
    assert_eq!(server.get("query", &all).await, counts);
    for (time, said) in [("now", "'now' is not a time"), ("5,1", "before it begins"), ("1,2,3", "more than two ends")] {
        let words = super::refusal(&server, "0/query", &[("time", time)]).await;
        assert!(words.contains("'time'") && words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn instants_of_far_off_years_are_compared_to_the_microsecond() {
    let server = TestServer::with_trees().await;
    let instants = ["2999-12-31 23:59:59.999999", "3000-01-01 00:00:00", "3000-01-01 00:00:00.000001"];
    for (instant, name) in instants.iter().zip(["a", "b", "c"]) {
        server.database.sql(&format!("insert into oak (species, planted) values ('{name}', '{instant}')")).await;
    }
    for (clause, found) in [
        (format!("planted = timestamp '{}'", instants[0]), json!(["a"])),
        (format!("planted = timestamp '{}'", instants[2]), json!(["c"])),
        (format!("planted > timestamp '{}'", instants[1]), json!(["c"])),
        (format!("planted in (timestamp '{}', timestamp '{}')", instants[0], instants[1]), json!(["a", "b"])),
        (format!("planted between timestamp '{}' and timestamp '{}'", instants[1], instants[2]), json!(["b", "c"])),
    ] {
        let answer =
            server.get("0/query", &[("where", &clause), ("outFields", "species"), ("orderByFields", "species")]).await;
        assert_eq!(column(&answer, "species"), found, "{clause}");
    }
}
