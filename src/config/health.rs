//! The path of `server.health`.

use super::kind::{PATH, ValueKind};

pub(super) const HEALTH: ValueKind<Option<String>> = ValueKind {
    expected: "an absolute path such as \"/healthz\", or \"\" for none",
    parse: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        // It is compared as it is sent, by programs that do not encode.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        if !text.chars().all(plain) {
            return Err(Some(
                "letters, digits, `-`, `.`, `_`, `~` and slashes are all it may have".to_owned(),
            ));
        }
        if text == "/" {
            return Err(Some(
                "the whole site would be gone: give it a path of its own".to_owned(),
            ));
        }
        (PATH.parse)(text).map(Some)
    },
};
