//! Finds out what is wrong from a response that is no judgement.
//!
//! Used by `meaning`. The table follows what Django 4.2 to 6.1, gunicorn and uvicorn were seen to answer
//! for each mistake. Nothing of a response is quoted but what a DEBUG page says first and the path of a
//! redirect, without its query.

mod redirect;

use http::{HeaderValue, StatusCode};

use crate::session::ask::response::{Response, is_html, name_of, printable};
use crate::session::diagnosis::{Diagnosis, DiagnosisKind};
use crate::upcall::SignatureRefusal;

/// What is wrong, where this is neither an answer nor "anonymous".
pub(in crate::session) fn diagnose(response: &Response<'_>) -> Diagnosis {
    match response.status.as_u16() {
        300..400 => redirect::diagnose(response),
        400 => bad_request(response),
        401 => basic_auth(),
        403 => forbidden(response),
        404 => Diagnosis::new(
            DiagnosisKind::NotFound,
            "the auth path is 404: does urls.py have path('_gatepost/', include('gatepost.urls'))?",
            format!(
                "Django has nothing at {}. Add path('_gatepost/', include('gatepost.urls')) to the \
                 project's urls.py, outside of i18n_patterns; with FORCE_SCRIPT_NAME or a prefix, \
                 write the whole path into `auth.url`.",
                response.path
            ),
        ),
        405 => Diagnosis::new(
            DiagnosisKind::MethodRefused,
            "the auth path answers 405: the view there is not gatepost's, and takes no GET",
            format!(
                "The view at {} takes no GET, so it is no auth view. Let `auth.url` name the path of \
                 gatepost's.",
                response.path
            ),
        ),
        431 => Diagnosis::new(
            DiagnosisKind::CookiesTooLarge,
            "the cookies are too large for Django's server (431): delete this site's cookies",
            "A browser's session cookie is larger than Django's server takes (gunicorn: 8190 bytes, \
             --limit-request-field_size). Keep less in signed_cookies sessions, or keep sessions in \
             the database or the cache.",
        ),
        500 => server_error(response),
        status => Diagnosis::new(
            DiagnosisKind::Status,
            format!("the auth view answers {status}: see Django's log"),
            format!("An auth view answers 200, 401 or 403, not {status}. Django's log says more."),
        ),
    }
}

/// 200 with something else than JSON.
pub(in crate::session) fn not_json(response: &Response<'_>) -> Diagnosis {
    if is_html(response.headers) {
        return Diagnosis::new(
            DiagnosisKind::Page,
            "auth.url answers no JSON but a page: it leads to the frontend, not to the auth view",
            format!(
                "{} answers an HTML page, as a frontend does at any path. Check that \
                 `django.upstream` is Django's address and that `auth.url` is the auth view's.",
                response.path
            ),
        );
    }
    Diagnosis::new(
        DiagnosisKind::NotJson,
        "the auth path answers no JSON: does it reach Django's auth view?",
        format!(
            "{} answers 200, but no application/json. Let `auth.url` name the auth view.",
            response.path
        ),
    )
}

/// Whether a 400 may well be about the host, but does not say so: the same question with the host
/// `localhost` tells.
pub(in crate::session) fn may_refuse_host(response: &Response<'_>) -> bool {
    response.status == StatusCode::BAD_REQUEST
        && bad_request(response).kind == DiagnosisKind::BadRequest
}

/// Django does not want to be called so.
pub(in crate::session) fn host_refused(host: &HeaderValue) -> Diagnosis {
    let name = name_of(host);
    if name.contains('_') {
        return Diagnosis::new(
            DiagnosisKind::HostRefused,
            format!("Django takes \"{name}\" for no host name: the underscore is not allowed"),
            format!(
                "Django answers 400 to any host name with an underscore, whatever ALLOWED_HOSTS says. \
                 Give \"{name}\" a name without one, in DNS and in `server.hosts`."
            ),
        );
    }
    Diagnosis::new(
        DiagnosisKind::HostRefused,
        format!(
            "Django refuses the host name \"{name}\". Add it to ALLOWED_HOSTS (no scheme, no port)."
        ),
        format!(
            "Django refuses the host name \"{name}\". Add '{name}' to ALLOWED_HOSTS in Django's \
             settings (no scheme, no port)."
        ),
    )
}

