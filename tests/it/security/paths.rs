//! Paths out of the data directory (S9).

use axum::{body::Body, http::Request};

use super::with_oaks;
use crate::support::server::text;

/// Stands in a file that nobody is to read.
const SECRET: &str = "nobody reads this";

/// Ways to write "one directory up, and then `name`".
fn climbs(name: &str) -> Vec<String> {
    let dots = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%uff0e%uff0e",
        "..;",
        "....",
        "%2e%2e%00",
        ". .",
        "%e3%80%82",
    ];
    let slashes = ["/", "%2f", "%2F", "%5c", "%255c", "%252f", "%c0%af", "%ef%bc%8f", "//", "/./", "%00/", "%0a/"];
    let mut all = Vec::new();
    for dot in dots {
        for slash in slashes {
            all.push(format!("{dot}{slash}{name}"));
            all.push([dot, slash, dot, slash, dot, slash, name].concat());
        }
    }
    for whole in [
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:///etc/passwd",
        "C:%5cwindows%5cwin.ini",
        "%5c%5chost%5cshare",
        "~root",
        "$HOME",
        "`id`",
        "nul",
        "con",
    ] {
        all.push(whole.to_owned());
    }
    all
}

#[tokio::test]
async fn s9_no_name_of_a_client_is_part_of_a_path() {
    let server = with_oaks().await;
    for place in ["secret", "exports/secret", "uploads/secret", "contents/secret", "spool/secret"] {
        std::fs::write(server.data().join(place), SECRET).unwrap();
    }
    let service = "/arcgis/rest/services/trees/FeatureServer";
    let bases = [
        format!("{service}/replicafilescache/"),
        format!("{service}/replicas/"),
        format!("{service}/jobs/"),
        format!("{service}/uploads/"),
        format!("{service}/0/1/attachments/"),
        format!("{service}/"),
        "/arcgis/static/".to_owned(),
        "/arcgis/rest/services/".to_owned(),
        "/".to_owned(),
    ];
    let climbs = climbs("secret");
    assert!(climbs.len() * 2 >= 500, "{}", climbs.len());
    let mut n = 0;
    for base in &bases {
        for climb in &climbs {
            let Ok(request) =
                Request::get(format!("{base}{climb}?f=json")).header("host", "test:80").body(Body::empty())
            else {
                continue;
            };
            let response = server.send(request).await;
            let status = response.status().as_u16();
            let body = text(response).await;
            assert!(
                status < 500 && !body.contains(SECRET) && !body.contains("root:"),
                "{base}{climb}: {status} {body}"
            );
            n += 1;
        }
    }
    assert!(n > 2_000, "{n}");
    // Names that clients give to what they send are told again, and nothing else.
    let before = files(server.data());
    for name in [
        "../../evil.txt",
        "..\\evil.txt",
        "/tmp/evil.txt",
        "a\u{0}b.txt",
        "%2e%2e%2fevil.txt",
        "....//evil.txt",
        "CON.txt",
        "evil.txt/../../x",
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
        );
        let _ = server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=b", body).await;
        let _ = server.post("uploads/register", &[("itemName", name)]).await;
        let _ = server.post("createReplica", &[("layers", "0"), ("replicaName", name), ("dataFormat", "sqlite")]).await;
    }
    for file in files(server.data()) {
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".json");
        assert!(before.contains(&file) || name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}");
    }
}

fn files(of: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}
