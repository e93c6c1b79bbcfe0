//! T-K1: servers that are killed at the steps of what else they do: uploads of files, edits, attachments, and forgetting. A lock on
//! a table holds the server at a statement that is known by its name.

use std::{io::Write as _, net::TcpStream};

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::kills::{Stage, run};
use crate::support::{program::body, server::encode};

/// What nobody may do to a table meanwhile.
#[derive(Clone, Copy, Debug)]
enum Held {
    Reading,
    Writing,
}

/// A request that can be sent again.
struct Request {
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Request {
    fn form(path: &str, parameters: &[(&str, &str)]) -> Request {
        Request {
            path: path.to_owned(),
            content_type: "application/x-www-form-urlencoded",
            body: encode(parameters).into_bytes(),
        }
    }

    fn file(path: &str, content: &str, part: Option<&str>) -> Request {
        let number =
            part.map(|number| format!("--cut\r\nContent-Disposition: form-data; name=\"partId\"\r\n\r\n{number}\r\n"));
        let body = format!(
            "{}--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{content}\r\n--cut--\r\n",
            number.unwrap_or_default()
        );
        Request {
            path: format!("{path}?f=json"),
            content_type: "multipart/form-data; boundary=cut",
            body: body.into_bytes(),
        }
    }

    fn send(&self, stage: &Stage) -> TcpStream {
        let mut stream = stage.server().connect();
        write!(
            stream,
            "POST /arcgis/rest/services/trees/FeatureServer/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            self.path,
            self.content_type,
            self.body.len()
        )
        .unwrap();
        stream.write_all(&self.body).unwrap();
        stream
    }
}

/// Sends a request, kills the server when it stands before this statement, and starts it again.
async fn kill_at(stage: &mut Stage, table: &str, held: Held, statement: &str, request: &Request) {
    hold(stage, table, held).await;
    let client = request.send(stage);
    until_at(stage, statement).await;
    stage.kill().await;
    drop(client);
}

async fn hold(stage: &mut Stage, table: &str, held: Held) {
    let mode = match held {
        Held::Reading => "access exclusive",
        Held::Writing => "share",
    };
    run(&mut stage.keeper, &format!("begin; lock table {table} in {mode} mode")).await;
}

async fn until_at(stage: &Stage, statement: &str) {
    let stands = format!(
        "select exists (select from pg_stat_activity where datname = current_database() and application_name = 'syncline'
           and wait_event_type = 'Lock' and query like '-- {statement}%')"
    );
    stage.database.until(&stands).await;
}

