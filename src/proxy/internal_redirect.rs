//! Django's word that a file is the answer: `X-Accel-Redirect`, as nginx takes it, or `X-Sendfile`.
//!
//! Noted by `forward`, before such fields are removed; `server` gives the file. Only Django is
//! heard. From any other server the same field would open every file that Django guards.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;

use super::kind::UpstreamKind;

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// What stands in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternalRedirect {
    /// `X-Accel-Redirect`: a URL path.
    Url(HeaderValue),
    /// `X-Sendfile`: a path of the file system.
    File(HeaderValue),
    /// Several of these fields.
    Several,
}

/// Keeps what Django says in the answer's extensions.
pub(super) fn record(parts: &mut Parts, kind: UpstreamKind) {
    if kind == UpstreamKind::Django
        && let Some(redirect) = InternalRedirect::of(&parts.headers)
    {
        parts.extensions.insert(redirect);
    }
}

impl InternalRedirect {
    fn of(fields: &HeaderMap) -> Option<Self> {
        let urls = fields.get_all(X_ACCEL_REDIRECT).iter().map(Self::url);
        let mut found = urls.chain(fields.get_all(X_SENDFILE).iter().map(Self::file));
        let first = found.next()?;
        Some(if found.next().is_some() {
            Self::Several
        } else {
            first
        })
    }

    fn url(value: &HeaderValue) -> Self {
        Self::Url(value.clone())
    }

    fn file(value: &HeaderValue) -> Self {
        Self::File(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(
        kind: UpstreamKind,
        fields: &[(&'static str, &'static str)],
    ) -> Option<InternalRedirect> {
        let mut builder = http::Response::builder();
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        record(&mut parts, kind);
        parts.extensions.remove()
    }

    #[test]
    fn django_alone_is_heard_and_only_if_it_says_one_thing() {
        let django = |fields: &[_]| recorded(UpstreamKind::Django, fields);
        let url = InternalRedirect::Url(HeaderValue::from_static("/p/a"));
        assert_eq!(django(&[("x-accel-redirect", "/p/a")]), Some(url));
        let file = InternalRedirect::File(HeaderValue::from_static("/srv/a"));
        assert_eq!(django(&[("x-sendfile", "/srv/a")]), Some(file));
        let both = [("x-accel-redirect", "/p/a"), ("x-sendfile", "/srv/a")];
        assert_eq!(django(&both), Some(InternalRedirect::Several));
        let twice = [("x-accel-redirect", "/p/a"), ("x-accel-redirect", "/p/b")];
        assert_eq!(django(&twice), Some(InternalRedirect::Several));
        assert_eq!(django(&[("x-accel-buffering", "no")]), None);
        for other in [UpstreamKind::Plain, UpstreamKind::DevServer] {
            assert_eq!(recorded(other, &[("x-accel-redirect", "/p/a")]), None);
        }
    }
}
