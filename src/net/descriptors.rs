//! How the process's descriptors are shared out.
//!
//! Called once by the composition root. A socket that the gateway ends costs one descriptor and a
//! proxied request two or three, so what upstreams can take at most is counted, and the rest is for
//! clients: at least three quarters, so that a low limit still serves some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this is no limit: the kernel's memory ends first.
const MOST: u64 = 1 << 20;
/// Listeners, logs, certificates, calls to Django (64), connections of the internal listener (256) and
/// of clients that are told that there is no room (64).
const OWN: u64 = 64 + 64 + 256 + 64;
/// For each upstream: connections of the requests that are under way (512), idle ones (64), and a file
/// for each body that waits on the disk.
const UPSTREAM: u64 = 512 + 64 + 512;
/// Files that are sent: a sixteenth, but not more.
const MOST_FILES: u64 = 4096;

/// How many each part may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShares {
    /// Connections of clients.
    pub clients: usize,
    /// Files that are being sent.
    pub files: usize,
    /// Clients that are told that there is no room for them.
    pub refused: usize,
}

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

/// Shares a number of descriptors out, for a number of upstreams.
pub fn share(descriptors: u64, upstreams: usize) -> DescriptorShares {
    let upstreams = UPSTREAM.saturating_mul(upstreams as u64);
    let files = (descriptors / 16).clamp(8, MOST_FILES);
    let kept = OWN
        .saturating_add(upstreams)
        .saturating_add(files)
        .min((descriptors / 4).max(32));
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    DescriptorShares {
        clients: count(descriptors.saturating_sub(kept)),
        files: count(files),
        refused: count((descriptors / 32).min(64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(descriptors: u64, upstreams: usize) -> usize {
        share(descriptors, upstreams).clients
    }

    #[test]
    fn clients_get_what_upstreams_and_files_cannot_take() {
        assert_eq!(clients(1 << 20, 1), (1 << 20) - 448 - 1088 - 4096);
        assert_eq!(clients(65_536, 2), 65_536 - 448 - 2 * 1088 - 4096);
        assert!(clients(20_000, 1) > 17_000);
        assert_eq!(share(20_000, 1).files, 1_250);
    }

    #[test]
    fn where_there_are_few_three_quarters_are_for_clients() {
        assert_eq!(clients(1_024, 3), 768);
        assert_eq!(clients(64, 1), 32);
        assert_eq!(clients(16, 1), 1);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(MOST).min(MOST), raised);
        assert_eq!(now.current, now.maximum);
    }
}
