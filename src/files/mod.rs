//! Folders that the gateway serves itself: collected static files, a built frontend.
//!
//! `folder` is asked. `find` decides which file a path means, `asset` reads it, `recent` keeps it for a
//! moment; `fallback` says whether a frontend's page takes the place of what is not there. `answer`
//! answers: `conditions` and `web::encoding` tell what is wanted, `caching` how long a browser may keep it.
//! `internal` has folders that only Django gives out, by the `target` that it names.
//! What is too large for memory is opened by `open` and sent by `body`. `disk` and `identity` are the
//! ground.

mod answer;
mod asset;
mod body;
mod caching;
mod conditions;
mod disk;
mod fallback;
mod find;
pub mod folder;
mod identity;
pub mod internal;
pub mod open;
mod recent;
mod target;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use http::HeaderValue;

    use super::target;

    /// A file as Django names it: its path is read in one way, or not at all.
    pub fn named(value: &HeaderValue) {
        for path in [target::url(value), target::file(value)]
            .into_iter()
            .flatten()
        {
            assert!(path.starts_with('/') && !path.contains(char::is_control));
            assert!(
                path.split('/')
                    .all(|segment| !matches!(segment, "." | ".."))
            );
        }
    }
}
