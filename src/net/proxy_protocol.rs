//! The PROXY protocol: what a proxy that does not read HTTP says of its client, before its first byte.
//!
//! Read by `server` from connections of trusted proxies. Never a byte too much is taken from the
//! connection, for what follows belongs to TLS or HTTP; so version 1, which has no length, is read in the
//! least steps that its grammar allows.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// This many bytes tell the versions apart, and neither is shorter.
const FIRST: usize = 12;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const GREETING: &[u8] = b"PROXY ";
/// The longest header of version 1, by its specification.
const LONGEST_V1: usize = 107;
/// Of version 2 up to where its length stands.
const PREFIX_V2: usize = 16;
/// The longest header of version 2 that is read. Addresses take 216 bytes at most; the rest is of no use here.
const LONGEST_V2: usize = 4096;
/// Version 2, of the proxy's own connection: no client is behind it, whatever addresses follow.
const LOCAL: u8 = 0x20;

/// Why a connection does not begin as a proxy begins it.
#[derive(Debug, Error)]
pub enum IntroductionError {
    /// It begins with something else.
    #[error("it does not begin with a PROXY header")]
    Absent,
    /// It begins with a broken header.
    #[error("its PROXY header is malformed")]
    Malformed,
    /// It begins with a header that is too long.
    #[error("its PROXY header is too long")]
    TooLong,
    /// It ended.
    #[error(transparent)]
    Ended(#[from] io::Error),
}

/// The client that a proxy introduces; `None` where the connection is the proxy's own.
pub async fn introduction<S>(stream: &mut S) -> Result<Option<SocketAddr>, IntroductionError>
where
    S: AsyncRead + Unpin,
{
    let mut header = Vec::with_capacity(LONGEST_V1 + 1);
    loop {
        let missing = missing(&header)?;
        if missing == 0 {
            return client(&header);
        }
        let read = header.len();
        header.resize(read + missing, 0);
        stream.read_exact(&mut header[read..]).await?;
    }
}

/// How many bytes a header that begins so lacks at least; zero: it is whole.
fn missing(header: &[u8]) -> Result<usize, IntroductionError> {
    if header.len() < FIRST {
        return Ok(FIRST - header.len());
    }
    let whole = if header.starts_with(SIGNATURE) {
        match header {
            [.., high, low] if header.len() == PREFIX_V2 => {
                PREFIX_V2 + usize::from(u16::from_be_bytes([*high, *low]))
            }
            // Read whole in one go, once its length was known.
            _ => header.len().max(PREFIX_V2),
        }
    } else if header.starts_with(GREETING) {
        header.len() + missing_v1(header)
    } else {
        return Err(IntroductionError::Absent);
    };
    let longest = if header[0] == GREETING[0] {
        LONGEST_V1
    } else {
        LONGEST_V2
    };
    if whole > longest {
        return Err(IntroductionError::TooLong);
    }
    Ok(whole - header.len())
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, and the end of the line; or `PROXY UNKNOWN` and anything.
fn missing_v1(header: &[u8]) -> usize {
    let fields = match header {
        [.., b'\r', b'\n'] => return 0,
        [.., b'\r'] => return 1,
        _ if header[GREETING.len()..].starts_with(b"TCP") => {
            // One more than there are spaces.
            let fields = header.split(|byte| *byte == b' ').count();
            6_usize.saturating_sub(fields)
        }
        _ => 0,
    };
    // Each field is a space and something; the last one that is there may be empty yet.
    2 * fields + usize::from(header.ends_with(b" ")) + 2
}

/// What a whole header says.
fn client(header: &[u8]) -> Result<Option<SocketAddr>, IntroductionError> {
    // The addresses of a connection of the proxy's own are to be skipped, whatever they are.
    if header.starts_with(SIGNATURE) && header[FIRST] == LOCAL {
        return Ok(None);
    }
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(header, config) {
        Ok((parsed, length)) if length == header.len() => {
            let source = parsed.proxied_address().map(|addresses| addresses.source);
            Ok(source.map(|source| SocketAddr::new(source.ip().to_canonical(), source.port())))
        }
        _ => Err(IntroductionError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said, and what is left for the next reader.
    async fn read(bytes: &[u8]) -> (Result<Option<String>, IntroductionError>, Vec<u8>) {
        let mut rest = bytes;
        let client = introduction(&mut rest).await;
        let shown = client.map(|client| client.map(|client| client.to_string()));
        (shown, rest.to_vec())
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];

    #[tokio::test]
    async fn the_client_is_told_and_not_a_byte_more_is_taken() {
        let mut six = [0; 36];
        six[..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        six[33] = 9;
        let with_more = [&FOUR[..], &[0xea, 0, 2, 1, 1]].concat();
        for (header, client) in [
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(),
                Some("192.0.2.7:4711"),
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
                Some("1.2.3.4:1"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(),
                Some("[2001:db8::7]:4711"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n".to_vec(),
                Some("192.0.2.7:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &FOUR), Some("192.0.2.7:4711")),
            (v2(0x21, 0x11, &with_more), Some("192.0.2.7:4711")),
            (v2(0x21, 0x21, &six), Some("[2001:db8::7]:9")),
            // No addresses, a proxy's own connection, whatever it says of it, and a Unix socket.
            (v2(0x21, 0, &[]), None),
            (v2(0x20, 0, &[]), None),
            (v2(0x20, 0x11, &FOUR), None),
            (v2(0x20, 0x11, &[]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ] {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let (told, rest) = read(&bytes).await;
            assert_eq!(told.unwrap().as_deref(), client, "{header:?}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_V1 - 16));
        assert_eq!(read(longest.as_bytes()).await.0.unwrap(), None);
        let refused = |bytes: Vec<u8>| async move { read(&bytes).await.0.unwrap_err().to_string() };
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03x".to_vec(),
        ] {
            assert!(refused(bytes).await.contains("does not begin"));
        }
        for bytes in [long.into_bytes(), v2(0x21, 0x11, &[0; 4097 - PREFIX_V2])] {
            assert!(refused(bytes).await.contains("too long"));
        }
        for bytes in [
            b"PROXY TCP4 a.test 198.51.100.1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\nxxxxxxxxxxxx\r\n".to_vec(),
            b"PROXY TCP9 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(),
            v2(0x22, 0x11, &FOUR),
            v2(0x21, 0x11, &FOUR[..11]),
            v2(0x21, 0x41, &FOUR),
        ] {
            let told = refused(bytes.clone()).await;
            assert!(told.contains("malformed"), "{told}: {bytes:?}");
        }
        assert!(matches!(
            read(b"PROXY TCP4 1").await.0,
            Err(IntroductionError::Ended(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_is_allowed(
            start in 0..3_usize,
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let start = [&b""[..], GREETING, SIGNATURE][start];
            let mut bytes = [start, &rest].concat();
            bytes.resize(bytes.len() + 5000, b' ');
            let all = bytes.len();
            let mut rest = &bytes[..];
            let read = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = read.block_on(introduction(&mut rest));
            prop_assert!(all - rest.len() <= LONGEST_V2);
        }
    }
}
