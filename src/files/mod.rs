//! Folders that the gateway serves itself: collected static files, a built frontend.
//!
//! `folder` is asked. `find` decides which file a path means, `asset` reads it, `recent` keeps it for a
//! moment; `fallback` says whether a frontend's page takes the place of what is not there. `answer`
//! answers: `conditions` and `encoding` tell what is wanted, `caching` how long a browser may keep it.
//! `internal` has folders that only Django gives out, by the `target` that it names.
//! What is too large for memory is opened by `open` and sent by `body`. `disk` and `identity` are the
//! ground.

mod answer;
mod asset;
mod body;
mod caching;
mod conditions;
mod disk;
mod encoding;
mod fallback;
mod find;
pub mod folder;
mod identity;
pub mod internal;
pub mod open;
mod recent;
mod target;
