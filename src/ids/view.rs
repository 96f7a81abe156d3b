//! Which of Django's views says who may listen: the path of a socket route, with its query.

use std::fmt;
use std::sync::Arc;

/// Path and query of a view that says who may listen, as Django is asked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewTarget(Arc<str>);

impl ViewTarget {
    /// Takes path and query as a request line has them.
    pub fn new(target: &str) -> Self {
        Self(target.into())
    }

    /// Path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path alone, for people: a query may have what is nobody else's business.
    pub fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }
}

impl fmt::Debug for ViewTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewTarget({})", self.path())
    }
}
