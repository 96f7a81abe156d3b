//! Which requests get compressed answers.
//!
//! Asked by `dispatch`. The surprise: with `dynamic = "public"` a request that anybody in particular is
//! behind gets none. The length of a compressed page tells, guess by guess, what else is in it (BREACH), so a
//! page with a user's secrets in it is not compressed unless the project says so.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, IF_NONE_MATCH};

use crate::config::{CompressionConfig, DynamicCompression};
use crate::session::{Naming, SessionCookies};
use crate::web::compression_terms::CompressionTerms;
use crate::web::encoding::Encoding;
use crate::web::headers::has_token;

/// Judges requests.
#[derive(Debug)]
pub struct CompressionPolicy {
    /// What gateway.toml says.
    pub config: CompressionConfig,
    /// Which cookies are a session.
    pub naming: Arc<Naming>,
}

impl CompressionPolicy {
    /// What a request with these fields allows; `None` where no answer is compressed.
    pub(super) fn terms(&self, fields: &HeaderMap) -> Option<CompressionTerms> {
        let CompressionConfig { dynamic, min_size } = self.config;
        let is_for_one = match dynamic {
            DynamicCompression::Off => return None,
            DynamicCompression::Public => self.is_for_one(fields),
            DynamicCompression::All => false,
        };
        let encoding = if is_for_one || has_token(fields, &CACHE_CONTROL, "no-transform") {
            Encoding::Identity
        } else {
            Encoding::choose(fields, |_| true)
        };
        Some(CompressionTerms {
            encoding,
            dynamic,
            min_size,
            held: fields.get(IF_NONE_MATCH).cloned(),
        })
    }

    fn is_for_one(&self, fields: &HeaderMap) -> bool {
        let is_session = |cookies| SessionCookies::any_in(cookies, &self.naming.names());
        fields.contains_key(AUTHORIZATION) || fields.get_all(COOKIE).iter().any(is_session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::CookieNames;

    fn encoding(dynamic: DynamicCompression, more: &[(&'static str, &str)]) -> Option<Encoding> {
        let names = CookieNames {
            others: vec!["jwt".into()],
            ..CookieNames::default()
        };
        let policy = CompressionPolicy {
            config: CompressionConfig {
                dynamic,
                ..CompressionConfig::default()
            },
            naming: Arc::new(Naming::new(Some("shop_session".into()), names)),
        };
        let mut fields = HeaderMap::new();
        for (name, value) in [("accept-encoding", "br, zstd")].iter().chain(more) {
            fields.append(*name, value.parse().unwrap());
        }
        policy.terms(&fields).map(|terms| terms.encoding)
    }

    #[test]
    fn only_what_anybody_might_ask_is_compressed_unless_the_project_says_all() {
        use DynamicCompression::{All, Off, Public};
        for more in [
            &[][..],
            &[("cookie", "csrftoken=1; sessionid=x; theme=dark")],
            &[("cookie", "my_shop_session=1")],
        ] {
            assert_eq!(encoding(Public, more), Some(Encoding::Zstd), "{more:?}");
        }
        for more in [
            &[("cookie", "a=1; shop_session=x")][..],
            &[("cookie", "shop_session=")],
            &[("cookie", "a=1"), ("cookie", "shop_session=\"x\"")],
            &[("cookie", "jwt=x")],
            &[("authorization", "Bearer x")],
        ] {
            assert_eq!(encoding(Public, more), Some(Encoding::Identity), "{more:?}");
            assert_eq!(encoding(All, more), Some(Encoding::Zstd), "{more:?}");
            assert_eq!(encoding(Off, more), None);
        }
        let raw = [("cache-control", "no-cache, No-Transform")];
        assert_eq!(encoding(All, &raw), Some(Encoding::Identity));
    }
}
