//! An error and its causes, as people read them.

use std::error::Error;

/// All of it in one line: `cannot read x: permission denied`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot begin")]
    struct Above(#[source] std::io::Error);

    #[test]
    fn causes_follow_their_error() {
        let error = Above(std::io::Error::other("no room"));
        assert_eq!(chain(&error), "cannot begin: no room");
    }
}
