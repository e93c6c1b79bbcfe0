//! The real program: serving, importing, looking after replicas and publications from the command line.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::{
    Program, TestDatabase,
    program::{Server, body},
};

const CITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/natural-earth/cities.gpkg");
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/natural-earth/countries.geojson");

/// Asks until the answer is as it must be, or for ten seconds: servers hear of other processes' changes in their own time.
fn eventually(server: &Server, path: &str, wanted: impl Fn(&Json) -> bool) -> Json {
    let started = Instant::now();
    loop {
        let answer = server.post(path, &[]);
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{path} is still {answer}");
        std::thread::yield_now();
    }
}

fn count(server: &Server, layer: &str) -> Json {
    server.post(&format!("natural-earth/FeatureServer/{layer}/query"), &[("where", "1=1"), ("returnCountOnly", "true")])
}

#[tokio::test]
async fn a_server_prints_its_address_and_finishes_what_is_under_way_when_it_is_asked_to_end() {
    let database = TestDatabase::new().await;
    database.sql("create table oak (objectid serial primary key, species text)").await;
    let program = Program::on(&database);
    program.done(&["publish", "--service", "trees", "--table", "public.oak"]);
    let server = program.serve();
    assert_eq!(server.line, format!("Syncline is ready at {}\n", server.url));
    assert!(
        server.url.starts_with("http://127.0.0.1:") && server.url.ends_with("/arcgis/rest/services"),
        "{}",
        server.url
    );
    let idle = server.connect();
    let form = "f=json&adds=[{\"attributes\":{\"species\":\"elm\"}}]";
    let mut under_way = server.connect();
    write!(
        under_way,
        "POST /arcgis/rest/services/trees/FeatureServer/0/applyEdits HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    )
    .unwrap();
    // The word to go on tells that the server is at it.
    let mut go_on = [0; 25];
    under_way.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(Signal::TERM);
    under_way.write_all(form.as_bytes()).unwrap();
    let answer = body(under_way);
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    let (status, rest) = server.wait();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""), "the standard output has one line");
    drop(idle);
    assert_eq!(database.value::<i64>("select count(*) from oak").await, 1);
}

#[tokio::test]
async fn files_are_imported_beside_a_running_server_which_shows_them_at_once() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database);
    let server = program.serve();
    let said = program.done(&["import", CITIES, "--service", "natural-earth", "--layer-name", "Cities"]);
    assert!(said.contains("243 rows of") && said.contains("/natural-earth/FeatureServer/0"), "{said}");
    assert_eq!(count(&server, "0"), json!({"count": 243}));
    let said = program.done(&["import", COUNTRIES, "--service", "natural-earth", "--layer-name", "Countries of 110m"]);
    assert!(said.contains("table natural_earth.countries_of_110m"), "{said}");
    let two = |service: &Json| service["layers"].as_array().is_some_and(|layers| layers.len() == 2);
    let service = eventually(&server, "natural-earth/FeatureServer", two);
    assert_eq!(
        (&service["layers"][0]["name"], &service["layers"][1]["name"]),
        (&json!("Cities"), &json!("Countries of 110m"))
    );
    assert_eq!(count(&server, "1"), json!({"count": 177}));
    let paris = [("where", "name = 'Paris'"), ("outFields", "*")];
    let paris = server.post("natural-earth/FeatureServer/0/query", &paris);
    assert_eq!(paris["features"][0]["attributes"]["country"], "France");
    assert_eq!(server.post("natural-earth/FeatureServer/1", &[])["geometryType"], "esriGeometryPolygon");
    for (arguments, words) in [
        (
            ["import", CITIES, "--service", "natural-earth", "--layer-name", "Cities"],
            "table natural_earth.cities exists already",
        ),
        (
            ["import", "/nowhere.gpkg", "--service", "natural-earth", "--layer-name", "x"],
            "there is no file /nowhere.gpkg",
        ),
        (["import", file!(), "--service", "natural-earth", "--layer-name", "x"], "GDAL cannot read"),
    ] {
        let complaint = program.failed(&arguments);
        assert!(complaint.contains(words), "{complaint}");
    }
    server.stop();
}

