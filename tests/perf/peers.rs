//! Other servers on the same table, if somebody has installed them: tipg and pygeoapi, one process each.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Result,
    bed::Bed,
    data::LARGE,
    http::{Client, Request},
    report::progress,
};

/// How long one may take to begin.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running server.
pub struct Peer {
    /// What it is called in the table of results.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    path: String,
    /// What it calls GeoJSON.
    format: &'static str,
    child: Child,
}

impl Peer {
    /// Starts those that `python` has; one that does not start is told, and left out.
    pub fn start_all(bed: &Bed, python: &Path) -> Vec<Peer> {
        let known = [
            ("tipg", "query, pages of 1,000, against tipg", format!("/collections/public.{LARGE}/items"), "geojson"),
            ("pygeoapi", "query, pages of 1,000, against pygeoapi", format!("/collections/{LARGE}/items"), "json"),
        ];
        let mut started = Vec::new();
        for (program, name, path, format) in known {
            match Peer::start(bed, python, &format!("{program}_server.py"), |address, child| Peer {
                name,
                address,
                path,
                format,
                child,
            }) {
                Ok(peer) => started.push(peer),
                Err(error) => progress(&format!("{program} does not start: {error}")),
            }
        }
        started
    }

    fn start(bed: &Bed, python: &Path, script: &str, peer: impl FnOnce(SocketAddr, Child) -> Peer) -> Result<Peer> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(python)
            .arg(format!("{}/tests/perf/peers/{script}", env!("CARGO_MANIFEST_DIR")))
            .arg(bed.url.replacen("postgres:", "postgresql:", 1))
            .arg(address.port().to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut peer = peer(address, child);
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = peer.child.try_wait()? {
                return Err(format!("it ended with {status}").into());
            }
            if started.elapsed() > PATIENCE {
                return Err("it does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // That it listens does not say that it answers.
        let (page, _) = Client::connect(address)?.send(&peer.page(&[-180.0, -90.0, 180.0, 90.0], 2))?;
        let page: serde_json::Value = serde_json::from_slice(&page)?;
        match page["features"].as_array().map(Vec::len) {
            Some(2) => Ok(peer),
            _ => Err(format!("it answers {page}").into()),
        }
    }

    /// A page of features in a box.
    pub fn page(&self, corners: &[f64; 4], n_features: u32) -> Request {
        let listed = corners.map(|corner| corner.to_string()).join(",");
        Request::plain(&self.path, &[("bbox", &listed), ("limit", &n_features.to_string()), ("f", self.format)])
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
