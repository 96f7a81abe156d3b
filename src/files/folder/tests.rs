use std::fs;

use super::*;

const PAGE: &str = "text/html,*/*;q=0.8";

struct Site {
    _files: tempfile::TempDir,
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
    Site {
        _files: files,
        folder,
    }
}

impl Site {
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
