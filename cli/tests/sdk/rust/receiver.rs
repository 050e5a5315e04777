//! A receiver of webhooks for the scenario.

use std::{
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver as Queue, Sender, channel},
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Takes deliveries on a free port below the ephemeral range; refuses those to `refusing`.
pub struct Receiver {
    pub url: String,
    pub refusing: String,
    deliveries: Queue<Delivery>,
}

impl Receiver {
    pub fn start() -> Self {
        let (listener, port) = loop {
            let port = 10_000 + (RandomState::new().hash_one(0) % 22_000) as u16;
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (listener, port);
            }
        };
        let (sender, deliveries) = channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(connection, &sender));
            }
        });
        let at = format!("http://127.0.0.1:{port}");
        Self { url: format!("{at}/webhooks"), refusing: format!("{at}/refusing"), deliveries }
    }

    pub fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(PATIENCE).expect("no delivery came")
    }

    pub fn is_empty(&self) -> bool {
        self.deliveries.try_recv().is_err()
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// Serves a connection until it is closed.
fn serve(mut connection: TcpStream, sender: &Sender<Delivery>) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    loop {
        let request = line(&mut reader)?;
        let mut headers = HeaderMap::new();
        while let Some((name, value)) = line(&mut reader)?.split_once(':') {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.insert(name, HeaderValue::from_str(value.trim()).ok()?);
        }
        let mut body = vec![0; headers.get("content-length")?.to_str().ok()?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let refused = request.contains("/refusing ");
        if !refused {
            sender.send(Delivery { headers, body }).ok()?;
        }
        let status = if refused { "500 Internal Server Error" } else { "200 OK" };
        write!(connection, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
