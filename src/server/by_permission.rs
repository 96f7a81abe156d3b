//! Files by permission: Django decides, the gateway sends.
//!
//! Used by `upstream_handler` where Django's answer names a file. The status is the file's, whatever
//! Django's was, as with nginx; but its fields and cookies stay, also where there is no file.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use crate::files::internal::{InternalFolders, NamedFile, NamingError};
use crate::ids::RequestId;
use crate::proxy::InternalRedirect;
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;
use crate::web::render::{ResponseFormat, render};
use crate::web::request::{Downstream, Reader};

/// On which a file's answer depends.
const CONDITIONS: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// What the file says of itself, in place of what Django said of its own body.
const OF_THE_FILE: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Gives out the files that Django names.
#[derive(Debug, Default)]
pub struct FilesByPermission {
    /// Where they may be.
    pub folders: InternalFolders,
}

/// What must be known of a request when Django has answered it. Takes memory only for conditions.
#[derive(Debug)]
pub(super) struct FileTerms {
    method: Method,
    conditions: HeaderMap,
    format: ResponseFormat,
    reader: Reader,
}

impl FilesByPermission {
    /// Keeps what is needed if Django should name a file.
    pub(super) fn remember<B>(
        &self,
        request: &Request<B>,
        downstream: &Downstream,
    ) -> Option<FileTerms> {
        if self.folders.is_empty() {
            return None;
        }
        let (method, fields) = (request.method(), request.headers());
        let mut conditions = HeaderMap::new();
        // Any other method was Django's to judge.
        if matches!(*method, Method::GET | Method::HEAD) {
            for name in CONDITIONS {
                for value in fields.get_all(&name) {
                    conditions.append(name.clone(), value.clone());
                }
            }
        }
        Some(FileTerms {
            method: match *method {
                Method::HEAD => Method::HEAD,
                _ => Method::GET,
            },
            conditions,
            format: ResponseFormat::of(request),
            reader: downstream.reader(),
        })
    }

    /// The answer with the file that Django named in it.
    pub(super) async fn answer(
        &self,
        asked: Option<FileTerms>,
        redirect: &InternalRedirect,
        answer: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, Problem> {
        let named = self.find(redirect).await;
        let Some(asked) = asked else {
            let problem = not_given(&NamingError::NoFolders, redirect);
            log(&problem, redirect, None);
            return Err(problem);
        };
        let given = match named {
            Ok(named) => give(named, &asked).await,
            Err(error) => Err(not_given(&error, redirect)),
        };
        let (parts, body) = answer.into_parts();
        // What waits for the end of Django's answer waits for that of the file. A body that is still
        // coming would keep a worker of Django's so long: it is let go.
        let kept = Some(body).filter(Body::is_end_stream);
        let (of_file, body) = match given {
            Ok(file) => with_fields(parts, file),
            Err(problem) => {
                log(&problem, redirect, Some(asked.reader.request_id));
                let page = render(&problem, asked.format, Some(asked.reader));
                with_cookies(&parts, page)
            }
        }
        .into_parts();
        Ok(Response::from_parts(of_file, body.keeping(kept)))
    }

    async fn find(&self, redirect: &InternalRedirect) -> Result<NamedFile<'_>, NamingError> {
        match redirect {
            InternalRedirect::Url(url) => self.folders.by_url(url),
            InternalRedirect::File(path) => self.folders.by_file(path).await,
            InternalRedirect::Several => {
                Err(NamingError::Malformed("it stands there twice".into()))
            }
        }
    }
}

async fn give(named: NamedFile<'_>, asked: &FileTerms) -> Result<Response<ResponseBody>, Problem> {
    named
        .answer(asked.method.clone(), asked.conditions.clone())
        .await
}

/// The file, with what Django said.
fn with_fields(parts: Parts, file: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut of_file, body) = file.into_parts();
    let mut fields = parts.headers;
    for name in OF_THE_FILE {
        match of_file.headers.remove(&name) {
            Some(value) => fields.insert(name, value),
            None => fields.remove(name),
        };
    }
    if fields
        .get(header::CONTENT_TYPE)
        .is_some_and(HeaderValue::is_empty)
    {
        fields.remove(header::CONTENT_TYPE);
    }
    if !of_file.status.is_success() {
        // There is no content that it could be the type of.
        fields.remove(header::CONTENT_TYPE);
    } else if let Some(kind) = of_file.headers.remove(header::CONTENT_TYPE) {
        fields.entry(header::CONTENT_TYPE).or_insert(kind);
    }
    // Who may have it is asked each time, unless Django says otherwise.
    let private = HeaderValue::from_static("private, no-cache");
    fields.entry(header::CACHE_CONTROL).or_insert(private);
    let nosniff = HeaderValue::from_static("nosniff");
    fields
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(nosniff);
    of_file.headers = fields;
    Response::from_parts(of_file, body)
}

/// The error, with the cookies that Django set.
fn with_cookies(parts: &Parts, mut page: Response<ResponseBody>) -> Response<ResponseBody> {
    for cookie in parts.headers.get_all(header::SET_COOKIE) {
        page.headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    page
}

fn log(problem: &Problem, redirect: &InternalRedirect, request_id: Option<RequestId>) {
    let named = shown(redirect);
    let request_id = request_id.map(tracing::field::display);
    let reason = problem.hint.as_deref().unwrap_or_default();
    tracing::warn!(
        request_id,
        named,
        code = problem.code,
        reason,
        "cannot give out the file that Django named"
    );
}

fn not_given(error: &NamingError, redirect: &InternalRedirect) -> Problem {
    let detail = "Django named a file that cannot be given out.";
    Problem::new(StatusCode::BAD_GATEWAY, "internal_redirect", detail).with_hint(format!(
        "Django answered with `{}`: {error}.",
        shown(redirect)
    ))
}

/// The field without its query, which may have anything in it.
fn shown(redirect: &InternalRedirect) -> String {
    let text = |value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split('?').next().unwrap_or_default().to_owned()
    };
    match redirect {
        InternalRedirect::Url(url) => format!("X-Accel-Redirect: {}", text(url)),
        InternalRedirect::File(path) => format!("X-Sendfile: {}", text(path)),
        InternalRedirect::Several => "X-Accel-Redirect".to_owned(),
    }
}