fn bad_request(response: &Response<'_>) -> Diagnosis {
    if contains(response.body, "DisallowedHost") {
        return host_refused(response.host);
    }
    if contains(response.body, "Contradictory scheme headers") {
        return Diagnosis::new(
            DiagnosisKind::SchemeConflict,
            "gunicorn gets two scheme headers: a proxy before Django adds X-Forwarded-Ssl or the like",
            "A proxy between the gateway and gunicorn adds a scheme header of its own \
             (X-Forwarded-Ssl, X-Forwarded-Protocol) that contradicts X-Forwarded-Proto: https. Take \
             it out there, or leave only one of them in gunicorn's secure_scheme_headers.",
        );
    }
    let name = name_of(response.host);
    Diagnosis::new(
        DiagnosisKind::BadRequest,
        format!("Django answers the auth call with 400: is \"{name}\" in ALLOWED_HOSTS?"),
        format!(
            "Django answers 400, also when it is called localhost. Most often '{name}' is missing \
             in ALLOWED_HOSTS (no scheme, no port); Django's log says more."
        ),
    )
}

fn basic_auth() -> Diagnosis {
    Diagnosis::new(
        DiagnosisKind::BasicAuth,
        "HTTP Basic authentication stands before the auth view: let the auth path pass without",
        "Something in front of the auth view asks for HTTP Basic authentication, which the gateway \
         does not have. Let the auth path pass without it; the gateway never answers it to the outside.",
    )
}

fn forbidden(response: &Response<'_>) -> Diagnosis {
    if let Some(refusal) = SignatureRefusal::read(response.body) {
        return wrong_signature(refusal);
    }
    if contains(response.body, "CSRF") {
        return Diagnosis::new(
            DiagnosisKind::Csrf,
            "Django's CSRF check refuses the auth call: the view must answer GET, or be csrf_exempt",
            "The view at `auth.url` is not gatepost's: Django's CSRF check refuses it. Let it answer \
             GET, or put @csrf_exempt before it.",
        );
    }
    Diagnosis::new(
        DiagnosisKind::Forbidden,
        "something before the auth view forbids the call (DISALLOWED_USER_AGENTS, an allow-list, a WAF)",
        "The auth call gets 403 and a page, which is not gatepost's auth view's answer. Look at \
         DISALLOWED_USER_AGENTS, and for a middleware or firewall with a list of who may come.",
    )
}

fn wrong_signature(refusal: SignatureRefusal) -> Diagnosis {
    let (kind, title) = match refusal {
        SignatureRefusal::WrongSecret => (
            DiagnosisKind::WrongSecret,
            "Django refuses the signature: do both sides have the same secret?".to_owned(),
        ),
        SignatureRefusal::WrongClock(seconds) => (
            DiagnosisKind::WrongClock,
            format!(
                "Django refuses the signature: the clocks of gateway and Django differ by {seconds} s"
            ),
        ),
    };
    Diagnosis::new(kind, title, refusal.remedy())
}

/// Whether a 403 is a refused signature or CSRF token.
pub(in crate::session) fn is_refused(body: &[u8]) -> bool {
    contains(body, "CSRF") || SignatureRefusal::read(body).is_some()
}

fn server_error(response: &Response<'_>) -> Diagnosis {
    let Some((first, second)) = debug_page(response) else {
        return Diagnosis::new(
            DiagnosisKind::ServerError,
            "the auth view fails (500): Django's log has the traceback",
            "The auth view, or a middleware before it, raises an exception. Django's log has the \
             traceback.",
        );
    };
    Diagnosis::new(
        DiagnosisKind::ServerError,
        format!("the auth view fails (500): {first}: {second}"),
        format!("Django fails: \"{first}: {second}\". Its log has the traceback."),
    )
}

/// The first two lines of what Django answers in DEBUG to a client that accepts no HTML:
/// `ImproperlyConfigured at /_gatepost/auth/` and the exception's text.
fn debug_page(response: &Response<'_>) -> Option<(String, String)> {
    let text = std::str::from_utf8(response.body).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    let first = lines.next()?;
    let named = first.split_once(" at /")?.0;
    if named.is_empty() || named.contains([' ', '<']) {
        return None;
    }
    Some((
        printable(first),
        printable(lines.next().unwrap_or_default()),
    ))
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[cfg(test)]
mod tests;
