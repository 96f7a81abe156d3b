//! A file as it is answered: what is known of it and its compressed copies, and the content of
//! small ones.
//!
//! Loaded by `folder` on a blocking thread, kept by `recent`. The content is only taken as long as
//! the file says before and after that it is the same, so that a file that is just being written is
//! never kept half.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::HeaderValue;
use httpdate::HttpDate;

use super::caching;
use super::disk;
use super::find::{CompressedCopy, RealFile};
use super::identity::FileIdentity;
use crate::unix_time;
use crate::web::encoding::Encoding;

/// What is read whole and kept in memory. Of larger files reading is the smaller part of the cost.
pub(super) const SMALL: u64 = 256 * 1024;
/// How often a file that changes while it is read is tried.
const ATTEMPTS: usize = 3;
/// The first second that an HTTP date cannot name (the year 10,000).
const END_OF_DATES: u64 = 253_402_300_800;

/// A file and its copies.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it was asked for: with the links that its real path has not.
    pub(super) asked: PathBuf,
    pub(super) media: HeaderValue,
    pub(super) caching: HeaderValue,
    pub(super) plain: Representation,
    /// The compressed copies beside it.
    pub(super) copies: Vec<(Encoding, Representation)>,
}

/// A file, or a compressed copy beside it.
#[derive(Clone, Debug)]
pub(super) struct Representation {
    /// Without links.
    pub(super) path: PathBuf,
    pub(super) identity: FileIdentity,
    pub(super) length: HeaderValue,
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: Option<(HttpDate, HeaderValue)>,
    /// Of a small file.
    pub(super) content: Option<Bytes>,
}

impl Asset {
    /// Reads what `find` has found.
    pub(super) fn load(file: RealFile) -> io::Result<Self> {
        // A copy that has just gone, or may not be read, is not needed.
        let copy =
            |copy: CompressedCopy| Some((copy.encoding, Representation::load(copy.path).ok()?));
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            media: media_type(&file.path),
            caching: caching::policy(&name),
            copies: file.copies.into_iter().filter_map(copy).collect(),
            plain: Representation::load(file.path.clone())?,
            asked: file.asked,
        })
    }

    /// Bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        let copies = self.copies.iter().map(|(_, copy)| copy);
        copies
            .chain([&self.plain])
            .map(|one| size_of::<Self>() + one.content.as_ref().map_or(0, Bytes::len))
            .sum()
    }
}

impl Representation {
    fn load(path: PathBuf) -> io::Result<Self> {
        let mut file = disk::open(&path)?;
        let mut before = FileIdentity::of(&file.metadata()?);
        for _ in 0..ATTEMPTS {
            if before.length > SMALL {
                break;
            }
            let content = read_from_start(&mut file, before.length)?;
            let after = FileIdentity::of(&file.metadata()?);
            if after == before && content.len() as u64 == before.length {
                return Ok(Self::new(path, before, Some(content)));
            }
            before = after;
        }
        Ok(Self::new(path, before, None))
    }

    pub(super) fn new(path: PathBuf, identity: FileIdentity, content: Option<Bytes>) -> Self {
        let (seconds, nanoseconds) = identity.modified;
        let length = identity.length;
        let seconds = u64::try_from(seconds).ok().filter(|at| *at < END_OF_DATES);
        let header = |text: String| HeaderValue::try_from(text).ok();
        let tag = match &content {
            Some(content) => Some(tag_of(content)),
            None => seconds.map(|seconds| format!("\"{seconds:x}.{nanoseconds:08x}-{length:x}\"")),
        };
        Self {
            path,
            identity,
            length: HeaderValue::from(length),
            etag: tag.and_then(header),
            modified: seconds.and_then(|seconds| {
                let date = HttpDate::from(unix_time::moment(Duration::from_secs(seconds))?);
                Some((date, header(date.to_string())?))
            }),
            content,
        }
    }
}

/// Names the content, so that several gateways that were deployed one after the other say the same of it. Of
/// a larger file only the time is known.
fn tag_of(content: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, content);
    let mut tag = String::from("\"");
    for byte in digest.as_ref().iter().take(16) {
        // Writing to a `String` cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

fn read_from_start(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    io::Seek::rewind(file)?;
    // One byte more than it should have, so that growth is seen.
    file.take(length + 1).read_to_end(&mut content)?;
    content.shrink_to_fit();
    Ok(content.into())
}

/// What a file of this name is; text is taken to be UTF-8.
fn media_type(path: &Path) -> HeaderValue {
    let kind = mime_guess::from_path(path)
        .first_raw()
        .unwrap_or("application/octet-stream");
    if kind.starts_with("text/")
        && !kind.contains("charset")
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        return kind;
    }
    HeaderValue::from_static(kind)
}
