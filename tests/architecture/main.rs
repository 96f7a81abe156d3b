//! Holds the house of docs/architecture.md: layers, rooms, no circles, budgets and names; and that it names
//! what is there.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod budgets;
mod circles;
mod document;
mod layers;
mod names;
mod source;
