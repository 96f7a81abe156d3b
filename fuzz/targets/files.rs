//! A request for a file, or a file that Django names: whatever path, range, validator or encoding is asked for,
//! only what may be served is, and a part is a part of it.
#![no_main]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::LazyLock;

use gatepost::files::folder::Folder;
use gatepost::web::path;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

const CONTENT: &str = "0123456789abcdefghij";
const SECRET: &str = "never to be seen";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let builder = &mut Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});

/// A folder with files, hidden ones, and links that lead out of it.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("gatepost-fuzz-files-{}", std::process::id()));
    let root = place.join("root");
    fs::create_dir_all(root.join("app/.git")).expect("a folder");
    for file in [
        "a.txt",
        "app/index.html",
        "app/b.js",
        "app/b.js.br",
        "app/b.js.gz",
    ] {
        fs::write(root.join(file), CONTENT).expect("a file");
    }
    for file in ["root/.env", "root/app/.git/config", "outside"] {
        fs::write(place.join(file), SECRET).expect("a file");
    }
    let _ = symlink("../outside", root.join("link"));
    let _ = symlink("app/.git", root.join("git"));
    root
});

/// A target, and a field in each further line.
fn request(text: &str) -> Option<Request<()>> {
    let mut lines = text.split('\n');
    let mut request = Request::builder().uri(lines.next()?).body(()).ok()?;
    for line in lines.take(8) {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

fuzz_target!(|text: &str| {
    if let Ok(value) = HeaderValue::from_bytes(text.lines().next().unwrap_or_default().as_bytes()) {
        gatepost::files::fuzzing::named(&value);
    }
    let Some(mut request) = request(text) else {
        return;
    };
    let Ok(decoded) = path::decode(request.uri().path()) else {
        return;
    };
    let head = request.headers().contains_key("x-head");
    if head {
        *request.method_mut() = Method::HEAD;
    }
    RUNTIME.block_on(async {
        let folder = Folder::new(ROOT.clone(), Some("app/index.html".to_owned()));
        let relative = decoded.trim_start_matches('/');
        let Ok(response) = folder.serve(request, relative).await else {
            return;
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a file can be read").to_bytes();
        assert!(
            !body
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes())
        );
        match parts.status {
            StatusCode::OK if head => assert!(body.is_empty()),
            StatusCode::OK => assert_eq!(body, CONTENT),
            StatusCode::PARTIAL_CONTENT if head => assert!(body.is_empty()),
            StatusCode::PARTIAL_CONTENT => {
                let range = parts.headers[header::CONTENT_RANGE].to_str().unwrap();
                let (first, rest) = range["bytes ".len()..].split_once('-').unwrap();
                let (last, length) = rest.split_once('/').unwrap();
                let (first, last) = (first.parse().unwrap(), last.parse::<usize>().unwrap());
                assert_eq!(length, "20");
                assert_eq!(body, CONTENT.as_bytes()[first..=last]);
            }
            _ => {}
        }
    });
});
