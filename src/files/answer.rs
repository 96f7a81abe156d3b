//! Turns a file and a request into a response.
//!
//! Called by `folder`.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::asset::{Asset, Representation};
use super::body::FileBody;
use super::conditions::{self, Precondition, RequestedRange};
use super::open::{Closed, OpenFile, OpenFiles};
use crate::web::body::ResponseBody;
use crate::web::encoding::Encoding;

/// What a request asks of a file.
#[derive(Debug)]
pub(super) struct FileRequest {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

/// Where a body's bytes are.
enum AssetSource {
    Memory,
    Disk(Arc<OpenFile>),
}

impl FileRequest {
    /// The response; `files` opens what is not in memory.
    pub(super) async fn answer(
        &self,
        asset: &Asset,
        files: &Arc<OpenFiles>,
    ) -> Result<Response<ResponseBody>, Closed> {
        let encoding = self.encoding(asset);
        let found = asset.encoded(encoding).unwrap_or(&asset.plain);
        let verdict = conditions::judge(&self.headers, found);
        if verdict != Precondition::Go {
            return Ok(refusal(verdict, asset, found));
        }
        if self.method == Method::HEAD {
            let mut response = Response::new(ResponseBody::empty());
            *response.headers_mut() = fields(asset, found, encoding);
            return Ok(response);
        }
        if found.content.is_some() {
            return Ok(self.send(asset, found, AssetSource::Memory));
        }
        let (file, now) = files.open(found).await?;
        Ok(self.send(asset, &now, AssetSource::Disk(file)))
    }

    fn encoding(&self, asset: &Asset) -> Encoding {
        Encoding::choose(&self.headers, |encoding| asset.encoded(encoding).is_some())
    }

    fn send(
        &self,
        asset: &Asset,
        found: &Representation,
        source: AssetSource,
    ) -> Response<ResponseBody> {
        let mut fields = fields(asset, found, self.encoding(asset));
        let length = found.identity.length;
        let (status, bytes) = match conditions::part(&self.headers, found) {
            RequestedRange::Whole => (StatusCode::OK, 0..length),
            RequestedRange::Beyond => return beyond(fields, length),
            RequestedRange::Bytes(bytes) => {
                let (first, last) = (bytes.start, bytes.end - 1);
                set(
                    &mut fields,
                    header::CONTENT_RANGE,
                    format!("bytes {first}-{last}/{length}"),
                );
                fields.insert(header::CONTENT_LENGTH, (bytes.end - first).into());
                (StatusCode::PARTIAL_CONTENT, bytes)
            }
        };
        let body = match (source, &found.content) {
            (AssetSource::Disk(file), _) => ResponseBody::stream(FileBody::new(file, bytes)),
            (AssetSource::Memory, content) => {
                let at = |at| usize::try_from(at).unwrap_or(usize::MAX);
                let content = content.as_ref();
                let part = content.map(|all| all.slice(at(bytes.start)..at(bytes.end)));
                ResponseBody::full(part.unwrap_or_default())
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response
    }
}

impl Asset {
    fn encoded(&self, encoding: Encoding) -> Option<&Representation> {
        if encoding == Encoding::Identity {
            return Some(&self.plain);
        }
        let mut copies = self.copies.iter();
        let copy = copies.find(|(of_copy, _)| *of_copy == encoding);
        copy.map(|(_, copy)| copy)
    }
}

fn fields(asset: &Asset, found: &Representation, encoding: Encoding) -> HeaderMap {
    let mut fields = lasting(asset, found);
    fields.insert(header::CONTENT_TYPE, asset.media.clone());
    fields.insert(header::CONTENT_LENGTH, found.length.clone());
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if encoding != Encoding::Identity {
        let name = HeaderValue::from_static(encoding.name());
        fields.insert(header::CONTENT_ENCODING, name);
    }
    fields
}

/// What a browser keeps, and is told again with a 304.
fn lasting(asset: &Asset, found: &Representation) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(12);
    fields.insert(header::CACHE_CONTROL, asset.caching.clone());
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(etag) = &found.etag {
        fields.insert(header::ETAG, etag.clone());
    }
    if let Some((_, modified)) = &found.modified {
        fields.insert(header::LAST_MODIFIED, modified.clone());
    }
    if !asset.copies.is_empty() {
        fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    fields
}

fn refusal(verdict: Precondition, asset: &Asset, found: &Representation) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = match verdict {
        Precondition::Failed => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::NOT_MODIFIED,
    };
    *response.headers_mut() = lasting(asset, found);
    response
}

fn beyond(mut fields: HeaderMap, length: u64) -> Response<ResponseBody> {
    fields.remove(header::CONTENT_TYPE);
    fields.remove(header::CONTENT_ENCODING);
    fields.remove(header::CONTENT_LENGTH);
    set(
        &mut fields,
        header::CONTENT_RANGE,
        format!("bytes */{length}"),
    );
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    *response.headers_mut() = fields;
    response
}

fn set(fields: &mut HeaderMap, name: header::HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        fields.insert(name, value);
    }
}
