//! The way to a 101: origin, grammar, session, Django's judgement.

mod auth_call;
mod cookies;
mod grammar;
mod origin;
mod verdict;
