//! A browser's cookies, and what a response does to them.
#![no_main]

use gatepost::session::{CookieNames, Scope, SessionCookies};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(Ok(cookies)) = lines.next().map(HeaderValue::from_bytes) else {
        return;
    };
    let names = CookieNames {
        session: "sessionid".to_owned(),
        others: vec!["tenant".to_owned()],
        ..CookieNames::default()
    };
    let mut fields = HeaderMap::new();
    for line in lines.take(8) {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        fields.append(SET_COOKIE, line);
    }
    if let Ok(picked) = SessionCookies::pick(&cookies, &names) {
        // What is asked with is found again, and is the same session.
        let again = SessionCookies::pick(picked.header(), &names).expect("it was picked before");
        assert!(again.is_same_session(&picked));
    }
    let host = HeaderValue::from_static("app.example.com:8443");
    let scope = Scope {
        host: &host,
        path: "/accounts/logout/",
        cookies: Some(&cookies),
    };
    let _ = names.session_change(&fields, scope);
    if let Some(after) = names.after(&fields, scope) {
        assert!(after.header().is_sensitive());
    }
});
