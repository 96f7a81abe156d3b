//! An upstream with one worker, as gunicorn has with its defaults: one request at a time, read whole and
//! answered whole, then the connection ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A large answer.
pub(crate) const LARGE: &str = "/large/";
/// Bytes of it: more than what is on its way between the kernels.
const LARGEST: usize = 256 << 10;

/// Serves until the process is killed.
pub(crate) fn run(listen: SocketAddr) -> io::Result<()> {
    for stream in TcpListener::bind(listen)?.incoming() {
        // A peer that leaves is the peer's business.
        let _ = stream.and_then(serve);
    }
    Ok(())
}

fn serve(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    let body = if first.contains(LARGE) { LARGEST } else { 100 };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; body])
}
