use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::broker::Broker;
use crate::config::DeliveryConfig;
use crate::hub::OutboxLimits;
use crate::publish::operator::NoOperator;
use crate::secret::Secret;
use crate::session::tests::scripted::lifecycle;
use crate::web::signature::{self, BodyHash, SIGNATURE, SignedParts};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PUBLICATION: &str = r#"{"to":{"user":"42"},"frame":{"n":1},"id":"a\"b"}"#;

fn api() -> Api {
    let hub = Arc::new(Hub::new(OutboxLimits {
        frames: 8,
        bytes: 1024,
    }));
    let settings = ApiSettings {
        secrets: Secrets {
            current: Secret::new(SECRET.into()),
            previous: None,
        },
        token: None,
        body_timeout: Duration::from_secs(5),
    };
    let delivery = DeliveryConfig {
        outbox_size: 1024,
        ..DeliveryConfig::default()
    };
    let parts = ApiParts {
        intake: Arc::new(Intake::new(
            &delivery,
            Arc::new(Broker::new(Arc::clone(&hub), delivery.idempotency)),
            lifecycle(&hub),
            Arc::default(),
        )),
        hub,
        outbox: None,
        replays: Arc::default(),
        operator: Arc::new(NoOperator),
    };
    Api::new(settings, parts)
}

fn post(path: &str, media_type: &str) -> http::request::Builder {
    Request::post(path)
        .header(AUTHORIZATION, format!("Bearer {SECRET}"))
        .header(CONTENT_TYPE, media_type)
}

fn request(path: &str, media_type: &str, body: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from(body.to_owned()));
    post(path, media_type).body(body).unwrap()
}

