//! A line that is not to be trusted, between a client and a server, or between a server and its database.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream as AsyncTcpStream, UnixStream},
};

/// Which part of a message passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Nothing,
    OneByte,
    Head,
    Half,
    AllButOneByte,
}

impl Part {
    pub const BROKEN: [Part; 5] = [Part::Nothing, Part::OneByte, Part::Head, Part::Half, Part::AllButOneByte];

    fn of(self, message: &[u8]) -> &[u8] {
        let n = match self {
            Part::Nothing => 0,
            Part::OneByte => 1,
            Part::Head => head_length(message).unwrap_or(message.len()),
            Part::Half => message.len() / 2,
            Part::AllButOneByte => message.len().saturating_sub(1),
        };
        &message[..n.min(message.len())]
    }
}

/// What the line does to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's end of the line breaks after this part of the request has passed; a reset instead of an end, maybe.
    Request { part: Part, reset: bool },
    /// … of the answer.
    Answer { part: Part, reset: bool },
    /// The client is cut off when its request has passed, while the server works on.
    Impatience,
    /// The request passes twice, at once; the client gets the second answer.
    Twice,
    /// Both pass in single bytes.
    Trickle,
    /// Nothing happens to it.
    Pass,
}

/// A proxy for HTTP with a fault for each of the next exchanges; without one, they pass.
pub struct Proxy {
    pub address: SocketAddr,
    faults: Sender<Fault>,
    target: Arc<Mutex<String>>,
}

impl Proxy {
    /// Leads to `target`, `host:port`.
    pub fn to(target: &str) -> Proxy {
        let target = Arc::new(Mutex::new(target.to_owned()));
        let (faults, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let towards = target.clone();
        let address = serve(move |client| exchange(client, towards.clone(), queue.clone()));
        Proxy { address, faults, target }
    }

    /// The next exchange meets this.
    pub fn arm(&self, fault: Fault) {
        self.faults.send(fault).unwrap();
    }

    /// Leads elsewhere from now on.
    pub fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().unwrap());
    }
}

/// Listens in a thread of its own, so that tests may block.
fn serve<F>(connected: impl Fn(AsyncTcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                // An end that breaks is what this is about.
                tokio::spawn(connected(client));
            }
        });
    });
    told.recv().unwrap()
}

async fn exchange(
    mut client: AsyncTcpStream,
    target: Arc<Mutex<String>>,
    faults: Arc<Mutex<Receiver<Fault>>>,
) -> std::io::Result<()> {
    let fault = faults.lock().unwrap().try_recv().ok();
    let request = closing(read_request(&mut client).await?);
    let target = target.lock().unwrap().clone();
    let mut server = AsyncTcpStream::connect(&target).await?;
    let mut answer = Vec::new();
    match fault {
        Some(Fault::Request { part, reset }) => {
            server.write_all(part.of(&request)).await?;
            end(server, reset)?;
            return end(client, reset);
        }
        Some(Fault::Impatience) => {
            server.write_all(&request).await?;
            end(client, false)?;
            server.read_to_end(&mut answer).await?;
            return Ok(());
        }
        Some(Fault::Twice) => {
            let mut second = AsyncTcpStream::connect(&target).await?;
            let mut first_answer = Vec::new();
            let (first, second) = tokio::join!(
                async {
                    server.write_all(&request).await?;
                    server.read_to_end(&mut first_answer).await
                },
                async {
                    second.write_all(&request).await?;
                    second.read_to_end(&mut answer).await
                }
            );
            first.and(second)?;
        }
        Some(Fault::Trickle) => {
            for byte in request {
                server.write_all(&[byte]).await?;
            }
            server.read_to_end(&mut answer).await?;
            for byte in answer {
                client.write_all(&[byte]).await?;
            }
            return Ok(());
        }
        Some(Fault::Answer { .. } | Fault::Pass) | None => {
            server.write_all(&request).await?;
            server.read_to_end(&mut answer).await?;
        }
    }
    match fault {
        Some(Fault::Answer { part, reset }) => {
            client.write_all(part.of(&answer)).await?;
            end(client, reset)
        }
        _ => client.write_all(&answer).await,
    }
}

