//! A server that is not ours: it speaks as older ones do, and its manners are others.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value as Json, json};

use super::open;
use crate::support::Program;

/// A feature service with one table of points, in memory. It knows one generation for all, answers a creation by a job whose
/// status it spells in its own way, puts ids of layers behind their rows, wants a token, and refuses a whole request for one bad edit.
#[derive(Default)]
struct Stranger {
    rows: BTreeMap<String, Json>,
    generation: i64,
    n_polls: u32,
    n_requests: u32,
    unregistered: Vec<String>,
}

const TOKEN: &str = "s3cr3t-t0ken";

impl Stranger {
    fn answer(&mut self, base: &str, path: &str, form: &BTreeMap<String, String>) -> Json {
        if form.get("token").map(String::as_str) != Some(TOKEN) {
            return json!({"error": {"code": 499, "message": "Token Required", "details": []}});
        }
        match path {
            "/rest/services/old/FeatureServer" => json!({
                "layers": [{"id": 7, "name": "Wells & Springs"}], "tables": [], "capabilities": "Create,Delete,Query,Sync,Update",
                "syncEnabled": true, "syncCapabilities": {"supportsASync": true}, "spatialReference": {"wkid": 102100},
            }),
            "/rest/services/old/FeatureServer/7" => json!({
                "id": 7, "name": "Wells & Springs", "type": "Feature Layer", "geometryType": "esriGeometryPoint", "objectIdField": "FID",
                "globalIdField": "GlobalID", "fields": [
                    {"name": "FID", "type": "esriFieldTypeOID"}, {"name": "GlobalID", "type": "esriFieldTypeGlobalID"},
                    {"name": "Depth", "type": "esriFieldTypeDouble"}, {"name": "Drilled", "type": "esriFieldTypeDate"},
                    {"name": "Made By", "type": "esriFieldTypeString", "length": 20, "editable": false}, {"name": "Photo", "type": "esriFieldTypeBlob"}],
            }),
            "/rest/services/old/FeatureServer/createReplica" => {
                assert_eq!(form["syncModel"], "perReplica");
                assert_eq!(form["layers"], "7");
                json!({"statusURL": format!("{base}/rest/services/old/FeatureServer/jobs/1")})
            }
            "/rest/services/old/FeatureServer/jobs/1" => {
                self.n_polls += 1;
                match self.n_polls {
                    1 => json!({"status": "esriJobSubmitted"}),
                    2 => json!({"status": "ExportingData"}),
                    _ => json!({"status": "Completed", "responseUrl": format!("{base}/files/1.json")}),
                }
            }
            "/files/1.json" => {
                let features: Vec<&Json> = self.rows.values().collect();
                json!({"layers": [{"features": features, "id": 7}], "replicaID": "AB-1", "replicaName": "x", "replicaServerGen": self.generation})
            }
            "/rest/services/old/FeatureServer/synchronizeReplica" => self.synchronize(form),
            "/rest/services/old/FeatureServer/replicas" => {
                json!([{"replicaName": "somebody's", "replicaID": "CD-2"}, {"replicaName": "x", "replicaID": "AB-1"}])
            }
            "/rest/services/old/FeatureServer/unRegisterReplica" => {
                self.unregistered.push(form["replicaID"].clone());
                json!({"success": true})
            }
            _ => json!({"error": {"code": 400, "message": "Invalid URL", "details": []}}),
        }
    }

    fn synchronize(&mut self, form: &BTreeMap<String, String>) -> Json {
        self.n_requests += 1;
        let edits: Json = form.get("edits").map_or(Json::Null, |text| serde_json::from_str(text).unwrap());
        let features = &edits[0]["features"];
        let of = |key: &str| features[key].as_array().cloned().unwrap_or_default();
        let puts = [of("adds"), of("updates")].concat();
        if puts.iter().any(|feature| feature["attributes"]["Depth"] == -1.0) {
            return json!({"error": {"code": 400, "message": "Unable to complete operation.", "details": ["Depth must be positive"]}});
        }
        for mut feature in puts {
            let id = feature["attributes"]["GlobalID"].as_str().unwrap().to_owned();
            let n = self.rows.len() + 100;
            let row = self.rows.entry(id).or_insert_with(|| json!({"attributes": {"FID": n}}));
            for (name, value) in feature["attributes"].as_object_mut().unwrap() {
                row["attributes"][name.as_str()] = value.take();
            }
            if feature.get("geometry").is_some() {
                row["geometry"] = feature["geometry"].take();
            }
        }
        for id in of("deleteIds") {
            self.rows.remove(id.as_str().unwrap());
        }
        self.generation += 1;
        // It tells everybody everything, also what they know.
        let rows: Vec<&Json> = self.rows.values().collect();
        json!({"transportType": "esriTransportTypeEmbedded", "responseType": "esriReplicaResponseTypeEdits", "replicaServerGen": self.generation.to_string(),
            "edits": [{"features": {"adds": rows, "updates": null}, "id": 7}]})
    }
}

