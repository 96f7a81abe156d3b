//! From a path to what answers it: built once, asked for every request.
//!
//! The one surprise: a prefix `/admin/` also matches `/admin`, so that Django (not the frontend) gets
//! to redirect it to the path with a slash.

use std::collections::BTreeMap;

/// Exact paths and path prefixes, each with what answers it.
#[derive(Clone, Debug)]
pub struct RouteTable<E> {
    /// Ordered: of a few paths, comparing takes less than hashing the one that is asked for.
    exact: BTreeMap<String, E>,
    /// The longest first.
    prefixes: Vec<(String, E)>,
}

impl<E> RouteTable<E> {
    /// A table. Where a path or prefix is given twice, the first counts.
    pub fn new(exact: Vec<(String, E)>, prefixes: Vec<(String, E)>) -> Self {
        let mut table = Self {
            exact: BTreeMap::new(),
            prefixes,
        };
        for (path, endpoint) in exact {
            table.exact.entry(path).or_insert(endpoint);
        }
        table
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table
    }

    /// What answers a decoded path: an exact path first, then the longest prefix.
    pub fn find(&self, path: &str) -> Option<&E> {
        self.exact.get(path).or_else(|| {
            self.prefixes
                .iter()
                .find(|(prefix, _)| matches(prefix, path))
                .map(|(_, endpoint)| endpoint)
        })
    }
}

/// Whether a decoded path is below a prefix.
pub(super) fn matches(prefix: &str, path: &str) -> bool {
    path.starts_with(prefix)
        || prefix
            .strip_suffix('/')
            .is_some_and(|bare| !bare.is_empty() && bare == path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> RouteTable<&'static str> {
        RouteTable::new(
            vec![("/ws/notifications/".into(), "socket")],
            vec![
                ("/".into(), "frontend"),
                ("/api/".into(), "django"),
                ("/api/v2/".into(), "second"),
                ("/ws/".into(), "channels"),
            ],
        )
    }

    #[test]
    fn the_longest_prefix_wins_and_an_exact_path_before_it() {
        for (path, endpoint) in [
            ("/", "frontend"),
            ("/apis", "frontend"),
            ("/api", "django"),
            ("/api/", "django"),
            ("/api/v2", "second"),
            ("/api/v2/x", "second"),
            ("/api/v20", "django"),
            ("/ws/notifications/", "socket"),
            ("/ws/notifications/x", "channels"),
            ("/ws/notifications", "channels"),
        ] {
            assert_eq!(table().find(path), Some(&endpoint), "{path}");
        }
    }

    #[test]
    fn without_a_root_route_other_paths_have_no_answer() {
        let table = RouteTable::new(vec![], vec![("/api/".to_owned(), ())]);
        assert_eq!(table.find("/"), None);
        assert_eq!(table.find(""), None);
    }

    proptest! {
        #[test]
        fn a_match_is_the_naive_longest_prefix(
            prefixes in prop::collection::vec("/([ab]{1,2}/){0,3}", 0..6),
            path in "/[ab/]{0,8}",
        ) {
            let numbered = prefixes.iter().cloned().zip(0..).collect();
            let found = RouteTable::<i32>::new(vec![], numbered).find(&path).copied();
            let mut best: Option<(usize, i32)> = None;
            for (prefix, number) in prefixes.iter().zip(0..) {
                let hit = path.starts_with(prefix.as_str()) || (prefix.len() > 1 && format!("{path}/") == *prefix);
                if hit && best.is_none_or(|(length, _)| prefix.len() > length) {
                    best = Some((prefix.len(), number));
                }
            }
            prop_assert_eq!(found, best.map(|(_, number)| number));
        }

        #[test]
        fn finding_never_panics(path in "\\PC*") {
            let _ = table().find(&path);
        }
    }
}
