//! Wildcards and patterns in paths, of which only one is known: a segment in braces, where a view says who
//! may listen.
//!
//! Used by the kinds of paths. `<room>` or `*` is a path that a request might really have,
//! percent-encoded; it is never meant so, and a route with it would never match and never say so.

/// The pattern in a path, where there is one.
pub(super) fn pattern_of(path: &str) -> Option<&str> {
    if path.starts_with('^') || path.ends_with('$') {
        return Some(path);
    }
    path.split('/').find(|segment| is_pattern(segment))
}

/// Whether a segment is a name in braces, which stands for any one segment.
pub(super) fn is_braced(segment: &str) -> bool {
    let name = segment
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'));
    name.is_some_and(|name| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(is_word)
    })
}

/// The path with its segments in braces called alike.
pub(super) fn bare_braces(path: &str) -> String {
    let segments = path.split('/');
    let segments = segments.map(|one| if is_braced(one) { "{}" } else { one });
    segments.collect::<Vec<_>>().join("/")
}

/// The same path with braces in place of other frameworks' names for one segment, where it has any.
pub(super) fn in_braces(path: &str) -> String {
    let named = |segment: &str| {
        let inner = segment.strip_prefix('<')?.strip_suffix('>')?;
        let name = inner.rsplit(':').next().unwrap_or_default();
        Some(format!("{{{name}}}")).filter(|braced| is_braced(braced))
    };
    let path = path.trim_start_matches('^').trim_end_matches('$');
    let segments = path.trim_start_matches('/').split('/');
    let segments = segments.map(|one| named(one).unwrap_or_else(|| one.to_owned()));
    format!("/{}", segments.collect::<Vec<_>>().join("/"))
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
    fn a_name_in_braces_is_one_segment() {
        for (segment, expected) in [
            ("{pk}", true),
            ("{order_2}", true),
            ("{}", false),
            ("{a}{b}", false),
            ("x{a}", false),
            ("{a-b}", false),
            ("{int:pk}", false),
            ("pk", false),
        ] {
            assert_eq!(is_braced(segment), expected, "{segment}");
        }
        assert_eq!(bare_braces("/ws/{a}/x/{b}/"), "/ws/{}/x/{}/");
        assert_eq!(in_braces("ws/orders/<int:pk>/"), "/ws/orders/{pk}/");
        assert_eq!(in_braces("/ws/*/"), "/ws/*/");
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
