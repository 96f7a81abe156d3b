//! Asks plain HTTP servers, above all a gateway's internal listener for its metrics.

use std::io::{self, BufRead, BufReader, Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A sample of a gateway's metrics; zero where it has not counted anything yet.
pub(crate) fn metric(internal: SocketAddr, name: &str) -> io::Result<f64> {
    let metrics = get(internal, "/metrics")?;
    let sample = metrics.lines().find_map(|line| {
        let (found, value) = line.rsplit_once(' ')?;
        (found == name).then_some(value)
    });
    match sample {
        Some(value) => value.parse().map_err(Error::other),
        None => Ok(0.0),
    }
}

/// Asks for `path` over plain HTTP; the body of the answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    read_answer(&mut BufReader::new(stream)).map(|(_, body)| body)
}

/// The head and the body of an answer with a length.
pub(crate) fn read_answer(stream: &mut impl BufRead) -> io::Result<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(Error::other(format!("the answer ends early: {head}")));
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(Error::other(format!("not answered as asked: {head}")));
    }
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}
