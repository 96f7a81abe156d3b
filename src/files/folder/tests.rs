//! What a folder answers, also while its files change.

use std::fs;
use std::os::unix::fs::symlink;

use http_body_util::BodyExt;

use super::*;
use crate::files::asset::SMALL;
use crate::files::body::FileBody;
use crate::files::disk::{self, Look};

const PAGE: &str = "text/html,*/*;q=0.8";

struct Site {
    files: tempfile::TempDir,
    folder: Folder,
}

fn site(fallback: Option<&str>) -> Site {
    let files = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html>"),
        ("app.js", "0123456789"),
        ("app.js.br", "brotli"),
        ("index-BnZ3kq1a.js", "hashed"),
        ("docs/index.html", "docs"),
        (".env", "SECRET"),
        ("pixel.png", "png"),
        ("empty.txt", ""),
    ] {
        let path = files.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let folder = Folder::new(files.path().to_owned(), fallback.map(Into::into));
    Site { files, folder }
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Puts a file in the place of another as deployments do.
    fn replace(&self, name: &str, text: &[u8]) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    async fn read(&self, path: &str) -> String {
        text(self.ask(path, &[]).await).await
    }

    async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Response<ResponseBody> {
        let mut builder = Request::get(format!("/static/{path}"));
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        self.folder
            .serve(builder.body(()).unwrap(), path)
            .await
            .unwrap()
    }

    async fn status(&self, method: Method, path: &str, accept: &str) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri(format!("/static/{path}"))
            .header("accept", accept);
        match self.folder.serve(request.body(()).unwrap(), path).await {
            Ok(response) => response.status().as_u16(),
            Err(problem) => problem.status.as_u16(),
        }
    }
}

