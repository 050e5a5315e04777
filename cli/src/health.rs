//! Asks a running process whether it is ready: the health check of containers without curl.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};

const PATIENCE: Duration = Duration::from_secs(5);

/// Prints what the process on `admin` says. Fails if it does not answer, or is not ready.
pub(crate) fn ask(admin: SocketAddr) -> anyhow::Result<()> {
    let answer = get_readyz(admin).with_context(|| format!("nothing ready answers on {admin}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    print!("{body}");
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => bail!("not ready (status {status})"),
        None => bail!("the answer on {admin} is not HTTP"),
    }
}

fn get_readyz(admin: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0 so that the answer ends with the connection.
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
