//! What documents say of rows: of those that whoever asks may see.

use serde_json::{Value as Json, json};

use super::{add, closed, define, get_as, ownership, token};
use crate::support::TestServer;

async fn layer(server: &TestServer, user: &str) -> Json {
    get_as(server, &token(user), "0", &[]).await
}

/// Where nothing is known.
const WORLD: [f64; 2] = [-20_037_508.342_789_244, 20_037_508.342_789_244];

/// The box of a layer's extent from west to east.
fn width(document: &Json) -> [f64; 2] {
    let extent = &document["extent"];
    [extent["xmin"].as_f64().unwrap(), extent["xmax"].as_f64().unwrap()]
}

#[tokio::test]
async fn s18_extents_and_times_are_of_the_rows_that_one_sees() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash", "elm"]).await;
    add(&server, "bob", 11, &["fir"]).await;
    server
        .database
        .sql("update oak set planted = case maker when 'ann' then '2001-01-01'::timestamptz else '2002-02-02' end")
        .await;
    define(&server, json!({"timeInfo": {"startTimeField": "planted"}})).await;
    assert!(layer(&server, "bob").await["editingInfo"]["lastEditDate"].is_i64(), "where nothing is kept from anybody");
    define(&server, ownership(false, true, true)).await;
    let (of_ann, of_bob) = (978_307_200_000_i64, 1_012_608_000_000_i64);
    // More than once, since what was found for one must not be told to another.
    for _ in 0..2 {
        for (user, box_of, times) in [
            ("boss", [1.0, 11.0], json!([of_ann, of_bob])),
            ("ann", [1.0, 2.0], json!([of_ann, of_ann])),
            ("bob", [11.0, 11.0], json!([of_bob, of_bob])),
            ("vera", WORLD, Json::Null),
        ] {
            let shown = layer(&server, user).await;
            assert_eq!(width(&shown), box_of, "{user}");
            assert_eq!(shown["timeInfo"]["timeExtent"], times, "{user}");
            let service = get_as(&server, &token(user), "", &[]).await;
            assert_eq!(service["fullExtent"]["xmin"], shown["extent"]["xmin"], "{user}");
            assert_eq!(
                shown["editingInfo"].is_object(),
                user == "boss",
                "when others edited is none of their business"
            );
        }
    }
}

#[tokio::test]
async fn the_extent_of_a_large_layer_with_policies_is_found_if_that_is_cheap_and_else_unknown() {
    let server = closed().await;
    define(&server, ownership(false, true, true)).await;
    server.database.sql("alter table oak add filler text").await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    let many = "insert into oak (filler, maker, shape, planted) select repeat('x', 700), 'ann', st_setsrid(st_makepoint(n % 50, 1), 3857), '2001-01-01' \
         from generate_series(1, 60000) n";
    server.database.sql(many).await;
    add(&server, "bob", 900_001, &["fir"]).await;
    server
        .database
        .sql("update oak set shape = st_setsrid(st_makepoint(77, 1), 3857) where maker = 'bob'; analyze oak")
        .await;
    assert_eq!(width(&layer(&server, "bob").await), WORLD, "nobody reads all of it for each user");
    server.database.sql("create index on oak (lower(maker))").await;
    server.database.sql("create index on oak (maker); analyze oak").await;
    assert_eq!(width(&layer(&server, "bob").await), [77.0, 77.0]);
    assert!(width(&layer(&server, "boss").await)[0] < 1.0, "of all rows, for who may see them");
}
