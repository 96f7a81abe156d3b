//! Names that count as hosts because Django says so.
//!
//! Kept by `acme`, read through `hosts` for requests that name no host of the configuration; without any, that costs
//! nothing. A name comes or goes seldom, so that each change makes the set anew.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The names, in lower case.
#[derive(Debug, Default)]
pub struct AllowedNames(ArcSwap<HashSet<String>>);

impl AllowedNames {
    /// Whether a name, in any case, is one of them.
    pub fn contains(&self, name: &str) -> bool {
        let names = self.0.load();
        if names.is_empty() {
            return false;
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return names.contains(&name.to_ascii_lowercase());
        }
        names.contains(name)
    }

    /// These alone.
    pub fn replace(&self, names: HashSet<String>) {
        self.0.store(Arc::new(names));
    }

    /// One more.
    pub fn add(&self, name: &str) {
        if !self.0.load().contains(name) {
            self.change(|names| names.insert(name.to_owned()));
        }
    }

    /// One less.
    pub fn remove(&self, name: &str) {
        if self.0.load().contains(name) {
            self.change(|names| names.remove(name));
        }
    }

    fn change(&self, change: impl Fn(&mut HashSet<String>) -> bool) {
        self.0.rcu(|names| {
            let mut names = HashSet::clone(names);
            change(&mut names);
            names
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::hosts::{HostStanding, Hosts};

    #[test]
    fn a_name_is_a_host_for_as_long_as_it_is_allowed() {
        let allowed = Arc::new(AllowedNames::default());
        let hosts = Hosts::new(vec!["app.test".into()], Vec::new());
        let hosts = hosts
            .redirecting(vec!["old.test".into()])
            .with_allowed(Arc::clone(&allowed));
        assert!(!hosts.contains("shop.test"));
        allowed.add("shop.test");
        allowed.add("old.test");
        for ours in ["shop.test", "Shop.TEST", "shop.test.", "app.test"] {
            assert!(hosts.contains(ours), "{ours}");
        }
        for foreign in ["www.shop.test", "shop.test..", "test", ""] {
            assert!(!hosts.contains(foreign), "{foreign}");
        }
        assert_eq!(hosts.standing("old.test"), HostStanding::Moved);
        assert_eq!(hosts.canonical(), Some("app.test"));
        allowed.remove("shop.test");
        assert!(!hosts.contains("shop.test"));
        allowed.replace(HashSet::from(["blog.test".to_owned()]));
        assert!(hosts.contains("blog.test") && !hosts.contains("old.tests"));
    }
}
