//! How many connections the process may hold.
//!
//! Called once by the composition root. The surprise: a socket that the gateway ends costs one
//! descriptor and a proxied request two, so a quarter of all is kept for upstreams, files and logs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this is no limit: the kernel's memory ends first.
const MOST: u64 = 1 << 20;

/// Raises the soft limit of descriptors to the hard one and returns it.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // A container may forbid it; the limit that is then in force still counts.
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    in_force.unwrap_or(MOST).min(MOST)
}

/// How many connections clients may have with so many descriptors.
pub fn connections(descriptors: u64) -> usize {
    let kept = (descriptors / 4).max(32);
    usize::try_from(descriptors.saturating_sub(kept))
        .unwrap_or(usize::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_is_kept() {
        assert_eq!(connections(20_000), 15_000);
        assert_eq!(connections(64), 32);
        assert_eq!(connections(16), 1);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(MOST).min(MOST), raised);
        assert_eq!(now.current, now.maximum);
    }
}