struct Said {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

async fn ask<B: Body<Data = Bytes> + Send + Unpin + 'static>(
    api: &Api,
    request: Request<B>,
) -> Said {
    let (parts, body) = api.answer(request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Said {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn a_publication_is_answered_with_its_receipt() {
    let api = api();
    let said = ask(&api, request("/v1/publish", JSON, PUBLICATION)).await;
    assert_eq!(
        (said.status, &said.headers[CONTENT_TYPE]),
        (202, &JSON.parse().unwrap())
    );
    let receipt = said.json();
    assert_eq!(receipt["id"], "a\"b");
    assert_eq!(
        (&receipt["sockets"], &receipt["offline"]),
        (&0.into(), &1.into())
    );
    assert!(receipt["position"].as_str().unwrap().ends_with(".1"));
    assert_eq!(receipt.get("duplicate"), None);
    let again = ask(&api, request("/v1/publish", JSON, PUBLICATION))
        .await
        .json();
    assert_eq!(again["duplicate"], true);
    assert_eq!(again["position"], receipt["position"]);
    assert_eq!(api.intake.metrics.publications.get(), 1);
}

#[tokio::test]
async fn a_publication_without_an_id_is_named_by_its_position() {
    let body = r#"{"to":{"everyone":true},"frame":{}}"#;
    let receipt = ask(
        &api(),
        request("/v1/publish", "Application/JSON; charset=utf-8", body),
    )
    .await
    .json();
    assert_eq!(receipt["id"], receipt["position"]);
}

#[tokio::test]
async fn a_bad_line_of_a_batch_fails_alone() {
    let lines = [
        r#"{"to":{"user":"1"},"frame":1,"id":"first"}"#,
        r#"{"to":{"user":"1"},"frame":}"#,
        "",
        r#"  {"to":{"user":"1"},"frame":"é","id":"last"}  "#,
    ];
    let body = lines.join("\r\n");
    let said = ask(&api(), request("/v1/publish", NDJSON, &body)).await;
    assert_eq!(
        (said.status, &said.headers[CONTENT_TYPE]),
        (202, &NDJSON.parse().unwrap())
    );
    let answers: Vec<Value> = said
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 3, "{}", said.text);
    assert_eq!(
        (&answers[0]["id"], &answers[2]["id"]),
        (&"first".into(), &"last".into())
    );
    let error = &answers[1]["error"];
    assert_eq!(
        (&error["status"], &error["code"]),
        (&400.into(), &"json_malformed".into())
    );
    assert_eq!((&error["line"], &error["column"]), (&2.into(), &28.into()));
    assert!(said.text.ends_with("}\n"));
}

#[tokio::test]
async fn a_batch_has_a_bounded_number_of_lines() {
    let said = ask(
        &api(),
        request("/v1/publish", NDJSON, &"\n".repeat(MOST_LINES)),
    )
    .await;
    assert_eq!(said.status, 413);
    let said = ask(&api(), request("/v1/publish", NDJSON, "\n\n")).await;
    assert_eq!((said.status, said.text.as_str()), (202, ""));
}

#[tokio::test]
async fn a_complaint_is_a_problem_with_a_place() {
    let body = "{\"to\":{\"user\":\"1\"},\n\"farme\":{}}";
    let said = ask(&api(), request("/v1/publish", JSON, body)).await;
    assert_eq!(said.status, 400);
    assert_eq!(said.headers[CONTENT_TYPE], "application/problem+json");
    let problem = said.json();
    assert_eq!(problem["title"], "Bad Request");
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["code"], "json_refused");
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&2.into(), &7.into())
    );
    assert!(problem["detail"].as_str().unwrap().contains("`farme`"));
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_right() {
    let api = api();
    let said = ask(&api, request("/v1/nothing", JSON, "{}")).await;
    assert_eq!(said.status, 404);
    let get = Request::get("/v1/publish").body(Full::default()).unwrap();
    let said = ask(&api, get).await;
    assert_eq!(
        (said.status, &said.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let said = ask(&api, request("/v1/connections?user=1", JSON, "")).await;
    assert_eq!(
        (said.status, &said.headers["allow"]),
        (405, &"GET".parse().unwrap())
    );
    for media_type in [
        "text/plain",
        "application/jsonx",
        "",
        "application/x-www-form-urlencoded",
    ] {
        let said = ask(&api, request("/v1/publish", media_type, PUBLICATION)).await;
        assert_eq!(said.status, 415, "{media_type}");
        assert!(said.text.contains("application/x-ndjson"));
    }
    assert_eq!(
        ask(&api, request("/v1/revoke", NDJSON, "{}")).await.status,
        415
    );
    let zipped = post("/v1/publish", JSON).header(CONTENT_ENCODING, "gzip");
    assert_eq!(
        ask(&api, zipped.body(Full::default()).unwrap())
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn without_the_secret_nothing_is_done_and_nothing_is_told() {
    let api = api();
    for authorization in [None, Some("Bearer swordfish"), Some("Basic eDp5")] {
        let mut builder = Request::post("/v1/publish").header(CONTENT_TYPE, JSON);
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let body = Full::new(Bytes::from_static(PUBLICATION.as_bytes()));
        let said = ask(&api, builder.body(body).unwrap()).await;
        assert_eq!(said.status, 401);
        assert!(
            said.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
        assert!(
            said.json()["hint"]
                .as_str()
                .unwrap()
                .contains("Authorization: Bearer")
        );
        assert!(!said.text.contains("swordfish"));
        assert!(!said.text.contains(SECRET));
    }
    assert_eq!(api.intake.metrics.publications.get(), 0);
}

#[tokio::test]
async fn a_signature_takes_the_place_of_the_secret() {
    let api = api();
    let signed = |body: &str, now: u64| {
        let hash = BodyHash::of(PUBLICATION.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost"));
        let parts = SignedParts::of(&Method::POST, "/v1/publish", &headers, hash);
        let signature = signature::sign(&Secret::new(SECRET.into()), &parts, now);
        Request::post("/v1/publish")
            .header("host", "localhost")
            .header(CONTENT_TYPE, JSON)
            .header(SIGNATURE, signature)
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap()
    };
    let now = crate::unix_time::seconds();
    assert_eq!(ask(&api, signed(PUBLICATION, now)).await.status, 202);
    let forged = ask(&api, signed(r#"{"to":{"everyone":true},"frame":0}"#, now)).await;
    assert_eq!(
        (forged.status, &forged.json()["code"]),
        (401, &"signature_wrong".into())
    );
    let late = ask(&api, signed(PUBLICATION, now - 90)).await;
    assert_eq!(
        (late.status, &late.json()["code"]),
        (401, &"signature_expired".into())
    );
    assert!(
        late.json()["detail"]
            .as_str()
            .unwrap()
            .contains(" s from now"),
        "{}",
        late.text
    );
}

/// A body that must not be asked for before the answer is ready.
struct Untouched;

impl Body for Untouched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

#[tokio::test]
async fn a_body_is_not_read_where_that_is_no_use() {
    let api = api();
    let huge = post("/v1/publish", JSON).header("content-length", LARGEST_BODY + 1);
    let status = async |request| api.answer(request).await.status().as_u16();
    assert_eq!(status(huge.body(Untouched).unwrap()).await, 413);
    let stranger = Request::post("/v1/publish").header(CONTENT_TYPE, JSON);
    assert_eq!(status(stranger.body(Untouched).unwrap()).await, 401);
    let wrong = post("/v1/publish", "text/plain").body(Untouched).unwrap();
    assert_eq!(status(wrong).await, 415);
}

/// So many pieces of 1 MiB of spaces, announced nowhere.
fn pieces(
    number: usize,
) -> StreamBody<impl futures_util::Stream<Item = Result<http_body::Frame<Bytes>, Infallible>>> {
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let pieces = (0..number).map(move |_| Ok(http_body::Frame::data(piece.clone())));
    StreamBody::new(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    let api = api();
    let endless = post("/v1/publish", NDJSON)
        .body(pieces(usize::MAX))
        .unwrap();
    assert_eq!(ask(&api, endless).await.status, 413);
    let allowed = post("/v1/publish", NDJSON).body(pieces(16)).unwrap();
    assert_eq!(ask(&api, allowed).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let stalled = StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<Bytes>, Infallible>,
    >());
    let said = ask(&api(), post("/v1/publish", JSON).body(stalled).unwrap()).await;
    assert_eq!(said.status, 408);
}

#[tokio::test]
async fn revoking_a_topic_closes_nobody_and_says_how_many_heard_it() {
    let body = r#"{"topic":"shop.order:17","user":"42","at":1794000000123,"max_age":43200}"#;
    let said = ask(&api(), request("/v1/revoke", JSON, body)).await;
    let expected = r#"{"closed":0,"unsubscribed":0}"#;
    assert_eq!((said.status, said.text.as_str()), (200, expected));
}

#[tokio::test]
async fn revoking_nobody_closes_nobody() {
    let said = ask(&api(), request("/v1/revoke", JSON, r#"{"user":"42"}"#)).await;
    assert_eq!((said.status, said.text.as_str()), (200, r#"{"closed":0}"#));
    let said = ask(
        &api(),
        request("/v1/revoke", JSON, r#"{"user":"42","code":1006}"#),
    )
    .await;
    assert_eq!((said.status, &said.json()["column"]), (400, &25.into()));
}

async fn got(target: &str) -> (u16, String) {
    let request = Request::get(target)
        .header(AUTHORIZATION, format!("Bearer {SECRET}"))
        .body(Full::default())
        .unwrap();
    let said = ask(&api(), request).await;
    (said.status, said.text)
}

#[tokio::test]
async fn connections_are_asked_for_by_user_or_all() {
    let nobody = (200, r#"{"connections":[]}"#.to_owned());
    assert_eq!(got("/v1/connections?user=42").await, nobody);
    assert_eq!(got("/v1/connections").await, nobody);
    assert_eq!(got("/v1/connections?user=1&user=2").await.0, 400);
}

#[tokio::test]
async fn who_is_online_is_asked_by_users() {
    let nobody = (200, r#"{"online":{"1":0,"a b":0}}"#.to_owned());
    assert_eq!(got("/v1/online?user=1&user=a+b").await, nobody);
    assert_eq!(got("/v1/online").await.0, 400);
    assert_eq!(got("/v1/online?group=staff").await.0, 400);
}

#[tokio::test]
async fn a_recheck_of_somebody_who_is_not_here_closes_nothing() {
    let recheck = |body: &str| request("/v1/recheck", JSON, body);
    let said = ask(&api(), recheck(r#"{"user":"42"}"#)).await;
    assert_eq!((said.status, &*said.text), (200, r#"{"closed":0}"#));
    assert_eq!(
        ask(&api(), recheck(r#"{"everyone":true}"#)).await.status,
        400
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_line_of_a_batch_has_its_answer(
        lines in proptest::collection::vec(
            prop_oneof![
                Just(PUBLICATION.as_bytes().to_vec()),
                Just(b" \t".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..40),
            ],
            0..20,
        )
    ) {
        let body = lines.join(&b'\n');
        let wanted = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .count();
        let request = post("/v1/publish", NDJSON).body(Full::new(Bytes::from(body))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let said = runtime.block_on(ask(&api(), request));
        prop_assert_eq!(said.status, 202);
        let answers: Vec<Value> = said
            .text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        prop_assert_eq!(answers.len(), wanted);
        for answer in answers {
            let (taken, refused) = (answer.get("position"), answer.get("error"));
            prop_assert!(taken.is_some() != refused.is_some());
        }
    }
}
