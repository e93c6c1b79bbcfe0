//! T-F1: what a row was, what it is, and what a replica is sent of it and of what belongs to it, for every kind of filter.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use syncline::model::{definition::Declaration, id::LayerId};
use uuid::Uuid;

use crate::support::TestServer;

/// How a row stands to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Absent,
    In,
    Out,
}

use Standing::{Absent, In, Out};

const STANDINGS: [Standing; 3] = [Absent, In, Out];

/// A kind of filter: what the client asks for, and the girth and easting of rows inside and outside.
struct Kind {
    name: &'static str,
    layer_query: &'static str,
    geometry: &'static str,
    inside: Option<(i32, i32)>,
    outside: Option<(i32, i32)>,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "all",
        layer_query: r#"{"0":{"queryOption":"all"}}"#,
        geometry: "0,0,100,100",
        inside: Some((1, 500)),
        outside: None,
    },
    Kind {
        name: "attribute",
        layer_query: r#"{"0":{"where":"girth < 10"}}"#,
        geometry: "",
        inside: Some((1, 500)),
        outside: Some((50, 500)),
    },
    Kind {
        name: "geometry",
        layer_query: r#"{"0":{"queryOption":"useFilter"}}"#,
        geometry: "0,0,100,100",
        inside: Some((50, 5)),
        outside: Some((50, 500)),
    },
    Kind {
        name: "attribute and geometry",
        layer_query: r#"{"0":{"where":"girth < 10","useGeometry":true}}"#,
        geometry: "0,0,100,100",
        inside: Some((1, 5)),
        outside: Some((1, 500)),
    },
    Kind {
        name: "none",
        layer_query: r#"{"0":{"queryOption":"none"}}"#,
        geometry: "0,0,100,100",
        inside: None,
        outside: Some((1, 5)),
    },
];

/// How a row gets from what it was to what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Straight,
    /// Over every other standing, in one transaction.
    Wandering,
    /// … in a transaction for each.
    WanderingSlowly,
    /// Deleted and made again under the same global id.
    MadeAgain,
}

const WAYS: [Way; 4] = [Way::Straight, Way::Wandering, Way::WanderingSlowly, Way::MadeAgain];

impl Kind {
    fn can(&self, standing: Standing) -> bool {
        match standing {
            Absent => true,
            In => self.inside.is_some(),
            Out => self.outside.is_some(),
        }
    }

    /// The statement after which a row stands so. Each row is another one than before, also if it stands where it stood.
    fn put(&self, id: Uuid, standing: Standing, height: usize) -> String {
        let (girth, x) = match standing {
            Absent => return format!("delete from oak where globalid = '{id}';"),
            In => self.inside.unwrap(),
            Out => self.outside.unwrap(),
        };
        format!(
            "insert into oak (globalid, girth, height, shape) values ('{id}', {girth}, {height}, ST_Point({x}, 5, 3857))
             on conflict (globalid) do update set girth = excluded.girth, height = excluded.height, shape = excluded.shape;"
        )
    }

    fn statements(&self, id: Uuid, row: &RowCase) -> String {
        let between = |glue: &str| {
            let stations = STANDINGS.into_iter().filter(|&standing| self.can(standing));
            stations.enumerate().map(|(height, standing)| self.put(id, standing, height + 2) + glue).collect::<String>()
        };
        let before = match row.way {
            Way::Straight => String::new(),
            Way::Wandering => format!("begin; {}", between("")),
            Way::WanderingSlowly => format!("begin; {}", between("commit; begin;")),
            Way::MadeAgain => format!("begin; {}", self.put(id, Absent, 0)),
        };
        let after = if row.way == Way::Straight { "" } else { "commit;" };
        format!("{before} {} {after}", self.put(id, row.now, 9))
    }
}

/// A row's fate between two synchronizations.
#[derive(Clone, Copy, Debug)]
struct RowCase {
    then: Standing,
    now: Standing,
    way: Way,
}

fn id_of(n: usize) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0000_0000 + n as u128)
}

/// The visit of a tree: it belongs to it, and has its number.
fn visit(n: usize) -> String {
    format!("insert into visit (globalid, oak_id, note) values ('{0}', '{0}', 'seen');", id_of(n))
}

/// An attachment of a tree, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    /// It is there from the beginning, unless its tree is not.
    Kept = 1,
    /// It gets another name.
    Renamed,
    /// It comes later, if its tree is there then.
    New,
}

const FILES: [File; 3] = [File::Kept, File::Renamed, File::New];

impl File {
    fn id(self, n: usize) -> Uuid {
        Uuid::from_u128(id_of(n).as_u128() + ((self as u128) << 64))
    }

    fn add(self, table: &str) -> String {
        format!(
            "insert into {table} (globalid, parent_globalid, name, content_type, size_bytes, sha256)
             select overlay(globalid::text placing '{}' from 18 for 1)::uuid, globalid, 'a', 'a/b', 1, repeat('a', 64) from oak;",
            self as usize
        )
    }

    /// The list of a delta in which it stands for a row with this fate.
    fn list(self, row: &RowCase) -> Option<&'static str> {
        // It goes with its tree, and does not come back with it.
        let survives = row.then != Absent && row.way == Way::Straight;
        let was = self != File::New && row.then == In;
        let is = row.now == In && (self == File::New || survives);
        match (was, is) {
            (false, true) => Some("adds"),
            (true, false) => Some("deleteIds"),
            (true, true) if self == File::Renamed => Some("updates"),
            _ => None,
        }
    }
}