/// The request with the wish that the connection ends with it: an exchange is one request and its answer.
fn closing(mut request: Vec<u8>) -> Vec<u8> {
    let is_said = head_length(&request).is_some_and(|head| {
        String::from_utf8_lossy(&request[..head]).to_ascii_lowercase().contains("\r\nconnection: close")
    });
    if let (false, Some(at)) = (is_said, request.windows(2).position(|window| window == b"\r\n")) {
        request.splice(at..at, *b"\r\nConnection: close");
    }
    request
}

fn end(stream: AsyncTcpStream, reset: bool) -> std::io::Result<()> {
    if reset {
        stream.set_zero_linger()?;
    }
    drop(stream);
    Ok(())
}

fn head_length(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// A whole request, whose head says how long its body is.
async fn read_request(client: &mut AsyncTcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(head) = head_length(&request) {
            let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= head + length.unwrap_or(0) {
                return Ok(request);
            }
        }
        if client.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// When the line to a database breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The commit does not reach the database.
    BeforeCommit,
    /// The commit reaches it, its answer does not come back.
    AfterCommit,
}

/// A proxy for PostgreSQL that breaks at a commit.
pub struct DatabaseProxy {
    /// The URL of the database behind the proxy.
    pub url: String,
    /// The cut, and how many commits pass before it.
    plan: Arc<Mutex<Option<(Cut, usize)>>>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl DatabaseProxy {
    /// Leads to the database at `url`.
    pub fn to(url: &str) -> DatabaseProxy {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let socket = options.get_socket().map(|directory| directory.join(format!(".s.PGSQL.{port}")));
        let socket =
            socket.or_else(|| host.starts_with('/').then(|| PathBuf::from(&host).join(format!(".s.PGSQL.{port}"))));
        let plan = Arc::new(Mutex::new(None));
        let planned = plan.clone();
        let address = serve(move |client| {
            let (socket, host, plan) = (socket.clone(), host.clone(), planned.clone());
            async move {
                let server: Box<dyn Duplex> = match socket {
                    Some(socket) => Box::new(UnixStream::connect(socket).await?),
                    None => Box::new(AsyncTcpStream::connect((host, port)).await?),
                };
                pass(client, server, plan).await
            }
        });
        let mut through = url::Url::parse("postgres://localhost").unwrap();
        through.set_ip_host(address.ip()).unwrap();
        through.set_port(Some(address.port())).unwrap();
        through.set_username(options.get_username()).unwrap();
        through.set_password(url::Url::parse(url).unwrap().password()).unwrap();
        through.set_path(options.get_database().unwrap_or_default());
        through.set_query(Some("sslmode=disable"));
        DatabaseProxy { url: through.into(), plan }
    }

    /// Breaks at a commit, after `n_passed` others.
    pub fn cut(&self, cut: Cut, n_passed: usize) {
        *self.plan.lock().unwrap() = Some((cut, n_passed));
    }

    /// Whether the planned cut was made; if not, it is no longer planned.
    pub fn disarm(&self) -> bool {
        self.plan.lock().unwrap().take().is_none()
    }
}

async fn pass(
    client: AsyncTcpStream,
    server: Box<dyn Duplex>,
    plan: Arc<Mutex<Option<(Cut, usize)>>>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let down = async { tokio::io::copy(&mut from_server, &mut to_client).await.map(|_| false) };
    let up = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = from_client.read(&mut buffer).await?;
            let sent = &buffer[..n];
            if n == 0 {
                return Ok(false);
            }
            let now = if sent.windows(7).any(|window| window == b"COMMIT\0") { due(&plan) } else { None };
            if now != Some(Cut::BeforeCommit) {
                to_server.write_all(sent).await?;
                to_server.flush().await?;
            }
            if now.is_some() {
                return Ok(now == Some(Cut::AfterCommit));
            }
        }
    };
    let await_the_end = tokio::select! {
        done = up => done,
        done = down => done,
    }?;
    if await_the_end {
        // The database answers into the void, when it is done.
        let _ = from_server.read(&mut [0; 1024]).await;
    }
    Ok(())
}

/// The cut that is due at this commit.
fn due(plan: &Mutex<Option<(Cut, usize)>>) -> Option<Cut> {
    let mut plan = plan.lock().unwrap();
    match plan.as_mut()? {
        (cut, 0) => {
            let cut = *cut;
            *plan = None;
            Some(cut)
        }
        (_, n_left) => {
            *n_left -= 1;
            None
        }
    }
}
