//! A tap on the line to the database: which SQL texts are sent, without the values that are bound to them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

/// The SQL texts that went through.
pub type Texts = Arc<Mutex<BTreeSet<String>>>;

/// Leads to the database at `url`, and notes what is sent. Returns the URL of the tap. Its threads end with their connections.
pub fn tap(url: &str) -> (String, Texts) {
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let socket = options.get_socket().map(|directory| directory.join(format!(".s.PGSQL.{port}")));
    let socket =
        socket.or_else(|| host.starts_with('/').then(|| PathBuf::from(&host).join(format!(".s.PGSQL.{port}"))));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut through = url::Url::parse("postgres://localhost").unwrap();
    through.set_ip_host(listener.local_addr().unwrap().ip()).unwrap();
    through.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    through.set_username(options.get_username()).unwrap();
    through.set_password(url::Url::parse(url).unwrap().password()).unwrap();
    through.set_path(options.get_database().unwrap_or_default());
    through.set_query(Some("sslmode=disable"));
    let texts = Texts::default();
    let noted = texts.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let noted = noted.clone();
            match &socket {
                Some(socket) => {
                    let server = UnixStream::connect(socket).unwrap();
                    carry(server.try_clone().unwrap(), client.try_clone().unwrap(), |_| {});
                    carry(client, server, Reader { noted, rest: Vec::new(), begun: false }.note());
                }
                None => {
                    let server = TcpStream::connect((host.as_str(), port)).unwrap();
                    carry(server.try_clone().unwrap(), client.try_clone().unwrap(), |_| {});
                    carry(client, server, Reader { noted, rest: Vec::new(), begun: false }.note());
                }
            }
        }
    });
    (through.into(), texts)
}

fn carry(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    mut see: impl FnMut(&[u8]) + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 || to.write_all(&buffer[..n]).and_then(|()| to.flush()).is_err() {
                break;
            }
            see(&buffer[..n]);
        }
    });
}

/// Reads the messages of a client to PostgreSQL.
struct Reader {
    noted: Texts,
    rest: Vec<u8>,
    /// Whether the first message, which has no kind, has gone by.
    begun: bool,
}

impl Reader {
    fn note(mut self) -> impl FnMut(&[u8]) + Send {
        move |bytes| {
            self.rest.extend_from_slice(bytes);
            while let Some(n) = self.message() {
                self.rest.drain(..n);
            }
        }
    }

    /// Notes the message that is there whole, and returns its length.
    fn message(&mut self) -> Option<usize> {
        let kind = usize::from(self.begun);
        let length = u32::from_be_bytes(self.rest.get(kind..kind + 4)?.try_into().unwrap()) as usize + kind;
        let message = self.rest.get(..length)?;
        if self.begun {
            let body = &message[5..];
            let mut texts = body.split(|byte| *byte == 0);
            let text = match message[0] {
                b'P' => texts.nth(1),
                b'Q' => texts.next(),
                _ => None,
            };
            self.noted.lock().unwrap().extend(text.map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        self.begun = true;
        Some(length)
    }
}
