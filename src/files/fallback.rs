//! Whether a path that is no file gets the frontend's first page.
//!
//! Asked by `folder`. The surprise: the path alone does not tell a page from a file. A router has
//! `/users/ann@example.com` and `/items/1.1`, so a client that asks for HTML by name gets the page
//! whatever the path looks like; and one that takes anything, as every script's loader does, must not
//! get it in place of a missing chunk, which is the hardest kind of 404 to find.

use http::header::{self, HeaderMap, HeaderName};

use crate::web::headers::{accepts_html, list};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// What a build is made of. Old loaders ask even for these as if for a page.
const CHUNKS: [&str; 6] = ["js", "mjs", "cjs", "css", "map", "wasm"];

/// Whether a request for `path`, decoded and relative, may be answered by the page.
pub(super) fn is_for_page(path: &str, headers: &HeaderMap) -> bool {
    let hidden = path.split('/').any(|segment| segment.starts_with('.'));
    if hidden || loads_a_part(headers) {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    match ending {
        None => accepts_html(headers) || takes_anything(headers),
        Some(ending) if CHUNKS.contains(&ending) && !navigates(headers) => false,
        Some(_) => accepts_html(headers),
    }
}

/// Whether a browser says that a person goes there.
fn navigates(headers: &HeaderMap) -> bool {
    let destination = headers.get(&SEC_FETCH_DEST);
    destination.is_some_and(|kind| kind == "document")
}

/// Whether a browser says that it loads a script, a picture or another part of a page.
fn loads_a_part(headers: &HeaderMap) -> bool {
    const PAGES: [&str; 7] = [
        "document",
        "iframe",
        "frame",
        "fencedframe",
        "embed",
        "object",
        // `fetch`, which may well load a page.
        "empty",
    ];
    let destination = headers.get(&SEC_FETCH_DEST);
    headers.contains_key(&SERVICE_WORKER)
        || destination.is_some_and(|kind| PAGES.iter().all(|page| kind != page))
}

/// Whether a client names no type of its own, as `curl` and `fetch` do (RFC 9110 12.5.1). One that
/// names another besides, such as JSON, would rather hear that there is no such file.
fn takes_anything(headers: &HeaderMap) -> bool {
    let ranges = list(headers, &header::ACCEPT);
    let mut ranges = ranges
        .map(|range| std::str::from_utf8(range).unwrap_or("none"))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty());
    ranges.all(|range| matches!(range, "*/*" | "text/*"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    const ANYTHING: (&str, &str) = ("accept", "*/*");

    fn for_page(path: &str, fields: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        is_for_page(path, &headers)
    }

    #[test]
    fn who_asks_for_html_by_name_gets_the_page_whatever_the_path_looks_like() {
        for path in [
            "",
            "inbox/42",
            "users/ann@example.com",
            "items/1.1",
            "v1.2/users",
            "report.pdf",
            "users/ann@example.com/",
        ] {
            assert!(for_page(path, &[PAGE]), "{path}");
            assert!(for_page(path, &[("accept", "text/html")]), "{path}");
        }
    }

    #[test]
    fn a_missing_chunk_is_no_page_unless_a_person_goes_there() {
        for path in [
            "assets/missing.js",
            "assets/app.css",
            "index-BnZ3kq1a.js.map",
        ] {
            assert!(!for_page(path, &[PAGE]), "{path}");
            let destination = ("sec-fetch-dest", "document");
            assert!(for_page(path, &[PAGE, destination]), "{path}");
        }
    }

    #[test]
    fn who_takes_anything_gets_it_where_the_path_looks_like_no_file() {
        for path in ["", "inbox/42", "v1.2/users", "users/"] {
            assert!(for_page(path, &[ANYTHING]), "{path}");
            assert!(for_page(path, &[]), "{path}");
        }
        for path in [
            "assets/index-BnZ3kq1a.js",
            "assets/missing.css",
            "favicon.ico",
            "sw.js",
            "data.json",
            "items/1.1",
        ] {
            assert!(!for_page(path, &[ANYTHING]), "{path}");
            assert!(!for_page(path, &[]), "{path}");
        }
    }

    #[test]
    fn what_is_no_page_never_gets_one() {
        for accept in [
            "application/json",
            "application/json, text/plain, */*",
            "image/webp,*/*;q=0.8",
            "text/css,*/*;q=0.1",
            "text/html;q=0",
        ] {
            assert!(!for_page("inbox/42", &[("accept", accept)]), "{accept}");
        }
        for kind in [
            "script",
            "style",
            "image",
            "worker",
            "serviceworker",
            "manifest",
            "font",
        ] {
            let destination = ("sec-fetch-dest", kind);
            assert!(!for_page("inbox/42", &[ANYTHING, destination]), "{kind}");
            assert!(!for_page("inbox/42", &[PAGE, destination]), "{kind}");
        }
        assert!(!for_page(
            "worker",
            &[ANYTHING, ("service-worker", "script")]
        ));
        for path in [".env", ".git/config", "users/.hidden", "../x"] {
            assert!(!for_page(path, &[PAGE]), "{path}");
        }
    }

    #[test]
    fn pages_frames_and_fetches_get_the_page() {
        for kind in ["document", "iframe", "empty"] {
            let destination = ("sec-fetch-dest", kind);
            assert!(for_page("inbox/42", &[ANYTHING, destination]), "{kind}");
        }
    }
}