async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_file_says_what_it_is_and_how_long_to_keep_it() {
    let site = site(None);
    let script = site.ask("app.js", &[]).await;
    assert_eq!(
        script.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(script.headers()["cache-control"], "no-cache");
    assert_eq!(script.headers()["x-content-type-options"], "nosniff");
    assert_eq!(script.headers()["content-length"], "10");
    assert_eq!(text(script).await, "0123456789");
    let hashed = site.ask("index-BnZ3kq1a.js", &[]).await;
    assert!(
        hashed.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(
        site.ask("pixel.png", &[]).await.headers()["content-type"],
        "image/png"
    );
}

#[tokio::test]
async fn a_compressed_copy_is_served_to_who_takes_it() {
    let response = site(None)
        .ask("app.js", &[("accept-encoding", "gzip, br")])
        .await;
    assert_eq!(response.headers()["content-encoding"], "br");
    assert_eq!(
        response.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(text(response).await, "brotli");
}

#[tokio::test]
async fn of_equal_copies_zstd_comes_first_and_one_that_is_gone_is_no_more() {
    let site = site(None);
    let all = [("accept-encoding", "gzip, deflate, br, zstd")];
    site.replace("app.js.zst", b"zstd");
    let response = site.ask("app.js", &all).await;
    assert_eq!(response.headers()["content-encoding"], "zstd");
    assert_eq!(response.headers()["vary"], "accept-encoding");
    assert_eq!(text(response).await, "zstd");
    fs::remove_file(site.path("app.js.zst")).unwrap();
    // What is not the file itself is looked up anew after a second.
    site.folder.recent.forget("app.js");
    let response = site.ask("app.js", &all).await;
    assert_eq!(response.headers()["content-encoding"], "br");
}

#[tokio::test]
async fn hosts_that_got_a_file_at_different_times_name_it_alike() {
    let (one, other) = (site(None), site(None));
    let tag = |response: Response<ResponseBody>| response.headers()["etag"].clone();
    let file = fs::File::options()
        .write(true)
        .open(other.path("app.js"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let tags = (
        tag(one.ask("app.js", &[]).await),
        tag(other.ask("app.js", &[]).await),
    );
    assert_eq!(tags.0, tags.1);
    one.replace("app.js", b"0123456780");
    assert_ne!(tag(one.ask("app.js", &[]).await), tags.0);
}

#[tokio::test]
async fn a_browser_that_has_it_is_told_so() {
    let site = site(None);
    let tag = site.ask("app.js", &[]).await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let again = site.ask("app.js", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["cache-control"], "no-cache");
}

#[tokio::test]
async fn a_range_that_is_none_is_ignored() {
    let site = site(None);
    for range in [
        "items=0-1",
        "bytes=abc",
        "bytes=3-1",
        "bytes=+1-2",
        "bytes=",
        "bytes=0-99999999999999999999",
    ] {
        let whole = site.ask("app.js", &[("range", range)]).await;
        assert_eq!(whole.status(), 200, "{range}");
    }
    let beyond = site.ask("app.js", &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.status(), 416);
}

#[tokio::test]
async fn a_range_is_served_unless_the_file_has_changed_since() {
    let site = site(None);
    let part = site.ask("app.js", &[("range", "bytes=2-4")]).await;
    assert_eq!(part.status(), 206);
    let tag = part.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(text(part).await, "234");
    let fresh = site
        .ask("app.js", &[("range", "bytes=2-4"), ("if-range", &tag)])
        .await;
    assert_eq!(fresh.status(), 206);
    for stale in [
        "\"0-0\"",
        &format!("W/{tag}"),
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ] {
        let whole = site
            .ask("app.js", &[("range", "bytes=2-4"), ("if-range", stale)])
            .await;
        assert_eq!(whole.status(), 200, "{stale}");
        assert_eq!(text(whole).await, "0123456789");
    }
    let many = site.ask("app.js", &[("range", "bytes=0-1,2-3,4-5")]).await;
    assert_eq!(many.status(), 200);
}

#[tokio::test]
async fn a_range_of_an_empty_file_is_no_part_of_it() {
    let site = site(None);
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=5-9"] {
        let answer = site.ask("empty.txt", &[("range", range)]).await;
        assert!(matches!(answer.status().as_u16(), 200 | 416), "{range}");
        assert_eq!(text(answer).await, "", "{range}");
    }
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let site = site(None);
    let request = Request::head("/static/app.js").body(()).unwrap();
    let response = site.folder.serve(request, "app.js").await.unwrap();
    assert_eq!(response.headers()["content-length"], "10");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn other_methods_are_refused() {
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        assert_eq!(
            site(Some("index.html"))
                .status(method, "app.js", PAGE)
                .await,
            405
        );
    }
}

#[tokio::test]
async fn only_pages_fall_back() {
    let site = site(Some("index.html"));
    for (path, accept, status) in [
        ("", PAGE, 200),
        ("inbox/42", PAGE, 200),
        ("inbox/42", "application/json", 404),
        ("inbox/42", "*/*", 200),
        ("users/ann@example.com", PAGE, 200),
        ("items/1.1", PAGE, 200),
        ("assets/missing.js", "*/*", 404),
        ("assets/missing.js", PAGE, 404),
        (".env", PAGE, 404),
        (".git/config", PAGE, 404),
    ] {
        assert_eq!(
            site.status(Method::GET, path, accept).await,
            status,
            "{path} {accept}"
        );
    }
    let page = site.ask("inbox/42", &[("accept", PAGE)]).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers()["cache-control"], "no-cache");
}

#[tokio::test]
async fn without_a_fallback_nothing_falls_back() {
    assert_eq!(site(None).status(Method::GET, "inbox", PAGE).await, 404);
}

#[tokio::test]
async fn a_folder_is_asked_for_with_its_slash() {
    let site = site(None);
    let response = site.ask("docs", &[]).await;
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "/static/docs/");
    assert_eq!(text(site.ask("docs/", &[]).await).await, "docs");
}

#[tokio::test]
async fn a_folder_that_is_not_there_says_how_it_comes() {
    let folder = Folder::new("/nonexistent/staticfiles".into(), None);
    let request = Request::get("/static/x").body(()).unwrap();
    let problem = folder.serve(request, "x").await.unwrap_err();
    assert_eq!(problem.status, 404);
    assert!(problem.hint.unwrap().contains("collectstatic"));
}

/// Too large to be kept in memory, and no two parts of it alike.
fn large() -> Vec<u8> {
    let numbers = (0..SMALL).flat_map(u64::to_le_bytes);
    numbers.collect()
}

/// Whether this system says without waiting what is at a path; where not, a second is trusted.
fn is_seen_at_once(site: &Site) -> bool {
    disk::look(&site.path("app.js")) != Look::Unable
}

#[tokio::test]
async fn a_file_that_is_replaced_changed_or_removed_is_so_for_the_next_request() {
    let site = site(None);
    if !is_seen_at_once(&site) {
        return;
    }
    let tag = site.ask("app.js", &[]).await.headers()["etag"].clone();
    site.replace("app.js", b"9876543210");
    let next = site.ask("app.js", &[]).await;
    assert_ne!(next.headers()["etag"], tag);
    assert_eq!(text(next).await, "9876543210");
    fs::write(site.path("app.js"), "short").unwrap();
    let next = site.ask("app.js", &[]).await;
    assert_eq!(next.headers()["content-length"], "5");
    assert_eq!(text(next).await, "short");
    fs::remove_file(site.path("app.js")).unwrap();
    assert_eq!(site.status(Method::GET, "app.js", PAGE).await, 404);
    fs::write(site.path("app.js"), "again").unwrap();
    assert_eq!(site.read("app.js").await, "again");
}

#[tokio::test]
async fn a_release_that_is_switched_by_a_link_is_served_at_once() {
    let releases = tempfile::tempdir().unwrap();
    let path = |name: &str| releases.path().join(name);
    for release in ["1", "2"] {
        fs::create_dir(path(release)).unwrap();
        fs::write(path(release).join("app.js"), release).unwrap();
    }
    symlink("1", path("current")).unwrap();
    let site = Site {
        folder: Folder::new(path("current"), None),
        files: releases,
    };
    assert_eq!(site.read("app.js").await, "1");
    symlink("2", site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("current")).unwrap();
    let seen = disk::look(&site.path("current/app.js")) != Look::Unable;
    assert!(!seen || site.read("app.js").await == "2");
}

#[tokio::test]
async fn a_link_that_is_turned_out_of_the_folder_is_not_followed() {
    let site = site(None);
    symlink("app.js", site.path("link.js")).unwrap();
    assert_eq!(site.read("link.js").await, "0123456789");
    symlink("/etc/hostname", site.path("new")).unwrap();
    fs::rename(site.path("new"), site.path("link.js")).unwrap();
    if is_seen_at_once(&site) {
        assert_eq!(site.status(Method::GET, "link.js", PAGE).await, 404);
    }
}

#[tokio::test]
async fn a_large_file_is_sent_whole_and_in_parts() {
    let site = site(None);
    let content = large();
    fs::write(site.path("large.bin"), &content).unwrap();
    let whole = site.ask("large.bin", &[]).await;
    assert_eq!(whole.headers()["content-length"], content.len().to_string());
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    let body = whole.into_body().collect().await.unwrap().to_bytes();
    assert!(body == content, "the bytes that came are others");
    let range = [("range", "bytes=70000-299999"), ("if-range", &tag)];
    let part = site.ask("large.bin", &range).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-length"], "230000");
    let body = part.into_body().collect().await.unwrap().to_bytes();
    assert!(body == content[70_000..300_000]);
    let again = site.ask("large.bin", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn what_was_promised_of_a_large_file_comes_or_the_answer_breaks_off() {
    let content = large();
    for (change, comes) in [
        ("replace", true),
        ("append", true),
        ("cut", false),
        ("overwrite", false),
    ] {
        let site = site(None);
        fs::write(site.path("large.bin"), &content).unwrap();
        let response = site.ask("large.bin", &[]).await;
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let file = fs::OpenOptions::new()
            .append(true)
            .open(site.path("large.bin"))
            .unwrap();
        match change {
            "replace" => site.replace("large.bin", b"new"),
            "append" => io::Write::write_all(&mut &file, b"more").unwrap(),
            "cut" => file.set_len(content.len() as u64 - 1).unwrap(),
            _ => {
                let new = vec![0; content.len()];
                fs::write(site.path("large.bin"), new).unwrap();
                // Two writes within one tick of the file system's clock look alike.
                file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(2))
                    .unwrap();
            }
        }
        let rest = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        match rest {
            Ok(rest) => assert!(comes && [first, rest].concat() == content, "{change}"),
            Err(_) => assert!(!comes, "{change}"),
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_in_memory_are_waited_for() {
    let site = site(None);
    let content = large();
    fs::write(site.path("large.bin"), &content).unwrap();
    let Resolution::File(asset) = site.folder.meaning("large.bin").await else {
        panic!("it is there")
    };
    let (file, _) = site.folder.files.open(&asset.plain).await.unwrap();
    let body = FileBody::new(file, 5..content.len() as u64).cold();
    let read = body.collect().await.unwrap().to_bytes();
    assert!(read == content[5..]);
}

#[tokio::test]
async fn a_large_file_is_open_once_for_all_and_closed_after_the_last() {
    let site = site(None);
    fs::write(site.path("large.bin"), large()).unwrap();
    fs::write(site.path("other.bin"), large()).unwrap();
    let files = Arc::new(OpenFiles::new(1));
    let folder = site.folder.clone().sharing(&files);
    let site = Site { folder, ..site };
    let first = site.ask("large.bin", &[]).await;
    let second = site.ask("large.bin", &[]).await;
    assert_eq!(site.status(Method::GET, "other.bin", PAGE).await, 503);
    assert_eq!(site.status(Method::HEAD, "other.bin", PAGE).await, 200);
    drop((first, second));
    assert_eq!(site.status(Method::GET, "other.bin", PAGE).await, 200);
}

#[tokio::test]
async fn a_copy_is_one_answer_of_several_and_has_validators_of_its_own() {
    let site = site(None);
    let plain = site.ask("app.js", &[]).await;
    let brotli = site.ask("app.js", &[("accept-encoding", "br")]).await;
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    assert_eq!(brotli.headers()["vary"], "accept-encoding");
    assert_ne!(plain.headers()["etag"], brotli.headers()["etag"]);
    let tag = brotli.headers()["etag"].to_str().unwrap().to_owned();
    let fields = [("accept-encoding", "br"), ("if-none-match", &*tag)];
    let again = site.ask("app.js", &fields).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["vary"], "accept-encoding");
    let fields = [("accept-encoding", "br"), ("range", "bytes=0-1")];
    let part = site.ask("app.js", &fields).await;
    assert_eq!(part.headers()["content-range"], "bytes 0-1/6");
    assert_eq!(text(part).await, "br");
}

#[tokio::test]
async fn a_file_of_another_time_is_served_without_a_date() {
    let site = site(None);
    let file = fs::File::options()
        .write(true)
        .open(site.path("app.js"))
        .unwrap();
    let before = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
    file.set_modified(before).unwrap();
    let response = site.ask("app.js", &[("if-none-match", "\"x\"")]).await;
    assert!(!response.headers().contains_key("last-modified"));
    assert_eq!(text(response).await, "0123456789");
}
