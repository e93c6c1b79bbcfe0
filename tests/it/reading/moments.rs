//! Rows as they were at a past moment.

use serde_json::json;

use super::{column, refusal};
use crate::support::TestServer;

/// The time of the database in milliseconds, and no commit in the same millisecond before or after.
async fn moment(server: &TestServer) -> String {
    let read =
        async || server.database.value::<i64>("select (extract(epoch from clock_timestamp()) * 1000)::int8").await;
    server.database.sql("select pg_sleep(0.002)").await;
    let moment = read().await;
    server.database.sql("select pg_sleep(0.002)").await;
    moment.to_string()
}

#[tokio::test]
async fn a_query_answers_with_the_rows_of_a_past_moment_in_every_form() {
    let server = TestServer::with_trees().await;
    let empty = moment(&server).await;
    server
        .database
        .sql("insert into oak (species, girth, shape) values ('elm', 1, ST_Point(0, 0, 3857)), ('fir', 2, ST_Point(5, 5, 3857))")
        .await;
    let planted = moment(&server).await;
    server
        .database
        .sql("update oak set girth = 7, shape = ST_Point(9, 9, 3857) where species = 'elm'; insert into oak (species, girth) values ('ash', 3)")
        .await;
    let grown = moment(&server).await;
    server
        .database
        .sql("delete from oak where species = 'fir'; update oak set species = 'Elm' where species = 'elm'")
        .await;

    let species = async |at: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("historicMoment", at), ("outFields", "species"), ("where", "1=1")];
        parameters.extend(more);
        column(&server.get("0/query", &parameters).await, "species")
    };
    assert_eq!(species(&empty, &[]).await, json!([]));
    assert_eq!(species(&planted, &[]).await, json!(["elm", "fir"]));
    assert_eq!(species(&grown, &[]).await, json!(["elm", "fir", "ash"]));
    assert_eq!(species("", &[]).await, json!(["Elm", "ash"]));
    assert_eq!(species("99999999999999", &[]).await, json!(["Elm", "ash"]), "the future is not past");
    assert_eq!(species(&planted, &[("where", "girth < 2")]).await, json!(["elm"]), "conditions are on what was");
    assert_eq!(species(&grown, &[("where", "girth < 2")]).await, json!([]));
    assert_eq!(species(&planted, &[("geometry", "-1,-1,1,1")]).await, json!(["elm"]));
    assert_eq!(species(&grown, &[("geometry", "-1,-1,1,1")]).await, json!([]));
    assert_eq!(species(&grown, &[("orderByFields", "girth desc"), ("resultRecordCount", "1")]).await, json!(["elm"]));

    let at = ("historicMoment", planted.as_str());
    assert_eq!(server.get("0/query", &[at, ("returnCountOnly", "true")]).await, json!({"count": 2}));
    assert_eq!(server.get("0/query", &[at, ("returnIdsOnly", "true")]).await["objectIds"], json!([1, 2]));
    let extent = server.get("0/query", &[at, ("returnExtentOnly", "true")]).await;
    assert_eq!((&extent["extent"]["xmin"], &extent["extent"]["xmax"]), (&json!(0.0), &json!(5.0)));
    let sum = r#"[{"statisticType":"sum","onStatisticField":"girth","outStatisticFieldName":"s"}]"#;
    assert_eq!(column(&server.get("0/query", &[at, ("outStatistics", sum)]).await, "s"), json!([3.0]));
    assert_eq!(server.get("0/2", &[at]).await["feature"]["attributes"]["species"], "fir");
    let both = server.get("query", &[at, ("layerDefs", "0:1=1;1:1=1"), ("returnCountOnly", "true")]).await;
    assert_eq!(both, json!({"layers": [{"id": 0, "count": 2}, {"id": 1, "count": 0}]}));
}

#[tokio::test]
async fn a_moment_before_the_history_is_refused_with_its_beginning() {
    let server = TestServer::with_trees().await;
    let start = server.get("0", &[]).await["archivingInfo"]["startArchivingMoment"].as_i64().unwrap();
    assert_eq!(server.get("0", &[]).await["archivingInfo"]["supportsQueryWithHistoricMoment"], true);
    assert_eq!(server.get("layers", &[]).await["layers"][0]["archivingInfo"]["startArchivingMoment"], start);
    let at = start.to_string();
    let answer = server.get("0/query", &[("historicMoment", at.as_str()), ("returnCountOnly", "true")]).await;
    assert_eq!(answer, json!({"count": 0}), "the beginning is part of the history");
    for before in [(start - 1).to_string(), "-99999999999999999".to_owned()] {
        let words = refusal(&server, "0/query", &[("historicMoment", &before)]).await;
        assert!(words.contains("'historicMoment'") && words.contains(&at), "{words}");
    }
    // What is forgotten cannot be asked for any more.
    for statement in [
        "insert into oak (species) values ('elm')",
        "update oak set species = 'fir'",
        "delete from oak",
        "update syncline.service set history_from = (select max(generation) from syncline.txn)",
    ] {
        server.database.sql(statement).await;
    }
    let later = server.get("0", &[]).await["archivingInfo"]["startArchivingMoment"].as_i64().unwrap();
    assert!(later > start, "{later}");
    let words = refusal(&server, "0/query", &[("historicMoment", &at)]).await;
    assert!(words.contains(&later.to_string()), "{words}");
    let now = later.to_string();
    let answer = server.get("0/query", &[("historicMoment", now.as_str()), ("returnCountOnly", "true")]).await;
    assert_eq!(answer, json!({"count": 0}));
}