/// Sends a request again, which is answered now.
fn repeat(stage: &Stage, request: &Request) -> Json {
    let answer = body(request.send(stage));
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// Every row about a file has it, whole.
async fn check_files(stage: &Stage, case: &str) {
    let rows: Vec<(String, i64, Vec<u8>)> = sqlx::query_as(
        "select replace(file_id::text, '-', ''), size_bytes, sha256 from syncline.upload_item where file_id is not null
         union all select replace(file_id::text, '-', ''), size_bytes, sha256 from syncline.upload_part",
    )
    .fetch_all(&mut stage.database.connect().await)
    .await
    .unwrap();
    for (name, size, sha256) in rows {
        let bytes = std::fs::read(stage.program.data().join("uploads").join(&name))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!((i64::try_from(bytes.len()).unwrap(), Sha256::digest(&bytes).to_vec()), (size, sha256), "{case}");
    }
}

#[tokio::test]
async fn files_of_a_server_killed_at_any_step_of_an_upload_are_whole_or_not_there() {
    let mut stage = Stage::new().await;
    let (item, part) = ("syncline.upload_item", "syncline.upload_part");
    let whole = Request::file("uploads/upload", "[]", None);
    kill_at(&mut stage, item, Held::Writing, "upload_item_insert", &whole).await;
    check_files(&stage, "upload").await;
    assert_eq!(stage.database.value::<i64>("select count(*) from syncline.upload_item").await, 0, "nobody heard of it");
    repeat(&stage, &whole);
    let register = Request::form("uploads/register", &[("itemName", "edits.json")]);
    kill_at(&mut stage, item, Held::Writing, "upload_item_insert", &register).await;
    let registered = repeat(&stage, &register);
    let id = registered["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{registered}"));

    // The edits that will come out of it in the end.
    let edits =
        r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{AAAAAAAA-0009-4000-8000-000000000001}"}}]}}]"#;
    let (first, second) = edits.split_at(40);
    for (number, content, table, held, statement) in [
        ("1", first, item, Held::Writing, "upload_item_use"),
        ("1", first, part, Held::Reading, "upload_part_list"),
        ("1", first, part, Held::Writing, "upload_part_put"),
        // A part that comes again replaces the one that is there.
        ("1", first, part, Held::Writing, "upload_part_put"),
        ("2", second, part, Held::Writing, "upload_part_put"),
    ] {
        let request = Request::file(&format!("uploads/{id}/uploadPart"), content, Some(number));
        kill_at(&mut stage, table, held, statement, &request).await;
        check_files(&stage, &format!("part {number} at {statement}")).await;
        repeat(&stage, &request);
    }
    let commit = Request::form(&format!("uploads/{id}/commit"), &[("parts", "1,2")]);
    for (held, statement) in [(Held::Reading, "upload_part_list"), (Held::Writing, "upload_part_delete")] {
        kill_at(&mut stage, part, held, statement, &commit).await;
        check_files(&stage, &format!("commit at {statement}")).await;
        let n_parts: i64 = stage.database.value("select count(*) from syncline.upload_part").await;
        assert_eq!(n_parts, 2, "commit at {statement}: the parts are there until it is done");
    }
    assert_eq!(repeat(&stage, &commit)["item"]["committed"], true);
    assert_eq!(repeat(&stage, &commit)["item"]["committed"], true);
    check_files(&stage, "commit").await;

    let replica = stage.post("createReplica", &[("layers", "0,1"), ("transportType", "esriTransportTypeEmbedded")]);
    let generation = replica["replicaServerGen"].to_string();
    let taken = stage.post(
        "synchronizeReplica",
        &[
            ("replicaID", replica["replicaID"].as_str().unwrap()),
            ("replicaServerGen", &generation),
            ("editsUploadId", id),
            ("editsUploadFormat", "json"),
        ],
    );
    assert!(taken.get("error").is_none(), "{taken}");
    assert_eq!(stage.database.value::<i64>("select count(*) from oak").await, 2, "its edits are whole");
    let delete = Request::form(&format!("uploads/{id}/delete"), &[]);
    kill_at(&mut stage, item, Held::Writing, "upload_item_use", &delete).await;
    check_files(&stage, "delete").await;
    repeat(&stage, &delete);
}