fn serve(stranger: &Arc<Mutex<Stranger>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stranger, own) = (stranger.clone(), base.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            respond(stream.unwrap(), &own, &stranger);
        }
    });
    base
}

fn respond(mut stream: TcpStream, base: &str, stranger: &Mutex<Stranger>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let target = first.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let form = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .chain(form_urlencoded::parse(&body).into_owned())
        .collect();
    let answer = stranger.lock().unwrap().answer(base, path, &form).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .unwrap();
}

#[test]
fn a_server_with_other_manners_is_understood_and_a_bad_edit_does_not_hold_up_the_others() {
    let stranger = Arc::new(Mutex::new(Stranger { generation: 41, ..Stranger::default() }));
    let id = "0B9FC2A5-6B0F-4D3C-8A51-0123456789AB";
    stranger.lock().unwrap().rows.insert(
        format!("{{{id}}}"),
        json!({"attributes": {"FID": 1, "globalid": id.to_lowercase(), "Depth": 2, "Drilled": -1, "Made By": "them"}, "geometry": {"x": 1, "y": 2.5}}),
    );
    let url = format!("{}/rest/services/old/FeatureServer/", serve(&stranger));
    let program = Program::private();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wells.gpkg");
    let file = path.to_str().unwrap();
    let complaint = program.failed(&["clone", &url, file]);
    assert!(complaint.contains("Token Required"), "{complaint}");
    program.done(&["clone", &url, file, "--no-spatial-index", "--token", TOKEN]);
    let db = open(&path);
    let row: (i64, String, f64, String, String) = db
        .query_row("select FID, GlobalID, Depth, Drilled, \"Made By\" from Wells___Springs", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .unwrap();
    assert_eq!(row, (1, format!("{{{id}}}"), 2.0, "1969-12-31T23:59:59.999Z".to_owned(), "them".to_owned()));
    for depth in [5, 6, -1, 7, 8, 9] {
        db.execute("insert into Wells___Springs (Depth, \"Made By\") values (?1, 'me')", [depth]).unwrap();
    }
    db.execute("update Wells___Springs set Depth = 3 where FID = 1", []).unwrap();
    let output = program.run(&["sync", file, "--json", "--token", TOKEN]);
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(
        (&said["sent"], &said["refused"][0]["description"]),
        (&6.into(), &"Unable to complete operation.; Depth must be positive".into()),
        "{said}"
    );
    let depths = |stranger: &Mutex<Stranger>| {
        let mut depths: Vec<i64> = stranger
            .lock()
            .unwrap()
            .rows
            .values()
            .map(|row| row["attributes"]["Depth"].as_f64().unwrap().to_string().parse().unwrap())
            .collect();
        depths.sort_unstable();
        depths
    };
    assert_eq!(depths(&stranger), [3, 5, 6, 7, 8, 9]);
    db.execute("update Wells___Springs set Depth = 4 where Depth = -1", []).unwrap();
    let output = program.run(&["sync", file, "--json", "--token", TOKEN]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(depths(&stranger), [3, 4, 5, 6, 7, 8, 9]);
    let fids: i64 =
        db.query_row("select count(*) from Wells___Springs where FID < 1000", [], |row| row.get(0)).unwrap();
    assert_eq!(fids, 7, "rows have the server's object ids");
    assert_eq!(stranger.lock().unwrap().unregistered, Vec::<String>::new(), "what others hold is left alone");
    // Who asks is told to nobody else.
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()), "the token is not in the file");
}
