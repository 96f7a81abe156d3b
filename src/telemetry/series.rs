//! Which series are there before anything is counted.
//!
//! Used by `metrics`. The surprise: a rate over a series that begins with its first event does not see that event, so an
//! alert would miss the first fault. What upstreams are called, and which codes a caller of `/v1/revoke` chooses, is not
//! known before: those series begin when they count.

/// Outcomes of handshakes. Refused before the upgrade: down to `origin_refused`. Answered with 101: `accepted`, or closed
/// at once. In place of an event stream: `closed`. Of streams that Django hands over: `handed_over`, `hand_over_refused`.
/// Where a route keeps visitors, the last two come beside why there is no session.
pub(super) const HANDSHAKES: [&str; 22] = [
    "draining",
    "full",
    "address_full",
    "too_fast",
    "crowded",
    "not_an_upgrade",
    "malformed",
    "origin_refused",
    "accepted",
    "no_cookie",
    "anonymous",
    "not_allowed",
    "renamed",
    "revoked",
    "user_full",
    "unreachable",
    "misconfigured",
    "closed",
    "handed_over",
    "hand_over_refused",
    "visitor",
    "visitors_full",
];

/// Outcomes of auth calls: what Django said of a session or of a view's path; `batch`, answers to several at once;
/// `no_batch`, Django has no batch view; and no judgement.
pub(super) const AUTH_CALLS: [&str; 7] = [
    "user",
    "anonymous",
    "not_allowed",
    "batch",
    "no_batch",
    "unreachable",
    "misconfigured",
];

/// What comes of topics, and in vain.
pub(super) const SUBSCRIPTIONS: [&str; 8] = [
    "subscribed",
    "unsubscribed",
    "revoked",
    "not_allowed",
    "expired",
    "malformed",
    "too_many",
    "unavailable",
];

/// What clients get that come with a position.
pub(super) const RESUMES: [&str; 2] = ["recovered", "lost"];

/// Forms of responses that are connections.
pub(super) const STREAMS: [&str; 2] = ["sse", "ndjson"];

/// The close codes that the gateway chooses itself.
pub(super) const CLOSES: [u32; 10] = [1000, 1001, 1002, 1007, 1008, 1009, 1011, 1013, 4001, 4003];

/// What rides on Django's responses.
pub(super) const PIGGYBACKED: [&str; 3] = ["publication", "revocation", "identity"];

/// What becomes of it.
pub(super) const PIGGYBACK_OUTCOMES: [&str; 2] = ["taken", "refused"];

/// Outcomes of pulls of the transactional outbox.
pub(super) const PULLS: [&str; 3] = ["ok", "unreachable", "refused"];

/// Outcomes of the items of the transactional outbox.
pub(super) const ITEMS: [&str; 6] = [
    "published",
    "revoked",
    "rechecked",
    "skipped",
    "refused",
    "unknown",
];

/// The codes of requests that the gateway refuses by its limits, and by what operators order.
pub(super) const REFUSED: [&str; 6] = [
    "refused",
    "too_fast",
    "queue_full",
    "queue_timeout",
    "maintenance",
    "paused",
];

/// Whose requests wait for a place at Django: known sessions', all others'.
pub(super) const QUEUED: [&str; 2] = ["known", "anonymous"];
