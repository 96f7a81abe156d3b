//! What a redirect of the auth call means.
//!
//! Used by `diagnose` alone. The surprise: a redirect is never followed, and never means "not logged
//! in", although a login page is where most of them lead.

use http::{Uri, header};

use crate::session::ask::response::{Response, name_of, printable};
use crate::session::diagnosis::{Diagnosis, DiagnosisKind};

/// What is wrong, by where Django sends the auth call.
pub(super) fn diagnose(response: &Response<'_>) -> Diagnosis {
    let location = response.headers.get(header::LOCATION);
    let to = location.and_then(|to| Uri::try_from(to.as_bytes()).ok());
    let to = to.unwrap_or_default();
    let (path, asked) = (to.path(), response.path);
    let name = name_of(response.host);
    let host = to.authority().map(|to| to.host().to_ascii_lowercase());
    if host.is_some_and(|host| host == format!("www.{name}")) {
        return www_redirect(&name);
    }
    if path == asked && to.scheme_str() == Some("https") {
        return plain_http();
    }
    if path.strip_suffix('/') == Some(asked) {
        return Diagnosis::new(
            DiagnosisKind::SlashMissing,
            "the auth path lacks its trailing slash: Django redirects to it (APPEND_SLASH)",
            format!("The auth path lacks its trailing slash. Write auth.url = \"{asked}/\"."),
        );
    }
    let query = to.query().unwrap_or_default();
    if query.starts_with("next=") || query.contains("&next=") || path.contains("login") {
        return login_required(asked);
    }
    if path.ends_with(asked) && path.len() > asked.len() {
        return Diagnosis::new(
            DiagnosisKind::LanguagePrefix,
            "Django puts a language before the auth path: take it out of i18n_patterns",
            "Django redirects the auth call to a path with a language in front. Include gatepost.urls \
             outside of i18n_patterns in urls.py.",
        );
    }
    let to = printable(path);
    Diagnosis::new(
        DiagnosisKind::Redirect,
        format!("Django redirects the auth call to {to}"),
        format!(
            "Django redirects the auth call from {asked} to {to}, and redirects are not followed. Let \
             the auth view answer by itself: look for a middleware that redirects."
        ),
    )
}

fn www_redirect(name: &str) -> Diagnosis {
    Diagnosis::new(
        DiagnosisKind::WwwRedirect,
        format!("PREPEND_WWW is on: open the site as www.{name}"),
        format!(
            "Django redirects to www.{name} (PREPEND_WWW). Open the site under that name and have it \
             in `server.hosts`, or turn PREPEND_WWW off."
        ),
    )
}

fn plain_http() -> Diagnosis {
    Diagnosis::new(
        DiagnosisKind::PlainHttp,
        "Django redirects to https: put gatepost.middleware.GatepostMiddleware first in MIDDLEWARE, or \
         set SECURE_PROXY_SSL_HEADER",
        "Django takes the request for plain HTTP and redirects it to https (SECURE_SSL_REDIRECT), \
         although the gateway says that the browser came by HTTPS. Put \
         'gatepost.middleware.GatepostMiddleware' first in MIDDLEWARE, before SecurityMiddleware; or, \
         without it, set SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https').",
    )
}

fn login_required(asked: &str) -> Diagnosis {
    Diagnosis::new(
        DiagnosisKind::LoginRequired,
        "Django redirects the auth call to the login page: exempt the auth path from login",
        format!(
            "A login-required middleware redirects requests without a login, so the gateway never \
             learns it. Exempt {asked} from it (@login_not_required for a view of your own)."
        ),
    )
}
