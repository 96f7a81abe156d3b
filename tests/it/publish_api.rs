//! The internal listener from outside: who may call, what is refused and how, what is answered.

use std::os::unix::fs::PermissionsExt;

use crate::harness::api::{Api, Internal};
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::raw::{Answered, Raw};
use crate::harness::signature::{Signed, now};
use crate::harness::socket::Socket;
use crate::harness::{Answer, Django, Gateway, SECRET, json};

const NDJSON: &str = "application/x-ndjson";

async fn stage_with(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in_with_groups("anns-session", "42", &["staff"]);
    let gateway = change(Gateway::in_front_of(&django)).start().await;
    (django, gateway)
}

async fn stage() -> (Django, Gateway) {
    stage_with(|setup| setup).await
}

async fn ann(gateway: &Gateway) -> Socket {
    let browser = gateway.browser_of("anns-session");
    let socket = browser.socket(NOTIFICATIONS).await;
    gateway.api().connected("42", 1).await;
    socket
}

/// A publication to Ann with this frame, as text.
fn to_ann(frame: &str) -> String {
    format!(r#"{{"to":{{"user":"42"}},"frame":{frame}}}"#)
}

/// A whole request with the secret, its head ending in these lines.
fn request(target: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\
         Content-Type: application/json\r\n{lines}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[track_caller]
fn assert_problem(answer: &Answered, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    let media_type = answer.header("content-type");
    assert_eq!(media_type.as_deref(), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(status), &json!(code))
    );
    assert!(problem["title"].is_string() && problem["detail"].is_string());
}

#[tokio::test]
async fn a_batch_arrives_in_order_and_a_bad_line_fails_alone() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let mut lines: Vec<_> = (0..300)
        .map(|n| to_ann(&format!("{{ \"n\": {n}.0 }}")))
        .collect();
    lines[7] = "{\"to\":".into();
    let answer = gateway
        .api()
        .call("POST", "/v1/publish", NDJSON, lines.join("\n").as_bytes())
        .await;
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.header("content-type").as_deref(), Some(NDJSON));
    let text = answer.text();
    let answers: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), lines.len());
    for (n, answer) in answers.iter().enumerate() {
        if n == 7 {
            assert_eq!(
                (&answer["error"]["line"], &answer["error"]["status"]),
                (&json!(8), &json!(400))
            );
        } else {
            assert_eq!(answer["sockets"], 1, "{answer}");
            ann.expect_frame(&format!("{{ \"n\": {n}.0 }}")).await;
        }
    }
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_frame_counts_once_for_each_connection_that_is_given_it() {
    let (_django, gateway) = stage().await;
    let first = ann(&gateway).await;
    let second = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    let api = gateway.api();
    api.connected("42", 2).await;
    for to in [r#"{"user":"42"}"#, r#"{"user":"nobody"}"#] {
        let body = format!(r#"{{"to":{to},"frame":1,"id":"{}"}}"#, to.len());
        for _ in 0..2 {
            assert_eq!(api.post("/v1/publish", &body).await.status(), 202);
        }
    }
    let text = api.get("/metrics").await.text();
    assert!(text.contains("\ngatepost_frames_total 2\n"), "{text}");
    assert!(text.contains("\ngatepost_publications_total 2\n"), "{text}");
    first.close().await;
    second.close().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_batch_is_no_reason_to_cut_a_client_that_reads() {
    const FRAMES: usize = 5000;
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let text = "x".repeat(200);
    let lines: String = (0..FRAMES)
        .map(|n| to_ann(&format!("\"{n} {text}\"")) + "\n")
        .collect();
    let call = gateway
        .api()
        .call("POST", "/v1/publish", NDJSON, lines.as_bytes());
    let reading = async {
        for n in 0..FRAMES {
            ann.expect_frame(&format!("\"{n} {text}\"")).await;
        }
    };
    let (answer, ()) = tokio::join!(call, reading);
    assert_eq!(answer.text().lines().count(), FRAMES);
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_text_arrives_as_it_is_and_an_end_is_heard_by_streams_alone() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let api = gateway.api();
    let html = "<li class=\"new\">Grüße\n</li>";
    for content in [
        json!({"text": html, "event": "order"}),
        json!({"end": true}),
        json!({"frame": null, "end": true}),
        json!({"text": "[1"}),
    ] {
        let mut body = content;
        body["to"] = json!({"user": "42"});
        let answer = api.post("/v1/publish", &body.to_string()).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }
    ann.expect_frame(html).await;
    ann.expect_frame("null").await;
    ann.expect_frame("[1").await;
    ann.expect_nothing().await;
    for (members, column, detail) in [
        (
            r#""text":"a","frame":1"#,
            28,
            "`text` stands beside `frame`",
        ),
        (r#""text":7"#, 28, "`text` is not a JSON string"),
        (r#""event":"x""#, 32, "missing field `frame`"),
        (r#""frame":1,"event":"close""#, 45, "an event's name"),
    ] {
        let body = format!(r#"{{"to":{{"user":"42"}},{members}}}"#);
        let answer = api.post("/v1/publish", &body).await;
        assert_problem(&answer, 400, "json_refused");
        let problem = answer.json();
        let text = problem["detail"].as_str().unwrap();
        assert!(text.contains(detail), "{members}: {text}");
        assert_eq!(problem["column"], json!(column), "{members}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn one_id_is_one_message_however_often_it_is_sent() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let publication = |frame: u32| json!({"to": {"user": "42"}, "frame": frame, "id": "order-7"});
    let first = gateway.api().publish(&publication(1)).await;
    assert_eq!(
        (&first["id"], first.get("duplicate")),
        (&json!("order-7"), None)
    );
    for _ in 0..2 {
        let mut again = gateway.api().publish(&publication(2)).await;
        assert_eq!(again["duplicate"].take(), json!(true));
        again.as_object_mut().unwrap().remove("duplicate");
        assert_eq!(again, first);
    }
    ann.expect_frame("1").await;
    ann.expect_nothing().await;
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_kept_connection_survives_refusals() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let mut raw = gateway.api().raw().await;
    for (body, status) in [
        (to_ann("1"), 202),
        (to_ann(""), 400),
        ("[".repeat(60_000), 400),
        (to_ann(&"[".repeat(100_000)), 400),
        (
            format!("{}{}", "{\"to\":".repeat(50_000), "}".repeat(50_000)),
            400,
        ),
        (to_ann("2"), 202),
    ] {
        let length = format!("Content-Length: {}", body.len());
        raw.send(request("/v1/publish", &length, body.as_bytes()))
            .await;
        assert_eq!(raw.answer().await.status(), status);
    }
    ann.expect_frame("1").await;
    ann.expect_frame("2").await;
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_huge_body_is_refused_before_it_is_read() {
    let (_django, gateway) = stage().await;
    let mut raw = gateway.api().raw().await;
    let length = format!("Content-Length: {}", 32 << 20);
    raw.send(request("/v1/publish", &length, b"[[[[")).await;
    let head = raw.head().await;
    assert_eq!(head.status(), 413);

    // One that announces nothing is cut at the limit, and its sender still gets the answer.
    let mut raw = gateway.api().raw().await;
    raw.send(request("/v1/publish", "Transfer-Encoding: chunked", b""))
        .await;
    let piece = [
        b"100000\r\n".to_vec(),
        vec![b' '; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    for _ in 0..20 {
        raw.send(&piece).await;
    }
    raw.send("0\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_problem(&answer, 413, "body_too_large");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let (_django, gateway) = stage_with(|setup| setup.set("limits.body_timeout", "200ms")).await;
    let mut raw = gateway.api().raw().await;
    raw.send(request("/v1/publish", "Content-Length: 100000", b"{"))
        .await;
    assert_eq!(raw.head().await.status(), 408);
    gateway.stop().await;
}

#[tokio::test]
async fn expect_continue_is_answered() {
    let (_django, gateway) = stage().await;
    let body = to_ann("1");
    let lines = format!("Expect: 100-continue\r\nContent-Length: {}", body.len());
    let mut raw = gateway.api().raw().await;
    raw.send(request("/v1/publish", &lines, b"")).await;
    assert_eq!(raw.head().await.status(), 100);
    raw.send(body).await;
    assert_eq!(raw.answer().await.status(), 202);
    gateway.stop().await;
}

#[tokio::test]
async fn only_who_knows_the_secret_is_heard() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let api = gateway.api();
    let body = to_ann("1");
    let refused = [
        (api.clone().without_secret(), "secret_missing"),
        (api.clone().with_bearer("guess"), "secret_wrong"),
        (api.clone().with_bearer(&SECRET[1..]), "secret_wrong"),
        (
            api.clone().with_bearer(&format!("{SECRET}x")),
            "secret_wrong",
        ),
        (
            api.clone().signing_with("another-secret-another-secret-00"),
            "signature_wrong",
        ),
    ];
    for (api, code) in refused {
        for answer in [
            api.post("/v1/publish", &body).await,
            api.post("/v1/revoke", r#"{"everyone":true}"#).await,
            api.get("/v1/connections?user=42").await,
        ] {
            assert_problem(&answer, 401, code);
            assert!(
                answer
                    .header("www-authenticate")
                    .unwrap()
                    .starts_with("Bearer")
            );
            assert!(!answer.text().contains(SECRET) && !answer.text().contains("guess"));
        }
    }
    ann.expect_nothing().await;
    let signed = api.signing_with(SECRET);
    assert_eq!(signed.post("/v1/publish", &body).await.status(), 202);
    assert_eq!(signed.get("/v1/connections?user=42").await.status(), 200);
    ann.expect_frame("1").await;
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn calls_of_one_second_that_are_the_same_are_told_apart_by_their_nonces() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let api = gateway.api().signing_with(SECRET);
    for _ in 0..3 {
        let answer = api.publish_text(&to_ann("1")).await;
        assert_eq!(answer["sockets"], 1, "{answer}");
        ann.expect_frame("1").await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_signature_is_good_for_its_own_request_and_its_own_minute() {
    let (_django, gateway) = stage().await;
    let body = to_ann("1");
    let signed = |target, host, body: &str, time| {
        let signature = Signed {
            method: "POST",
            target,
            host,
            body: Some(body.as_bytes()),
            ..Signed::default()
        };
        signature.at(time, SECRET)
    };
    let ask = async |signature: String| {
        let mut raw = gateway.api().raw().await;
        let length = body.len();
        raw.send(format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nGatepost-Signature: {signature}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        raw.answer().await
    };
    let good = signed("/v1/publish", "localhost", &body, now() - 50);
    let answer = ask(good.clone()).await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
    assert_problem(&ask(good).await, 401, "signature_replayed");
    for (signature, code) in [
        (
            signed("/v1/publish", "localhost", &body, now() - 90),
            "signature_expired",
        ),
        (
            signed("/v1/publish", "localhost", &body, now() + 90),
            "signature_expired",
        ),
        (
            signed("/v1/revoke", "localhost", &body, now()),
            "signature_wrong",
        ),
        (
            signed("/v1/publish", "elsewhere", &body, now()),
            "signature_wrong",
        ),
        (
            signed("/v1/publish", "localhost", &to_ann("2"), now()),
            "signature_wrong",
        ),
        ("t=1,v1=ab".into(), "signature_wrong"),
    ] {
        assert_problem(&ask(signature).await, 401, code);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_public_port_has_no_api() {
    let (django, gateway) = stage().await;
    django.answers("/v1/publish", Answer::ok("Django's own"));
    let page = gateway
        .browser()
        .ask(http::Method::POST, "/v1/publish")
        .header("authorization", &format!("Bearer {SECRET}"))
        .header("content-type", "application/json")
        .body(to_ann("1"))
        .send()
        .await;
    assert_eq!(page.text(), "Django's own");
    assert_eq!(
        gateway
            .api()
            .metric("gatepost_publications_total")
            .await
            .to_bits(),
        0
    );
    gateway.stop().await;
}

#[tokio::test]
async fn garbage_is_told_what_is_wrong_and_where() {
    let (_django, gateway) = stage().await;
    let api = gateway.api();
    for (body, line, column, word) in [
        ("", 1, 1, "EOF"),
        ("nonsense", 1, 2, "expected"),
        (
            "{\n  \"to\": {\"user\": \"42\"},\n  \"frame\": truly\n}",
            3,
            15,
            "expected ident",
        ),
        (r#"{"to":{"user":"42"}}"#, 1, 20, "missing field `frame`"),
        (
            r#"{"to":{"usr":"42"},"frame":1}"#,
            1,
            12,
            "unknown field `usr`",
        ),
        (
            r#"{"to":{"user":"42"},"to":{"everyone":true},"frame":1}"#,
            1,
            24,
            "duplicate field `to`",
        ),
        (r#"{"to":{},"frame":1}"#, 1, 8, "nobody"),
        (
            r#"{"to":{"user":"42","group":"staff"},"frame":1}"#,
            1,
            35,
            "more than one",
        ),
        (r#"{"to":{"user":""},"frame":1}"#, 1, 16, "a user id"),
        (
            r#"{"to":{"user":"42"},"frame":1,"ttl":"soon"}"#,
            1,
            42,
            "a time above zero",
        ),
    ] {
        let answer = api.post("/v1/publish", body).await;
        let code = if answer.json()["code"] == "json_malformed" {
            "json_malformed"
        } else {
            "json_refused"
        };
        assert_problem(&answer, 400, code);
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{body}: {detail}");
        assert_eq!(
            (&problem["line"], &problem["column"]),
            (&json!(line), &json!(column)),
            "{body}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn wrong_methods_paths_and_media_types_are_named() {
    let (_django, gateway) = stage().await;
    let api = gateway.api();
    assert_problem(&api.get("/v1/publish").await, 405, "method_not_allowed");
    assert_eq!(
        api.get("/v1/publish").await.header("allow").as_deref(),
        Some("POST")
    );
    assert_problem(&api.get("/v1/publish/").await, 404, "no_such_call");
    assert_problem(&api.get("/").await, 404, "no_such_path");
    let answer = api.call("POST", "/v1/publish", "text/plain", b"{}").await;
    assert_problem(&answer, 415, "media_type");
    let answer = api.call("POST", "/live", "text/plain", b"").await;
    assert_problem(&answer, 405, "method_not_allowed");
    gateway.stop().await;
}

#[tokio::test]
async fn a_web_page_is_refused_whatever_it_knows() {
    let (_django, gateway) = stage().await;
    let mut ann = ann(&gateway).await;
    let body = to_ann("1");
    let length = body.len();
    for line in [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: same-origin",
    ] {
        let mut raw = gateway.api().raw().await;
        let lines = format!("{line}\r\nContent-Length: {length}");
        raw.send(request("/v1/publish", &lines, body.as_bytes()))
            .await;
        assert_problem(&raw.answer().await, 403, "browser_refused");
    }
    let mut raw = gateway.api().raw().await;
    raw.send("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n")
        .await;
    assert_problem(&raw.answer().await, 421, "host_refused");
    ann.expect_nothing().await;
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_says_code_and_reason() {
    let (_django, gateway) = stage().await;
    let mut socket = ann(&gateway).await;
    let revocation = json!({"user": "42", "code": 4100, "reason": "kicked – später"});
    assert_eq!(gateway.api().revoke(&revocation).await, 1);
    let closed = socket.expect_close(4100).await;
    assert_eq!(closed.reason, "kicked – später");
    assert_eq!(gateway.api().revoke(&json!({"user": "42"})).await, 0);
    for body in [
        r#"{"user":"42","code":1006}"#,
        r#"{"user":"42","code":999}"#,
        r#"{"user":"42","users":["42"]}"#,
        r"{}",
    ] {
        let answer = gateway.api().post("/v1/revoke", body).await;
        assert_problem(&answer, 400, "json_refused");
    }
    drop(socket);
    gateway.stop().await;
}

#[tokio::test]
async fn connections_tell_who_is_there() {
    let (_django, gateway) = stage().await;
    let mut socket = ann(&gateway).await;
    gateway.api().publish_text(&to_ann("1")).await;
    socket.expect_frame("1").await;
    let connection = gateway.api().connected("42", 1).await.remove(0);
    let text = |name: &str| connection[name].as_str().unwrap().to_owned();
    assert_eq!(text("user"), "42");
    assert_eq!(connection["groups"], json!(["staff"]));
    assert_eq!(text("socket"), NOTIFICATIONS);
    assert_eq!(text("transport"), "websocket");
    assert_eq!(text("address"), "127.0.0.1");
    assert_eq!((text("connection").len(), text("session").len()), (16, 64));
    assert!(now().abs_diff(connection["since"].as_u64().unwrap()) < 60);
    assert_eq!(
        (&connection["sent"], &connection["queued"]),
        (&json!(1), &json!(0))
    );
    let all = connection.to_string();
    assert!(!all.contains("anns-session"), "{all}");
    assert_problem(
        &gateway.api().get("/v1/connections?session=1").await,
        400,
        "query_invalid",
    );
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_open_and_django_shows_in_the_body_only() {
    let (django, gateway) = stage().await;
    let api = gateway.api().without_secret();
    assert_eq!(api.get("/live").await.text(), "ok");
    let ready = api.get("/ready").await;
    assert_eq!(
        (
            ready.status(),
            &ready.json()["status"],
            &ready.json()["django"]
        ),
        (200, &json!("ready"), &json!("unknown"))
    );
    let ann = ann(&gateway).await;
    assert_eq!(api.get("/ready").await.json()["django"], "reachable");
    django.refuse().await;
    let browser = gateway.browser_of("somebodys-session");
    browser.socket(NOTIFICATIONS).await.expect_close(1013).await;
    let ready = api.get("/ready").await;
    assert_eq!(
        (ready.status(), &ready.json()["django"]),
        (200, &json!("unreachable"))
    );
    let metrics = api.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        metrics.text().contains("\ngatepost_connections 1\n"),
        "{}",
        metrics.text()
    );
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_internal_listener_can_be_a_unix_socket_of_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gatepost.sock");
    let place = format!("unix:{}", path.display());
    let (_django, gateway) = stage_with(|setup| setup.set("server.internal", place)).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut ann = ann(&gateway).await;
    gateway.api().publish_text(&to_ann("1")).await;
    ann.expect_frame("1").await;
    let api = Api::new(Internal::Unix(path));
    assert_eq!(
        api.without_secret()
            .get("/v1/connections?user=42")
            .await
            .status(),
        401
    );
    ann.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn noise_does_not_stop_the_listener() {
    let (_django, gateway) = stage().await;
    let noise: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /v1/publish HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET http://a b c HTTP/9\r\n\r\n",
    ];
    for bytes in noise {
        let mut raw: Raw<_> = gateway.api().raw().await;
        raw.send(bytes).await;
        raw.finish().await;
        raw.expect_end().await;
    }
    assert_eq!(gateway.api().get("/live").await.status(), 200);
    gateway.stop().await;
}
