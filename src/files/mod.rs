//! Folders that the gateway serves itself: collected static files, a built frontend.
//!
//! `find` decides which file a path means, `caching` how long it may be kept, `folder` answers.

mod caching;
mod fallback;
mod find;
pub mod folder;
