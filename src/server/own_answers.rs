//! What the gateway's own answers get from the project: security headers, and pages for errors.
//!
//! Used by `dispatch` and `plain`. What Django or another server answered is left alone, but for
//! `Strict-Transport-Security`, which is about the name and not about the answer.

use http::Response;
use http::header::{self, HeaderName, HeaderValue};

use crate::config::PagesConfig;
use crate::web::body::ResponseBody;
use crate::web::render::Rendered;

/// What own answers get.
#[derive(Debug, Default)]
pub struct OwnAnswers {
    /// Fields, where the answer has none of the name.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Pages in place of the gateway's own, for the public.
    pub pages: PagesConfig,
    /// `Strict-Transport-Security` of every answer over HTTPS that has none.
    pub hsts: Option<HeaderValue>,
}

impl OwnAnswers {
    /// Adds the fields to an answer of the gateway's own.
    pub(super) fn add_fields(&self, response: &mut Response<ResponseBody>) {
        for (name, value) in &self.fields {
            let fields = response.headers_mut();
            // What is there is of this very answer: a page with a style of its own says so.
            if !fields.contains_key(name) {
                fields.insert(name.clone(), value.clone());
            }
        }
    }

    /// Makes an error of the gateway's own the project's; any other answer stays.
    pub(super) fn dress(&self, response: &mut Response<ResponseBody>) {
        let Some(rendered) = response.extensions_mut().remove::<Rendered>() else {
            return;
        };
        if let Some(page) = self.pages.of(response.status().as_u16()) {
            rendered.show(page, response);
        }
        self.add_fields(response);
    }

    /// Tells browsers to use HTTPS alone.
    pub(super) fn secure(&self, response: &mut Response<ResponseBody>) {
        if let Some(hsts) = &self.hsts {
            let fields = response.headers_mut();
            let name = header::STRICT_TRANSPORT_SECURITY;
            fields.entry(name).or_insert_with(|| hsts.clone());
        }
    }
}
