use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::ids::{NodeId, RequestId};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn reader(audience: ErrorPages) -> Reader {
    Reader {
        request_id: RequestId::new(NodeId::random(), 7),
        audience,
    }
}

fn asked(method: &Method, accept: &str) -> ResponseFormat {
    let request = Request::builder().method(method).header("accept", accept);
    ResponseFormat::of(&request.body(()).unwrap())
}

fn away() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "upstream_refused",
        "The server \"<django>\" is away.",
    )
    .with_hint("Nothing listens at 127.0.0.1:8000: `run <it>`.")
    .retry_after(1)
}

async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_developer_sees_the_hint_and_a_page_that_reloads() {
    let reader = reader(ErrorPages::Developer);
    let response = render(&away(), asked(&Method::GET, BROWSER), Some(reader));
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["retry-after"], "1");
    let id = reader.request_id.to_string();
    assert_eq!(response.headers()["x-request-id"], id);
    let page = text(response).await;
    assert!(page.contains("&lt;django&gt;") && !page.contains("<django>"));
    assert!(page.contains("127.0.0.1:8000: <code>run &lt;it&gt;</code>."));
    assert!(page.contains("<script nonce=") && page.contains(&id));
}

#[tokio::test]
async fn the_public_sees_neither_hint_nor_script() {
    let reader = reader(ErrorPages::Public);
    let response = render(&away(), asked(&Method::GET, BROWSER), Some(reader));
    let page = text(response).await;
    assert!(!page.contains("127.0.0.1:8000") && !page.contains("<script"));
    assert!(page.contains(&reader.request_id.to_string()));
}

#[tokio::test]
async fn a_posted_form_is_not_posted_again() {
    let reader = reader(ErrorPages::Developer);
    let response = render(&away(), asked(&Method::POST, BROWSER), Some(reader));
    assert!(!text(response).await.contains("<script"));
}

#[tokio::test]
async fn json_is_for_everybody_who_does_not_name_html() {
    for accept in ["*/*", "application/json", "text/html;q=0", "text/*", ""] {
        let response = render(&away().at(2, 9), asked(&Method::GET, accept), None);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{accept}"
        );
        let json: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(json["code"], "upstream_refused");
        assert_eq!((&json["line"], &json["column"]), (&2.into(), &9.into()));
        assert!(
            json.get("hint").is_none(),
            "a request that was not admitted learns nothing"
        );
    }
}

#[tokio::test]
async fn head_gets_the_length_but_no_body() {
    let whole = render(&away(), asked(&Method::GET, BROWSER), None);
    let head = render(&away(), asked(&Method::HEAD, BROWSER), None);
    assert_eq!(
        head.headers()["content-length"],
        whole.headers()["content-length"]
    );
    assert_eq!(text(head).await, "");
}

#[test]
fn only_http_1_is_told_to_close() {
    let mut request = Request::new(());
    assert_eq!(
        render(&away().closing(), ResponseFormat::of(&request), None).headers()["connection"],
        "close"
    );
    *request.version_mut() = Version::HTTP_2;
    let response = render(&away().closing(), ResponseFormat::of(&request), None);
    assert!(!response.headers().contains_key("connection"));
}
