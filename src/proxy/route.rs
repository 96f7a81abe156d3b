//! From a path to what answers it: built once, asked for every request.
//!
//! A segment in braces stands for any one. The one surprise: a prefix `/admin/` also matches `/admin`, so that Django (not the frontend) gets
//! to redirect it to the path with a slash.

use std::collections::BTreeMap;

/// Exact paths, some with segments that may be anything, and path prefixes, each with what answers it.
#[derive(Clone, Debug)]
pub struct RouteTable<E> {
    /// Ordered: of a few paths, comparing takes less than hashing the one that is asked for.
    exact: BTreeMap<String, E>,
    /// Those with segments in braces; of two that fit, the one whose left-most segments are named goes first.
    patterns: Vec<(PathPattern, E)>,
    /// The longest first.
    prefixes: Vec<(String, E)>,
}

/// A path of which some segments may be anything: `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathPattern(Vec<Option<Box<str>>>);

impl PathPattern {
    /// Reads a path that has segments in braces.
    fn of(path: &str) -> Option<Self> {
        let is_any = |segment: &&str| segment.starts_with('{') && segment.ends_with('}');
        let segments = path.split('/');
        segments.clone().any(|one| is_any(&one)).then(|| {
            let named = segments.map(|one| Some(one).filter(|one| !is_any(one)).map(Into::into));
            Self(named.collect())
        })
    }

    fn fits(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let fit = self.0.iter().all(|wanted| match (wanted, segments.next()) {
            (Some(name), Some(segment)) => **name == *segment,
            (None, Some(segment)) => !segment.is_empty(),
            (_, None) => false,
        });
        fit && segments.next().is_none()
    }

    /// Sorts named segments before others.
    fn rank(&self) -> Vec<bool> {
        self.0.iter().map(Option::is_none).collect()
    }
}

impl<E> RouteTable<E> {
    /// A table. Where a path or prefix is given twice, the first counts.
    pub fn new(exact: Vec<(String, E)>, prefixes: Vec<(String, E)>) -> Self {
        let mut table = Self {
            exact: BTreeMap::new(),
            patterns: Vec::new(),
            prefixes,
        };
        for (path, endpoint) in exact {
            if let Some(pattern) = PathPattern::of(&path) {
                table.patterns.push((pattern, endpoint));
            } else {
                table.exact.entry(path).or_insert(endpoint);
            }
        }
        table.patterns.sort_by_key(|(pattern, _)| pattern.rank());
        table
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table
    }

    /// What answers a decoded path: an exact path first, then one with segments that may be anything, then the
    /// longest prefix.
    pub fn find(&self, path: &str) -> Option<&E> {
        let pattern = || {
            let mut patterns = self.patterns.iter();
            let found = patterns.find(|(pattern, _)| pattern.fits(path));
            found.map(|(_, endpoint)| endpoint)
        };
        self.exact.get(path).or_else(pattern).or_else(|| {
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
    fn a_segment_in_braces_is_any_one_and_a_name_goes_before_it() {
        let paths = [
            "/ws/{a}/{b}/",
            "/ws/{a}/x/",
            "/ws/orders/{pk}/",
            "/ws/orders/new/",
        ];
        let exact = paths.map(|path| (path.to_owned(), path));
        let table = RouteTable::new(exact.to_vec(), vec![("/".to_owned(), "rest")]);
        for (path, endpoint) in [
            ("/ws/orders/new/", "/ws/orders/new/"),
            ("/ws/orders/17/", "/ws/orders/{pk}/"),
            ("/ws/orders/x/", "/ws/orders/{pk}/"),
            ("/ws/rooms/x/", "/ws/{a}/x/"),
            ("/ws/rooms/y/", "/ws/{a}/{b}/"),
            ("/ws/orders/größe/", "/ws/orders/{pk}/"),
            ("/ws/orders//", "rest"),
            ("/ws/orders/", "rest"),
            ("/ws/orders/17", "rest"),
            ("/ws/orders/17/more/", "rest"),
        ] {
            assert_eq!(table.find(path), Some(&endpoint), "{path}");
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
