//! Wildcards and patterns in paths, which nothing here knows.
//!
//! Used by the kinds of paths. The surprise: `<room>` or `*` is a path that a request might really
//! have, percent-encoded; it is never meant so, and a route with it would never match and never say so.

/// The pattern in a path, where there is one.
pub(super) fn pattern_of(path: &str) -> Option<&str> {
    if path.starts_with('^') || path.ends_with('$') {
        return Some(path);
    }
    path.split('/').find(|segment| is_pattern(segment))
}

/// What stands before it, as a prefix.
pub(super) fn plain_part(path: &str) -> String {
    let path = path.trim_start_matches(['^', '/']);
    let plain = path.trim_end_matches('$').split('/');
    let plain: Vec<_> = plain
        .take_while(|segment| !segment.is_empty() && !is_pattern(segment))
        .collect();
    match plain.as_slice() {
        [] => "/".to_owned(),
        segments => format!("/{}/", segments.join("/")),
    }
}

/// `<room>`, `<int:pk>`, `{room}`, `*`, `:room`, `[id]`, `(?P<room>\w+)`, `.+`.
fn is_pattern(segment: &str) -> bool {
    segment.contains(['<', '>', '{', '}', '*', '^', '|'])
        || (segment.starts_with(':') && segment.len() > 1)
        || ["(?", ".+", "\\d", "\\w", "\\S"]
            .iter()
            .any(|part| segment.contains(part))
        || (segment.contains('[') && segment.contains(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_every_framework_are_known() {
        for (path, plain) in [
            ("/ws/<room>/", "/ws/"),
            ("/ws/<int:pk>/", "/ws/"),
            ("/ws/chat/{room}/", "/ws/chat/"),
            ("/ws/*", "/ws/"),
            ("/*", "/"),
            ("/ws/:room/", "/ws/"),
            ("/ws/[room]/", "/ws/"),
            ("^ws/notifications/$", "/ws/notifications/"),
            ("ws/(?P<room>\\w+)/$", "/ws/"),
            ("/ws/.+", "/ws/"),
            ("/ws/([0-9]+)/", "/ws/"),
            ("/ws/\\d+/", "/ws/"),
        ] {
            assert!(pattern_of(path).is_some(), "{path}");
            assert_eq!(plain_part(path), plain, "{path}");
        }
    }

    #[test]
    fn plain_paths_are_none() {
        for path in [
            "/",
            "/ws/notifications/",
            "/c++/",
            "/a(b)/",
            "/v1.2/",
            "/a:b/",
            "/überblick/",
        ] {
            assert_eq!(pattern_of(path), None, "{path}");
        }
    }
}
