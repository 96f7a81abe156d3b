//! How far this gateway got in the transactional outbox, kept in a small file.
//!
//! Used by the puller. Each item's number is written when it was taken, without waiting for the disk,
//! and the disk is waited for once a page. What was written survives the end of the process however
//! it comes (`kill -9` too); only a machine that loses its power can forget a page.

use std::fmt::{self, Write as _};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::state_folder;

/// Marks the file, and its form.
const MARK: &str = "gatepost-outbox-1";
/// Every record is as long, so that one is overwritten whole: within a sector of any disk.
const RECORD: usize = 256;
/// The longest name of an epoch or an item.
const LONGEST_NAME: usize = 64;

/// A place in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Tells this outbox from another one.
    pub(super) epoch: Name,
    /// The number of the last item that was taken.
    pub(super) sequence: u64,
    /// That item's own name: in a database that was restored, the number has another.
    pub(super) uid: Name,
}

/// A name that Django gave: a few letters, digits and hyphens, fit for a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name(Box<str>);

/// Why there is no cursor file to work with.
#[derive(Debug, thiserror::Error)]
pub(super) enum CursorError {
    #[error(
        "another gateway uses {}: give each a file of its own (outbox.cursor)",
        .0.display()
    )]
    Shared(PathBuf),
    #[error("cannot keep the outbox's cursor in {}: {cause}", .path.display())]
    File { path: PathBuf, cause: io::Error },
}

/// What the file said when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoredCursor {
    /// This gateway never pulled.
    Nothing,
    /// The file is damaged: what was taken is not known.
    Damaged,
    /// Where this gateway was.
    Cursor(Cursor),
}

/// The file, which no other gateway may use meanwhile.
#[derive(Debug)]
pub(super) struct CursorFile {
    file: Arc<File>,
}

impl CursorFile {
    /// Opens the file, making it where there is none, and reads it.
    pub(super) fn open(path: &Path) -> Result<(Self, StoredCursor), CursorError> {
        let failed = |cause| CursorError::File {
            path: path.to_owned(),
            cause,
        };
        let file = make(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CursorError::Shared(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let text = fs::read(path).map_err(failed)?;
        let file = Arc::new(file);
        Ok((Self { file }, parse(&text)))
    }

    /// Stores where the gateway is now; survives the process.
    pub(super) fn store(&self, cursor: &Cursor) -> io::Result<()> {
        self.file.write_all_at(&record(cursor), 0)
    }

    /// Waits until what was noted survives the machine.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || file.sync_data())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Name {
    /// The name, if it is one.
    pub(super) fn new(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (text.len() <= LONGEST_NAME && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// As text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn make(path: &Path) -> io::Result<File> {
    let folder = state_folder::make_for(path)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path)?;
    // The file's name must survive the machine, too.
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn record(cursor: &Cursor) -> Vec<u8> {
    let Cursor {
        epoch,
        sequence,
        uid,
    } = cursor;
    let mut text = format!("{MARK} epoch={epoch} seq={sequence} uid={uid}");
    let sum = checksum(&text);
    // Writing to a string never fails.
    let _ = write!(text, " sum={sum:016x}");
    let mut bytes = text.into_bytes();
    bytes.resize(RECORD - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn parse(bytes: &[u8]) -> StoredCursor {
    if bytes.is_empty() {
        return StoredCursor::Nothing;
    }
    let text = str::from_utf8(bytes).unwrap_or_default().trim_end();
    parse_record(text).map_or(StoredCursor::Damaged, StoredCursor::Cursor)
}

fn parse_record(text: &str) -> Option<Cursor> {
    let (said, sum) = text.rsplit_once(" sum=")?;
    if u64::from_str_radix(sum, 16).ok()? != checksum(said) {
        return None;
    }
    let mut fields = said.strip_prefix(MARK)?.split_ascii_whitespace();
    let mut field = |name| fields.next()?.strip_prefix(name);
    Some(Cursor {
        epoch: Name::new(field("epoch=")?)?,
        sequence: field("seq=")?.parse().ok()?,
        uid: Name::new(field("uid=")?)?,
    })
}

fn checksum(text: &str) -> u64 {
    let digest = digest(&SHA256, text.as_bytes());
    let (first, _) = digest
        .as_ref()
        .split_first_chunk()
        .unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::{RECORD, StoredCursor, parse, record};

    /// The cursor's file: what is read of it is what would be written.
    pub fn cursor(bytes: &[u8]) {
        if let StoredCursor::Cursor(cursor) = parse(bytes) {
            let written = record(&cursor);
            assert_eq!(written.len(), RECORD);
            assert_eq!(parse(&written), StoredCursor::Cursor(cursor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(sequence: u64, uid: &str) -> Cursor {
        Cursor {
            epoch: Name::new("5b2f0e6c-1").unwrap(),
            sequence,
            uid: Name::new(uid).unwrap(),
        }
    }

    #[tokio::test]
    async fn what_was_noted_last_is_found_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gatepost/outbox");
        let (file, found) = CursorFile::open(&path).unwrap();
        assert_eq!(found, StoredCursor::Nothing);
        file.store(&cursor(u64::MAX, &"a".repeat(LONGEST_NAME)))
            .unwrap();
        file.store(&cursor(7, "")).unwrap();
        file.sync().await.unwrap();
        drop(file);
        let (_file, found) = CursorFile::open(&path).unwrap();
        assert_eq!(found, StoredCursor::Cursor(cursor(7, "")));
        assert_eq!(fs::metadata(&path).unwrap().len(), RECORD as u64);
        assert!(folder.path().join(".gatepost/.gitignore").exists());
    }

    #[test]
    fn a_file_that_another_gateway_uses_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let first = CursorFile::open(&path).unwrap();
        let error = CursorFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("outbox.cursor"), "{error}");
        drop(first);
        assert!(CursorFile::open(&path).is_ok());
    }

    #[test]
    fn a_damaged_file_is_told_from_an_empty_one() {
        let whole = record(&cursor(12, "b"));
        assert_eq!(parse(&whole), StoredCursor::Cursor(cursor(12, "b")));
        assert_eq!(parse(b""), StoredCursor::Nothing);
        let other = String::from_utf8(whole.clone()).unwrap();
        let other = other.replace("seq=12", "seq=13");
        for damaged in [other.as_bytes(), &whole[..40], b"\xff", &[0; RECORD]] {
            assert_eq!(parse(damaged), StoredCursor::Damaged);
        }
    }

    #[test]
    fn only_what_is_fit_for_a_query_is_a_name() {
        assert!(Name::new("0a9F-z").is_some());
        for text in ["a b", "a&b", "ä", "a\n", &"a".repeat(LONGEST_NAME + 1)] {
            assert!(Name::new(text).is_none(), "{text:?}");
        }
    }
}
