//! Listening: connections are taken as long as there is room for them, and none may hold its place by saying nothing.

use std::{
    collections::HashMap,
    io::Result as IoResult,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tower::ServiceExt as _;

/// How much of the server clients may take up with connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections there are at the same time; more wait.
    pub n_connections: u32,
    /// How many of one address; more are refused. 0: any number.
    pub n_per_address: u32,
    /// How long the head of a request may take.
    pub head: Duration,
}

/// What is said to an address that has as many connections as it may.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Serves requests until `ending` says so; then those that are under way are finished.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut ending: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(usize::try_from(limits.n_connections).unwrap_or(usize::MAX)));
    let addresses = Addresses::default();
    let mut connections = JoinSet::new();
    let told = ending.clone();
    loop {
        tokio::select! {
            accepted = accept(&listener, &room) => match accepted {
                Ok((stream, peer, permit)) => {
                    let held = addresses.enter(peer.ip().to_canonical(), limits.n_per_address);
                    let (router, told) = (router.clone(), told.clone());
                    connections.spawn(async move {
                        match held {
                            Some(_held) => converse(stream, peer, router, limits.head, told).await,
                            None => refuse(stream, peer).await,
                        }
                        drop(permit);
                    });
                }
                // A client that has gone already; or no descriptor left, in which case one may be free in a moment.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = ended(&mut ending) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> IoResult<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

/// Answers the requests of one connection.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    mut ending: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting for more of them helps nobody.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    let connection =
        builder.timer(TokioTimer::new()).header_read_timeout(head).serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        // What clients do to their connections is theirs.
        tracing::debug!(%error, "a connection ended");
    }
}

/// Resolves when the server ends, also if there is nobody left to say so.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}

async fn refuse(mut stream: TcpStream, peer: SocketAddr) {
    tracing::debug!(client.address = %peer.ip(), "an address has as many connections as it may");
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(TOO_MANY)).await;
}

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A connection of an address. Dropped, it is over.
#[derive(Debug)]
struct Held {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// Counts a connection, unless the address has `most` already. 0: any number.
    fn enter(&self, address: IpAddr, most: u32) -> Option<Held> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = counts.get(&address).copied().unwrap_or(0);
        if most > 0 && n >= most {
            return None;
        }
        counts.insert(address, n + 1);
        Some(Held { addresses: self.clone(), address })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(&self.address).copied() {
            Some(n) if n > 1 => counts.insert(self.address, n - 1),
            _ => counts.remove(&self.address),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s17_an_address_has_so_many_connections_and_gets_their_places_back() {
        let addresses = Addresses::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<Held> = (0..2).filter_map(|_| addresses.enter(one, 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(addresses.enter(one, 2).is_none());
        assert!(addresses.enter(other, 2).is_some() && addresses.enter(one, 0).is_some());
        drop(held);
        assert!(addresses.enter(one, 2).is_some());
        assert!(addresses.0.lock().unwrap().is_empty(), "who has gone is forgotten");
    }
}
