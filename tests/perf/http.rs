//! A client that costs next to nothing: one connection that is kept, and requests made before the clock starts.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::Result;

/// A request as it goes over the wire.
pub struct Request(Vec<u8>);

impl Request {
    /// GET of a resource below the services directory, with `f=json` unless it says otherwise.
    pub fn get(path: &str, parameters: &[(&str, &str)]) -> Request {
        let head = format!("GET /arcgis/rest/services/{path}?{} HTTP/1.1\r\nHost: bench\r\n\r\n", encode(parameters));
        Request(head.into_bytes())
    }

    /// GET of a path of any server.
    pub fn plain(path: &str, parameters: &[(&str, &str)]) -> Request {
        Request(format!("GET {path}?{} HTTP/1.1\r\nHost: bench\r\n\r\n", encode(parameters)).into_bytes())
    }

    /// POST of a form to it.
    pub fn post(path: &str, parameters: &[(&str, &str)]) -> Request {
        let body = encode(parameters);
        let request = format!(
            "POST /arcgis/rest/services/{path} HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Request(request.into_bytes())
    }
}

fn encode(parameters: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    if !parameters.iter().any(|(name, _)| *name == "f") {
        form.append_pair("f", "json");
    }
    form.extend_pairs(parameters).finish()
}

/// A connection to the server.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::with_capacity(256 << 10, stream) })
    }

    /// Sends a request and reads the whole answer. Returns its body, and how long both took. An answer that says that the
    /// request failed is an error.
    pub fn send(&mut self, request: &Request) -> Result<(Vec<u8>, Duration)> {
        let started = Instant::now();
        self.stream.get_mut().write_all(&request.0)?;
        let body = self.answer()?;
        let took = started.elapsed();
        if body.starts_with(b"{\"error\"") {
            return Err(String::from_utf8_lossy(&body).into());
        }
        Ok((body, took))
    }

    /// Sends a file in a form, written as it is sent. Returns the body of the answer.
    pub fn send_file(
        &mut self,
        path: &str,
        size_bytes: u64,
        write: impl FnOnce(&mut dyn std::io::Write) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let head = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n";
        let tail = "\r\n--cut--\r\n";
        let length = size_bytes + (head.len() + tail.len()) as u64;
        let stream = self.stream.get_mut();
        write!(
            stream,
            "POST /arcgis/rest/services/{path}?f=json HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: multipart/form-data; boundary=cut\r\nContent-Length: {length}\r\n\r\n{head}"
        )?;
        write(stream)?;
        stream.write_all(tail.as_bytes())?;
        self.answer()
    }

    /// Sends a request and reads the answer without keeping it.
    pub fn pass_over(&mut self, request: &Request) -> Result<()> {
        self.stream.get_mut().write_all(&request.0)?;
        let (status, length, _) = self.head()?;
        let n_read = std::io::copy(&mut self.stream.by_ref().take(length), &mut std::io::sink())?;
        match status.split(' ').nth(1) {
            Some("200") if n_read == length && length > 0 => Ok(()),
            _ => Err(format!("{status}: {n_read} of {length} bytes came").into()),
        }
    }

    /// Reads up to the body. Returns the status, the length, and whether the body comes in chunks instead.
    fn head(&mut self) -> Result<(String, u64, bool)> {
        let status = self.line()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                Some(_) => {}
                None => return Ok((status, length, chunked)),
            }
        }
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let (status, length, chunked) = self.head()?;
        let mut body = Vec::new();
        if chunked {
            loop {
                let length = u64::from_str_radix(&self.line()?, 16)?;
                self.take(length, &mut body)?;
                self.line()?;
                if length == 0 {
                    break;
                }
            }
        } else {
            self.take(length, &mut body)?;
        }
        match status.split(' ').nth(1) {
            Some("200") => Ok(body),
            _ => Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> Result<()> {
        let n_read = self.stream.by_ref().take(length).read_to_end(body)?;
        if u64::try_from(n_read)? < length {
            return Err("the server closed the connection within an answer".into());
        }
        Ok(())
    }
}
