//! Clients that take up places and do nothing with them (S17).

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{Program, TestDatabase};

const HEAD: &str = "POST /arcgis/rest/services?f=json HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n";

/// Reads until the server has ended the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has ended, too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn s17_slow_clients_lose_their_connections_and_others_are_served() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database).with("SYNCLINE_CLIENT_TIMEOUT_SECONDS", 1);
    let server = program.serve();
    let begun = Instant::now();
    // One that never ends its head, one that never sends its body, one that says nothing, one that stops in a form.
    let form = "POST /arcgis/rest/services HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 500\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njs";
    let sent = ["GET /healthz HTTP/1.1\r\nX: ", HEAD, "", form];
    let mut idle: Vec<TcpStream> = sent
        .iter()
        .map(|text| {
            let mut stream = server.connect();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.post("", &[])["folders"], serde_json::json!([]), "others are served meanwhile");
    let told: Vec<String> = idle.iter_mut().map(rest).collect();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(
        told[1].contains("could not be read to its end") && told[3].contains("nothing more of it came"),
        "{told:?}"
    );
    server.stop();
}

#[tokio::test]
async fn s17_an_address_takes_no_more_than_its_part_of_the_connections() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database).with("SYNCLINE_MAX_CONNECTIONS_PER_ADDRESS", 5);
    let server = program.serve();
    let mut held: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut held {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
    }
    let refused = rest(&mut server.connect());
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("Retry-After: 5"), "{refused}");
    held.pop();
    // As soon as the server has seen that it is gone.
    let begun = Instant::now();
    loop {
        let mut stream = server.connect();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        if rest(&mut stream).starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "its place is never given to another");
    }
    drop(held);
    server.stop();
}
