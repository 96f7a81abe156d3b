//! What the gateway adds to requests for Django, and does about Django's answers.

mod ends;
mod farewell;
mod identity;
mod piggyback;
mod presence;
mod rotation;
mod signing;
mod watch;