#[tokio::test]
async fn replicas_are_listed_shown_and_unregistered_from_the_command_line() {
    let database = TestDatabase::new().await;
    database.sql("create table oak (objectid serial primary key, species text)").await;
    let program = Program::on(&database);
    assert_eq!(program.done(&["replicas", "list"]), "No replicas.\n");
    program.done(&["publish", "--service", "trees", "--table", "oak", "--layer-name", "Oaks"]);
    let server = program.serve();
    let parameters = [
        ("layers", "0"),
        ("replicaName", "Crew 7"),
        ("layerQueries", r#"{"0":{"where":"species = 'elm'"}}"#),
        ("transportType", "esriTransportTypeEmbedded"),
    ];
    let replica = server.post("trees/FeatureServer/createReplica", &parameters);
    let id = replica["replicaID"].as_str().unwrap_or_else(|| panic!("{replica}"));
    let list = program.done(&["replicas", "list"]);
    assert!(list.contains(id) && list.contains("Crew 7") && list.contains("trees"), "{list}");
    let list: Json =
        serde_json::from_str(&program.done(&["replicas", "list", "--service", "trees", "--json"])).unwrap();
    assert_eq!((&list[0]["replicaID"], &list[0]["service"]), (&json!(id), &json!("trees")));
    let braced = format!("{{{}}}", id.to_uppercase());
    let shown = program.done(&["replicas", "show", &braced]);
    for word in ["Crew 7", "perReplica", "bidirectional", "Oaks", "where species = 'elm'", "generation"] {
        assert!(shown.contains(word), "{shown}");
    }
    let shown: Json = serde_json::from_str(&program.done(&["replicas", "show", id, "--json"])).unwrap();
    assert_eq!(shown, server.post(&format!("trees/FeatureServer/replicas/{id}"), &[]));
    assert!(program.done(&["replicas", "unregister", id]).contains("is unregistered"));
    assert_eq!(server.post("trees/FeatureServer/replicas", &[]), json!([]));
    for arguments in [["replicas", "show", id], ["replicas", "unregister", id], ["replicas", "show", "x"]] {
        let complaint = program.failed(&arguments);
        assert!(complaint.contains(arguments[2]) && complaint.contains("is not registered"), "{complaint}");
    }
}

#[tokio::test]
async fn a_replica_of_another_server_is_imported_from_the_command_line() {
    let (one, other) = (TestDatabase::new().await, TestDatabase::new().await);
    let table = "create table oak (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, species text)";
    one.sql(table).await;
    other.sql(table).await;
    // More than is read at once.
    one.sql("insert into oak (species) select 'elm ' || n from generate_series(1, 2500) n").await;
    let (program, its_double) = (Program::on(&one), Program::on(&other));
    for program in [&program, &its_double] {
        program.done(&["publish", "--service", "trees", "--table", "oak"]);
    }
    let server = program.serve();
    let parameters = [
        ("layers", "0"),
        ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
        ("targetType", "server"),
        ("replicaName", "twin"),
        ("transportType", "esriTransportTypeEmbedded"),
    ];
    let document = server.post("trees/FeatureServer/createReplica", &parameters);
    let id = document["replicaID"].as_str().unwrap_or_else(|| panic!("{document}"));
    let file = its_double.data().join("twin.json");
    std::fs::create_dir_all(its_double.data()).unwrap();
    std::fs::write(&file, document.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let said = its_double.done(&["replicas", "import", file, "--service", "trees"]);
    assert!(
        said.contains(id) && said.contains("direction upload") && said.contains("Layer 0: 2500 features"),
        "{said}"
    );
    let rows = "select md5(string_agg(globalid || species, ',' order by globalid)) from oak";
    assert_eq!(one.value::<String>(rows).await, other.value::<String>(rows).await);
    let again = its_double.failed(&["replicas", "import", file, "--service", "trees"]);
    assert!(again.contains("is registered in this database already"), "{again}");
    std::fs::write(file, "{\"layers\": [}").unwrap();
    let broken = its_double.failed(&["replicas", "import", file, "--service", "trees"]);
    assert!(broken.contains("is not the JSON that createReplica answers"), "{broken}");
    server.stop();
}

#[tokio::test]
async fn a_plan_is_printed_a_table_published_checked_and_unpublished() {
    let database = TestDatabase::new().await;
    database.sql("create table oak (species text); insert into oak values ('elm')").await;
    let program = Program::on(&database);
    assert!(program.done(&["check"]).contains("none yet"));
    let publish = ["publish", "--service", "trees", "--table", "public.oak"];
    let plan = program.done(&[&publish[..], &["--dry-run"]].concat());
    assert!(plan.contains("\nbegin;\n") && plan.ends_with("commit;\n"), "{plan}");
    assert!(plan.contains("-- no integer key") && plan.contains("zz_syncline_insert"), "{plan}");
    assert_eq!(database.value::<i64>("select count(*) from syncline.layer").await, 0);
    let said = program.done(&publish);
    assert!(said.contains("layer 0 of service trees") && said.contains("note: no integer key"), "{said}");
    assert!(program.failed(&publish).contains("published already"));
    let check = program.done(&["check"]);
    assert!(check.contains("trees with 1 layers") && check.ends_with("No problems found.\n"), "{check}");
    database.sql("alter table oak disable trigger zz_syncline_update").await;
    let output = program.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("PROBLEM:") && said.contains("by update are not recorded"), "{said}");
    let unknown = program.failed(&["definition", "show", "--service", "trees", "--layer", "ash"]);
    assert!(unknown.contains("no layer ash; there is 0 (public.oak)"), "{unknown}");
    program.done(&["definition", "show", "--service", "trees", "--layer", "oak"]);
    let said = program.done(&["unpublish", "--service", "trees", "--layer", "public.oak"]);
    assert!(said.contains("table public.oak and its rows stay"), "{said}");
    assert_eq!(database.value::<i64>("select count(*) from oak").await, 1);
    assert!(program.failed(&["unpublish", "--service", "trees", "--layer", "0"]).contains("no layer 0"));
}

#[tokio::test]
async fn a_taken_address_and_an_unreachable_database_are_said_to_be_so() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database);
    let server = program.serve();
    let complaint = program.failed(&["serve", "--listen", server.address()]);
    assert!(complaint.contains(&format!("cannot listen on {}", server.address())), "{complaint}");
    assert!(complaint.contains("--listen"), "{complaint}");
    let nowhere = TestDatabase::at("postgres://nobody@127.0.0.1:1/none");
    let complaint = Program::on(&nowhere).failed(&["check"]);
    assert!(complaint.contains("database cannot be reached"), "{complaint}");
}

/// One test for everything about the private database, since making one takes seconds.
#[test]
fn a_private_database_survives_a_killed_server_and_ends_with_the_last_user() {
    let program = Program::private();
    let server = program.serve();
    program.done(&["import", CITIES, "--service", "natural-earth", "--layer-name", "Cities"]);
    assert_eq!(count(&server, "0"), json!({"count": 243}));
    server.signal(Signal::KILL);
    assert_eq!(server.wait().0.code(), None);
    let server = program.serve();
    assert_eq!(count(&server, "0"), json!({"count": 243}), "the next server takes over");
    let running = || program.data().join("postgres/postmaster.pid").exists();
    assert!(running());
    assert!(program.done(&["check"]).contains("private"));
    assert!(running(), "a command leaves a database alone that a server uses");
    server.stop();
    assert!(!running(), "the database has ended with its last user");
    assert!(program.done(&["check"]).contains("natural-earth with 1 layers"), "a command starts it for itself");
    assert!(!running());
}
