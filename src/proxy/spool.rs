//! A request body without a length, kept until it is complete: in memory, then in a nameless file.
//!
//! Used by `upload`. The surprise: WSGI servers give Django an empty body where no Content-Length
//! says how long it is, without any error, so such a body cannot be streamed (django.md 3.2 of the
//! project's notes; Django ticket 35838).

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};

/// What is kept in memory, and how much is written or read at a time.
const CHUNK: usize = 256 * 1024;

/// A body on its way in.
#[derive(Debug, Default)]
pub(super) struct Spool {
    memory: BytesMut,
    file: Option<File>,
    length: u64,
}

/// A complete body.
#[derive(Debug)]
pub(super) enum Spooled {
    /// It is small.
    Memory(Bytes),
    /// It is large.
    File(SpooledFile),
}

/// A complete body in a file, read as it is sent.
#[derive(Debug)]
pub(super) struct SpooledFile {
    state: Reading,
    left: u64,
}

#[derive(Debug)]
enum Reading {
    Idle(Option<File>),
    Busy(JoinHandle<io::Result<(File, Bytes)>>),
}

impl Spool {
    /// How much has come.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Keeps some more.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= CHUNK {
            self.flush().await?;
        }
        Ok(())
    }

    /// The whole body.
    pub(super) async fn finish(mut self) -> io::Result<Spooled> {
        if self.file.is_none() {
            return Ok(Spooled::Memory(self.memory.freeze()));
        }
        self.flush().await?;
        let file = self.file.take();
        let rewound = spawn_blocking(move || {
            let mut file = file.ok_or(io::ErrorKind::NotFound)?;
            file.rewind().map(|()| file)
        });
        Ok(Spooled::File(SpooledFile {
            state: Reading::Idle(Some(rewound.await??)),
            left: self.length,
        }))
    }

    async fn flush(&mut self) -> io::Result<()> {
        let file = self.file.take();
        let bytes = self.memory.split();
        let write = spawn_blocking(move || {
            let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
            file.write_all(&bytes).map(|()| file)
        });
        self.file = Some(write.await??);
        Ok(())
    }
}

impl SpooledFile {
    /// How much is still to be read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next part.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match &mut self.state {
                Reading::Idle(_) if self.left == 0 => return Poll::Ready(None),
                Reading::Idle(file) => {
                    let Some(file) = file.take() else {
                        return Poll::Ready(None);
                    };
                    let size = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
                    self.state = Reading::Busy(spawn_blocking(move || read(file, size)));
                }
                Reading::Busy(reading) => {
                    let result = ready!(Pin::new(reading).poll(context));
                    let (file, bytes) = match result.map_err(io::Error::from).flatten() {
                        Ok(read) => read,
                        Err(error) => {
                            self.state = Reading::Idle(None);
                            return Poll::Ready(Some(Err(error)));
                        }
                    };
                    self.left -= bytes.len() as u64;
                    self.state = Reading::Idle(Some(file));
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
        }
    }
}

fn read(mut file: File, size: usize) -> io::Result<(File, Bytes)> {
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes)?;
    Ok((file, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(parts: &[&[u8]]) -> (bool, Vec<u8>) {
        let mut spool = Spool::default();
        for part in parts {
            spool.push(part).await.unwrap();
        }
        match spool.finish().await.unwrap() {
            Spooled::Memory(bytes) => (false, bytes.to_vec()),
            Spooled::File(mut file) => {
                let mut whole = Vec::new();
                while let Some(part) = std::future::poll_fn(|context| file.poll_next(context)).await
                {
                    whole.extend_from_slice(&part.unwrap());
                }
                (true, whole)
            }
        }
    }

    #[tokio::test]
    async fn a_small_body_stays_in_memory() {
        assert_eq!(through(&[b"ab", b"", b"c"]).await, (false, b"abc".to_vec()));
        assert_eq!(through(&[]).await, (false, Vec::new()));
    }

    #[tokio::test]
    async fn a_large_body_comes_back_whole_from_a_file() {
        let part: Vec<u8> = (0..200_003_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (spilled, whole) = through(&[&part, &part, &part, &part]).await;
        assert!(spilled);
        assert_eq!(whole, part.repeat(4));
    }
}
