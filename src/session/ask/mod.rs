//! One question to Django, and what its answer means.
//!
//! `authority` decides when which question is put; here it is put, and the answer is read.

pub(in crate::session) mod auth_view;
pub(in crate::session) mod batch;
pub(in crate::session) mod batch_view;
pub(in crate::session) mod call_span;
pub(in crate::session) mod client;
pub(in crate::session) mod diagnose;
pub(in crate::session) mod diagnoses;
pub(in crate::session) mod meaning;
pub(in crate::session) mod offer;
pub(in crate::session) mod response;
pub(in crate::session) mod view_faults;
