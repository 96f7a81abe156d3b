//! One served folder: static files, or a built frontend whose unknown paths get its first page.
//!
//! Called by `server` for folder routes. The surprise: `ServeFile` ignores `If-Range`, so a range is
//! judged here by the answer it got, and asked for again as a whole where it was stale.

use std::path::PathBuf;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use tower_http::services::ServeFile;

use super::caching;
use super::fallback::is_for_page;
use super::find::{Found, RealFile, Sibling, find};
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;

/// A folder that is served.
#[derive(Clone, Debug)]
pub struct Folder {
    root: Arc<PathBuf>,
    fallback: Option<String>,
}

impl Folder {
    /// Serves `root`; `fallback` (relative to it) answers pages that are no files. The folder need
    /// not be there yet.
    pub fn new(root: PathBuf, fallback: Option<String>) -> Self {
        Self {
            root: Arc::new(root),
            fallback,
        }
    }

    /// Answers an admitted request for `path`, decoded and relative to the folder's prefix.
    pub async fn serve<B>(
        &self,
        request: Request<B>,
        path: &str,
    ) -> Result<Response<ResponseBody>, Problem> {
        let method = request.method();
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed(method, "GET, HEAD"));
        }
        let (parts, _body) = request.into_parts();
        let asked = Asked {
            method: parts.method,
            headers: parts.headers,
        };
        match self.find(path).await {
            Found::File(file) => asked.answer(file).await,
            Found::FolderWithoutSlash => Ok(to_folder(&parts.uri)),
            found => match self.fall_back(path, &asked.headers).await {
                Some(page) => asked.answer(page).await,
                None => Err(self.missing(&found)),
            },
        }
    }

    async fn find(&self, path: &str) -> Found {
        let (root, path) = (self.root.clone(), path.to_owned());
        let search = tokio::task::spawn_blocking(move || find(&root, &path));
        search.await.unwrap_or(Found::Nothing)
    }

    /// The page for a path that only the frontend's own router knows.
    async fn fall_back(&self, path: &str, headers: &HeaderMap) -> Option<RealFile> {
        let fallback = self.fallback.as_deref()?;
        if !is_for_page(path, headers) {
            return None;
        }
        match self.find(fallback).await {
            Found::File(page) => Some(page),
            _ => None,
        }
    }

    fn missing(&self, found: &Found) -> Problem {
        let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such file.");
        let root = self.root.display();
        match found {
            Found::NoRoot => problem.with_hint(format!(
                "The folder {root} does not exist. A frontend's build or `python manage.py collectstatic` makes it."
            )),
            _ => problem.with_hint(format!("Nothing in {root} has this name.")),
        }
    }
}

/// What a request asks of a file.
struct Asked {
    method: Method,
    headers: HeaderMap,
}

impl Asked {
    async fn answer(mut self, file: RealFile) -> Result<Response<ResponseBody>, Problem> {
        if self.headers.get(header::RANGE).is_some_and(is_no_range) {
            self.headers.remove(header::RANGE);
        }
        let conditional = self.headers.remove(header::IF_RANGE);
        let mut response = self.read(&file).await?;
        if conditional.is_some_and(|validator| is_stale(&validator, response.headers())) {
            self.headers.remove(header::RANGE);
            response = self.read(&file).await?;
        }
        if is_of_nothing(&response) {
            self.headers.remove(header::RANGE);
            response = self.read(&file).await?;
        }
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        finish(response.headers_mut(), &name);
        Ok(response)
    }

    async fn read(&self, file: &RealFile) -> Result<Response<ResponseBody>, Problem> {
        let mut service = ServeFile::new(&file.path).ignore_multi_range_requests(true);
        if file.brotli == Sibling::Regular {
            service = service.precompressed_br();
        }
        if file.gzip == Sibling::Regular {
            service = service.precompressed_gzip();
        }
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        let response = service.try_call(request).await.map_err(|error| {
            tracing::warn!(path = %file.path.display(), %error, "cannot read a file");
            let detail = "The file cannot be read.";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "file_unreadable", detail)
                .with_hint(format!("{}: {error}.", file.path.display()))
        })?;
        Ok(response.map(|body| ResponseBody::stream(body.map_err(Into::into))))
    }
}

/// Whether a `Range` is to be ignored (RFC 9110 14.2): of another unit, or malformed. The library
/// would answer 416.
fn is_no_range(range: &HeaderValue) -> bool {
    let number = |digits: &str| {
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain)
    };
    let is_spec = |spec: &str| match spec.split_once('-') {
        Some(("", last)) => number(last).is_some(),
        Some((first, "")) => number(first).is_some(),
        Some((first, last)) => number(first)
            .zip(number(last))
            .is_some_and(|(first, last)| first <= last),
        None => false,
    };
    let specs = range
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("bytes="));
    !specs.is_some_and(|specs| specs.split(',').map(str::trim).all(is_spec))
}

/// Whether a range was asked for of something that has changed since (RFC 9110 13.1.5).
fn is_stale(validator: &HeaderValue, current: &HeaderMap) -> bool {
    let same = [header::ETAG, header::LAST_MODIFIED]
        .iter()
        .any(|name| current.get(name) == Some(validator));
    !same || validator.as_bytes().starts_with(b"W/")
}

/// Whether a range of an empty file was answered: it has none, and is better given as it is.
fn is_of_nothing(response: &Response<ResponseBody>) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE);
    range.is_some_and(|range| range.as_bytes().ends_with(b"/0"))
}

fn finish(fields: &mut HeaderMap, name: &str) {
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    fields.insert(header::CACHE_CONTROL, caching::policy(name));
    let Some(kind) = fields
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return;
    };
    if !kind.starts_with("text/") || kind.contains("charset") {
        return;
    }
    if let Ok(kind) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        fields.insert(header::CONTENT_TYPE, kind);
    }
}

/// Sends the browser to the same path with a slash, so that the page's relative links work.
fn to_folder(uri: &Uri) -> Response<ResponseBody> {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests;