/// The ids in a list of a delta.
fn ids(features: &Json, list: &str) -> BTreeSet<Uuid> {
    let id = |element: &Json| {
        let of_row = element["globalId"].as_str().or_else(|| element["attributes"]["globalid"].as_str());
        let id = element.as_str().unwrap_or_else(|| of_row.unwrap());
        Uuid::try_parse(id).unwrap()
    };
    let list = features[list].as_array().map_or(&[][..], Vec::as_slice);
    let ids: BTreeSet<Uuid> = list.iter().map(id).collect();
    assert_eq!(ids.len(), list.len(), "a row stands twice in {features}");
    ids
}

async fn synchronize(server: &TestServer, held: &Json) -> Json {
    let mut parameters = vec![
        ("replicaID", held["replicaID"].as_str().unwrap_or_else(|| panic!("{held}")).to_owned()),
        ("transportType", "esriTransportTypeEmbedded".to_owned()),
    ];
    match held.get("layerServerGens") {
        Some(generations) => {
            let layers = generations.to_string().replace('}', r#","syncDirection":"download"}"#);
            parameters.push(("syncLayers", layers));
        }
        None => {
            parameters.push(("syncDirection", "download".to_owned()));
            parameters.push(("replicaServerGen", held["replicaServerGen"].to_string()));
        }
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.post("synchronizeReplica", &parameters).await
}

#[tokio::test]
async fn every_row_comes_and_goes_as_its_filter_says() {
    let server = TestServer::with_trees().await;
    // Without a foreign key, so that a visit stays when its tree goes.
    let end = |layer, field: &str| (LayerId(layer), field.to_owned());
    let belongs = Declaration { name: None, origin: end(0, "globalid"), destination: end(1, "oak_id") };
    server.app.store.relate("trees", &belongs).await.unwrap();
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    let files: String = server
        .database
        .value("select 'syncline.' || table_name from syncline.layer where attached_to is not null")
        .await;
    for kind in &KINDS {
        let mut rows = Vec::new();
        for then in STANDINGS {
            for now in STANDINGS {
                for way in WAYS {
                    if kind.can(then) && kind.can(now) {
                        rows.push(RowCase { then, now, way });
                    }
                }
            }
        }
        let before: String = rows.iter().enumerate().map(|(n, row)| kind.put(id_of(n), row.then, 1)).collect();
        let visits: String = (0..rows.len()).map(visit).collect();
        let attached = File::Kept.add(&files) + &File::Renamed.add(&files);
        server.database.sql(&format!("truncate oak, visit; {before} {visits} {attached}")).await;
        let mut replicas = Vec::new();
        for model in ["perReplica", "perLayer"] {
            let parameters = [
                ("layers", "0,1"),
                ("layerQueries", kind.layer_query),
                ("geometry", kind.geometry),
                ("syncModel", model),
                ("returnAttachments", "true"),
                ("transportType", "esriTransportTypeEmbedded"),
            ];
            replicas.push((model, server.post("createReplica", &parameters).await));
        }
        for (n, row) in rows.iter().enumerate() {
            server.database.sql(&kind.statements(id_of(n), row)).await;
        }
        let rename =
            format!("update {files} set name = 'b' where globalid::text like '%-400{}-%'", File::Renamed as usize);
        server.database.sql(&format!("{rename}; {}", File::New.add(&files))).await;
        let those = |then: bool, now: bool| -> BTreeSet<Uuid> {
            let chosen = rows.iter().enumerate().filter(|(_, row)| (row.then == In, row.now == In) == (then, now));
            chosen.map(|(n, _)| id_of(n)).collect()
        };
        for (model, replica) in replicas {
            for layer in [0, 1] {
                let held: BTreeSet<Uuid> = ids(&replica["layers"][layer], "features");
                assert_eq!(held, &those(true, true) | &those(true, false), "{} {model}: {replica}", kind.name);
            }
            let delta = synchronize(&server, &replica).await;
            // Unchanged visits come and go with their trees.
            for (layer, updated) in [(0, those(true, true)), (1, BTreeSet::new())] {
                let features = &delta["edits"][layer]["features"];
                for (list, expected) in
                    [("adds", those(false, true)), ("updates", updated), ("deleteIds", those(true, false))]
                {
                    let wrong: Vec<RowCase> = ids(features, list)
                        .symmetric_difference(&expected)
                        .map(|id| rows[usize::try_from(id.as_u128() - id_of(0).as_u128()).unwrap()])
                        .collect();
                    assert!(wrong.is_empty(), "{} {model} layer {layer} {list}: {wrong:?}", kind.name);
                }
            }
            for file in FILES {
                let of = |list: &str| -> BTreeSet<Uuid> {
                    let here = ids(&delta["edits"][0]["attachments"], list);
                    here.into_iter().filter(|id| (0..rows.len()).any(|n| file.id(n) == *id)).collect()
                };
                for list in ["adds", "updates", "deleteIds"] {
                    let expected: BTreeSet<Uuid> =
                        (0..rows.len()).filter(|&n| file.list(&rows[n]) == Some(list)).map(|n| file.id(n)).collect();
                    let wrong: Vec<RowCase> = (0..rows.len())
                        .filter(|&n| of(list).contains(&file.id(n)) != expected.contains(&file.id(n)))
                        .map(|n| rows[n])
                        .collect();
                    assert!(wrong.is_empty(), "{} {model} {file:?} {list}: {wrong:?}", kind.name);
                }
            }
            let next = synchronize(&server, &delta).await;
            assert_eq!(next["responseType"], "esriReplicaResponseTypeNoEdits", "{} {model}: {next}", kind.name);
        }
    }
}