#[tokio::test]
async fn edits_of_a_server_killed_at_any_step_of_them_are_made_once_or_not_at_all() {
    let mut stage = Stage::new().await;
    stage.attach().await;
    let attachments: String =
        stage.database.value("select table_name from syncline.layer where attached_to is not null").await;
    let attachments = format!("syncline.{attachments}");
    let changes: String = stage
        .database
        .value("select 'syncline.change_' || layer_key from syncline.layer where attached_to is not null")
        .await;
    for (number, (table, attached)) in [
        ("oak", false),
        ("syncline.change_1", false),
        ("syncline.txn", false),
        (attachments.as_str(), true),
        (changes.as_str(), true),
    ]
    .into_iter()
    .enumerate()
    {
        let id = |n: usize| format!("{{DDDDDDDD-{number:04}-4000-8000-{n:012}}}");
        let adds = json!([{"attributes": {"globalid": id(1)}}, {"attributes": {"globalid": id(2)}}]);
        let replica = stage.post(
            "createReplica",
            &[("layers", "0,1"), ("returnAttachments", "true"), ("transportType", "esriTransportTypeEmbedded")],
        );
        let generation = replica["replicaServerGen"].to_string();
        let request = if attached {
            let files = json!({"adds": [{"globalId": id(3), "parentGlobalId": id(1), "name": "a", "contentType": "a/b", "data": "aGk="}]});
            let edits = json!([{"id": 0, "features": {"adds": adds}, "attachments": files}]).to_string();
            Request::form(
                "synchronizeReplica",
                &[
                    ("replicaID", replica["replicaID"].as_str().unwrap()),
                    ("replicaServerGen", &generation),
                    ("edits", &edits),
                    ("transportType", "esriTransportTypeEmbedded"),
                ],
            )
        } else {
            Request::form("0/applyEdits", &[("useGlobalIds", "true"), ("adds", &adds.to_string())])
        };
        let made = format!(
            "select (select count(*) from oak where globalid::text like 'dddddddd-{number:04}%')
               + (select count(*) from {attachments} where globalid::text like 'dddddddd-{number:04}%')"
        );
        // Whatever statement it is, nothing else writes to the table now.
        kill_at(&mut stage, table, Held::Writing, "", &request).await;
        assert_eq!(stage.database.value::<i64>(&made).await, 0, "{table}: nothing is half");
        repeat(&stage, &request);
        repeat(&stage, &request);
        assert_eq!(stage.database.value::<i64>(&made).await, if attached { 3 } else { 2 }, "{table}: one effect");
        if !attached {
            stage.check_books(table).await;
        }
    }
    let replica = stage.post("createReplica", &[("layers", "0,1"), ("transportType", "esriTransportTypeEmbedded")]);
    let id = replica["replicaID"].as_str().unwrap();
    let unregister = Request::form("unRegisterReplica", &[("replicaID", id)]);
    kill_at(&mut stage, "syncline.replica", Held::Writing, "replica_unregister", &unregister).await;
    assert_eq!(stage.post("unRegisterReplica", &[("replicaID", id)])["success"], true, "it was still there");
}

/// Forgetting ends between two steps: there is always the history that is promised, and the next one goes on.
#[tokio::test]
async fn a_process_killed_at_any_step_of_forgetting_leaves_the_history_that_is_promised() {
    let mut stage = Stage::new().await;
    let old = stage.post("createReplica", &[("layers", "0,1"), ("transportType", "esriTransportTypeEmbedded")]);
    for n in 0..5 {
        stage
            .database
            .sql(&format!("insert into oak (species) values ('{n}'); update oak set species = 'x' || species"))
            .await;
    }
    let live = stage.post("createReplica", &[("layers", "0,1"), ("transportType", "esriTransportTypeEmbedded")]);
    stage
        .database
        .sql("delete from oak where species = 'xelm'; update oak set species = 'y' where species = 'x4'")
        .await;
    stage.post("unRegisterReplica", &[("replicaID", old["replicaID"].as_str().unwrap())]);
    stage.database.sql("update syncline.txn set committed_at = committed_at - interval '400 days'").await;
    let forget = ["prune"];
    let ask = |stage: &Stage, generation: &str| {
        stage.post(
            "synchronizeReplica",
            &[
                ("replicaID", live["replicaID"].as_str().unwrap()),
                ("replicaServerGen", generation),
                ("syncDirection", "download"),
                ("transportType", "esriTransportTypeEmbedded"),
            ],
        )
    };
    let generation = live["replicaServerGen"].to_string();
    let expected = ask(&stage, &generation)["edits"].clone();
    assert!(expected.is_array(), "{expected}");
    for (table, statement) in [
        ("syncline.service", "service_raise_history"),
        ("syncline.change_1", "changes_delete"),
        ("syncline.layer", "layer_note_pruned"),
        ("syncline.txn", "txn_delete_old"),
    ] {
        hold(&mut stage, table, Held::Writing).await;
        let mut pruning = stage.program.start(&forget);
        until_at(&stage, statement).await;
        pruning.kill().unwrap();
        pruning.wait().unwrap();
        run(&mut stage.keeper, "rollback").await;
        assert_eq!(ask(&stage, &generation)["edits"], expected, "{statement}: the live replica lacks nothing");
    }
    stage.program.done(&forget);
    assert_eq!(ask(&stage, &generation)["edits"], expected);
    let left = format!("select count(*) from syncline.txn where generation <= {generation}");
    assert_eq!(stage.database.value::<i64>(&left).await, 0, "the next one did it all");
}
