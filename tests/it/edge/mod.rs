//! What the gateway adds to requests for Django, and does about Django's answers.

mod riding;
mod signing;
