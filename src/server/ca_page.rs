//! The page by which phones get the local CA's certificate, with the steps for each system.
//!
//! Served by the composition root for `gatepost trust --show` alone, over plain HTTP, since a phone that asks does not
//! trust the CA yet. The page knows the certificate and nothing else, so that no more can be had from it, the key least
//! of all.

use std::fmt;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};

use super::service::{Handler, Peer};
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// Where the certificate is.
pub const CERTIFICATE: &str = "/gatepost-local-ca.crt";

const STYLE: &str = "\
:root{color-scheme:light dark}body{max-width:42rem;margin:0 auto;padding:1.5rem;font:16px/1.6 system-ui,sans-serif}\
a.get{display:inline-block;padding:.6rem 1.2rem;border-radius:6px;background:#1d4ed8;color:#fff;text-decoration:none}\
code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}svg{width:12rem;height:12rem;background:#fff}h2{margin-top:2rem}";

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// What phones and tablets make of the file, step by step.
const STEPS: &str = "\
<h2>iPhone and iPad</h2><ol>\
<li>Open this page in Safari, tap <b>Get the certificate</b>, and allow the profile.</li>\
<li>Settings, <b>Profile Downloaded</b>: Install.</li>\
<li>Settings, General, About, <b>Certificate Trust Settings</b>: switch on the certificate <i>Gatepost local CA</i>. Without this \
step nothing has changed.</li></ol>\
<h2>Android</h2><ol>\
<li>Tap <b>Get the certificate</b>.</li>\
<li>Settings, Security and privacy, More security settings, Encryption and credentials, <b>Install a certificate</b>, CA certificate: \
Install anyway, and choose the file among the downloads. (Or search the settings for <i>CA certificate</i>.)</li>\
<li>Chrome trusts it then. Firefox: Settings, About Firefox, tap the logo five times; then Settings, Secret Settings, <b>Use third \
party CA certificates</b>.</li></ol>\
<h2>Another computer</h2><ul>\
<li>macOS: <code>sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain gatepost-local-ca.crt</code></li>\
<li>Windows: <code>certutil -addstore -user Root gatepost-local-ca.crt</code></li>\
<li>Firefox: Settings, Certificates, View Certificates, Authorities, Import.</li></ul>\
<p>Remove it the same way when the project is done.</p>";

/// What the page tells.
#[derive(Clone, Copy, Debug)]
pub struct CaPageContent<'a> {
    /// Where this page is.
    pub url: &'a str,
    /// The code of that, an `<svg>` element.
    pub qr: &'a str,
    /// SHA-256 of the certificate, to compare.
    pub fingerprint: &'a str,
}

/// Serves the page and the certificate.
pub struct CaPage {
    html: Bytes,
    certificate: Bytes,
}

impl CaPage {
    /// A page about a certificate in DER form.
    pub fn new(content: CaPageContent<'_>, certificate: &[u8]) -> Self {
        Self {
            html: html(content).into(),
            certificate: Bytes::copy_from_slice(certificate),
        }
    }

    fn find(&self, path: &str) -> Response<ResponseBody> {
        match path {
            "/" => answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                self.html.clone(),
            ),
            CERTIFICATE => {
                let media_type = "application/x-x509-ca-cert";
                let mut response = answer(StatusCode::OK, media_type, self.certificate.clone());
                let file =
                    HeaderValue::from_static("attachment; filename=\"gatepost-local-ca.crt\"");
                response.headers_mut().insert(CONTENT_DISPOSITION, file);
                response
            }
            _ => {
                let text = "Only the certificate of Gatepost's local CA is here: see /.\n";
                answer(
                    StatusCode::NOT_FOUND,
                    "text/plain; charset=utf-8",
                    text.into(),
                )
            }
        }
    }
}

impl Handler for CaPage {
    async fn answer(&self, request: BoxedRequest, _: Peer) -> Response<ResponseBody> {
        match *request.method() {
            Method::GET | Method::HEAD => self.find(request.uri().path()),
            _ => {
                let (status, text) = (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
                let mut response = answer(status, "text/plain; charset=utf-8", text.into());
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
        }
    }
}

impl fmt::Debug for CaPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaPage").finish_non_exhaustive()
    }
}

/// All that it shows is the gateway's own; the URL has an address and a port only.
fn html(content: CaPageContent<'_>) -> String {
    let CaPageContent {
        url,
        qr,
        fingerprint,
    } = content;
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Trust this gateway</title><style>{STYLE}</style></head>\n<body>\
         <h1>Trust this gateway</h1>\n<p>The developer's machine at <code>{url}</code> made a certificate authority of its own. A device that trusts it \
         opens the site without a warning. It can vouch for local names, private addresses and the project's own hosts only.</p>\n\
         <p><a class=\"get\" href=\"{CERTIFICATE}\">Get the certificate</a></p>\n\
         <p>Compare its SHA-256 with what the terminal shows: <code>{fingerprint}</code></p>\n\
         {STEPS}\n<h2>This page on another device</h2>\n{qr}\n</body></html>\n"
    )
}

fn answer(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    response
}
