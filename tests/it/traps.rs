//! The traps that this stack has been seen to fall into, a test each.
//!
//! | trap | where it is closed for good |
//! |---|---|
//! | 1 cookie crumbs | here, and `handshake::auth_call::several_cookie_lines_become_one` |
//! | 2 underscore headers | here |
//! | 3 transfer codings | here |
//! | 4 length and chunks | here |
//! | 5 hosts | here |
//! | 6 time-outs | `slow_clients` |
//! | 7 accept spinning | `faults::out_of_descriptors_it_stays_alive_does_not_spin_and_recovers` |
//! | 8 buffers of sockets | here |
//! | 9 dropped instead of closed | `frames` |
//! | 10 handshakes by hand | `handshake::grammar` |
//! | 11 upgrade smuggling | here |
//! | 12 CONNECT | here |
//! | 13 malformed chunks | here |
//! | 14 header sizes | here |
//! | 15 spellings of a path | here |
//! | 16 forwarded addresses | here |
//! | 17 remembered before stored | here |
//! | 20 outage as logout | `handshake::verdict` |
//!
//! 18 and 19 are about replay and Redis, which this gateway does not have yet.

use http::Version;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::Answered;
use crate::harness::{Answer, Browser, Django, Gateway, Process, json};

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    (django, gateway, browser)
}

/// Sends `GET /` with these lines after `Host`, and a body.
async fn ask(browser: &Browser, lines: &str, body: &str) -> Option<Answered> {
    let host = browser.host();
    exchange(
        browser,
        &format!("POST / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n{body}"),
    )
    .await
}

/// Sends bytes; where they left the gateway in doubt, the connection has to end.
async fn exchange(browser: &Browser, bytes: &str) -> Option<Answered> {
    let mut raw = browser.raw().await;
    raw.send(bytes).await;
    let answer = raw.try_answer().await;
    let status = answer.as_ref().map_or(0, Answered::status);
    if matches!(status, 0 | 408 | 413 | 414 | 431 | 501) {
        raw.expect_end().await;
    }
    answer
}

#[tokio::test]
async fn trap_1_cookie_crumbs_of_http2_become_one_line() {
    let (django, gateway, browser) = stage().await;
    let browser = browser
        .with_cookie("a", "1")
        .signed_in("anns-session")
        .with_cookie("csrftoken", "t");
    let page = browser.ask_over(Version::HTTP_2, "/").send().await;
    assert_eq!(page.version, Version::HTTP_2);
    let request = django.only_request_to("/");
    assert_eq!(
        request.all("cookie"),
        ["a=1; sessionid=anns-session; csrftoken=t"]
    );
    gateway.stop().await;
}

#[tokio::test]
async fn trap_2_names_with_underscores_never_reach_django() {
    let (django, gateway, browser) = stage().await;
    for name in [
        "X_Forwarded_For",
        "X_Forwarded_Proto",
        "X-Forwarded_Host",
        "X_User_Id",
        "Content_Length",
        "Gatepost_Signature",
        "SCRIPT_NAME",
        "X_Script_Name",
        "PATH_INFO",
        "_",
    ] {
        ask(&browser, &format!("{name}: 7\r\nContent-Length: 0\r\n"), "").await;
    }
    let http2 = browser
        .ask_over(Version::HTTP_2, "/")
        .header("x_user_id", "7");
    let _ = http2.try_send().await;
    for request in django.requests() {
        let fields = request.head.fields();
        let twin = fields.iter().find(|(name, _)| name.contains('_'));
        assert!(twin.is_none(), "{twin:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_3_only_plain_chunked_is_a_transfer_coding() {
    let (django, gateway, browser) = stage().await;
    let body = "3\r\nabc\r\n0\r\n\r\n";
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
    ] {
        let answer = ask(&browser, lines, body).await;
        let status = answer.map_or(400, |answer| answer.status());
        assert!(matches!(status, 400 | 411 | 501), "{lines:?}: {status}");
    }
    assert!(django.requests().is_empty(), "{:?}", django.requests());
    let answer = ask(&browser, "Transfer-Encoding: chunked\r\n", body).await;
    assert_eq!(answer.unwrap().json()["body"], "abc");
    let request = django.only_request_to("/");
    assert_eq!(request.header("content-length").unwrap(), "3");
    assert!(request.all("transfer-encoding").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn trap_4_length_and_chunks_together_have_one_reading_and_end_the_connection() {
    let (django, gateway, browser) = stage().await;
    let smuggled = "0\r\n\r\nGET /smuggled/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ] {
        let mut raw = browser.raw().await;
        let host = browser.host();
        raw.send(format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n{smuggled}"
        ))
        .await;
        if let Some(answer) = raw.try_answer().await {
            assert!(
                matches!(answer.status(), 200 | 400 | 413 | 501),
                "{lines:?}: {answer:?}"
            );
        }
        raw.expect_end().await;
    }
    assert!(django.requests_to("/smuggled/").is_empty());
    for request in django.requests() {
        let framings = request.all("content-length").len() + request.all("transfer-encoding").len();
        assert_eq!(framings, 1, "{request:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_5_exactly_one_host_of_ours_in_strict_grammar() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host().to_owned();
    for lines in [
        String::new(),
        "Host:\r\n".to_owned(),
        format!("Host: {host}\r\nHost: {host}\r\n"),
        format!("Host: {host}\r\nHost: evil.test\r\n"),
        format!("Host: {host}, evil.test\r\n"),
        format!("Host: {host} evil.test\r\n"),
        format!("Host: user@{host}\r\n"),
        format!("Host: {host}/x\r\n"),
        format!("Host: {host}?x\r\n"),
        format!("Host: {host}#x\r\n"),
        "Host: localhost:\r\n".to_owned(),
        "Host: localhost:x\r\n".to_owned(),
        "Host: localhost:99999\r\n".to_owned(),
        "Host: evil.test\r\n".to_owned(),
        "Host: localhost.evil.test\r\n".to_owned(),
        "Host: 169.254.169.254\r\n".to_owned(),
        "Host: [::1\r\n".to_owned(),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let status = exchange(&browser, &bytes).await.map_or(400, |a| a.status());
        assert!(matches!(status, 400 | 421), "{lines:?}: {status}");
    }
    for target in [
        "http://evil.test/",
        "http://169.254.169.254/latest/",
        "https://evil.test/",
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let status = exchange(&browser, &bytes).await.map_or(400, |a| a.status());
        assert!(matches!(status, 400 | 421), "{target}: {status}");
    }
    assert!(django.requests().is_empty(), "{:?}", django.requests());
    gateway.stop().await;
}

#[tokio::test]
async fn trap_8_an_idle_socket_costs_little() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let ann = gateway.browser_of("anns-session");
    let mut sockets = Vec::new();
    let mut open = async |count: usize| {
        for _ in 0..count {
            sockets.push(ann.socket(NOTIFICATIONS).await);
        }
        private_kib(&gateway)
    };
    let before = open(50).await;
    let after = open(200).await;
    // Some 40 here, where a debug build and glibc leave crumbs, more of them on a busy machine.
    // tungstenite's defaults alone would add 136.
    let each = after.saturating_sub(before) / 200;
    assert!(each < 130, "{each} KiB for each idle socket");
}

fn private_kib(process: &Process) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", process.pid().as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap();
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .map(|kib| kib.parse::<u64>().unwrap())
        .sum()
}

#[tokio::test]
async fn trap_11_no_upgrade_reaches_django_and_its_101_is_a_502() {
    let (django, gateway, browser) = stage().await;
    for lines in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: keep-alive, X-Secret, Upgrade\r\nX-Secret: 1\r\nUpgrade: foo/2\r\n",
    ] {
        ask(&browser, &format!("{lines}Content-Length: 0\r\n"), "").await;
    }
    for request in django.requests() {
        for name in ["upgrade", "http2-settings", "x-secret", "keep-alive"] {
            assert!(request.all(name).is_empty(), "{name}: {request:?}");
        }
        let connection = request.all("connection").join(",").to_lowercase();
        assert!(!connection.contains("upgrade"), "{request:?}");
    }
    let tunnel = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    django.answers("/tunnel/", Answer::raw(tunnel));
    assert_eq!(browser.get("/tunnel/").await.status, 502);
    assert_eq!(browser.get("/next/").await.json()["target"], "/next/");
    gateway.stop().await;
}

#[tokio::test]
async fn trap_12_connect_is_refused_at_the_edge() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for target in ["evil.test:443", host, "/"] {
        let bytes = format!("CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let status = exchange(&browser, &bytes).await.map_or(400, |a| a.status());
        assert!(matches!(status, 400 | 405 | 501), "{target}: {status}");
    }
    let mut link = browser.connect(Version::HTTP_2).await;
    let request = http::Request::connect(host);
    let request = request.body(crate::harness::browser::whole("".into()));
    if let Ok(response) = link.send(request.unwrap()).await {
        assert!(matches!(response.status().as_u16(), 400 | 405 | 501));
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn trap_13_a_malformed_chunk_is_the_clients_fault() {
    let (django, gateway, browser) = stage().await;
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
    ] {
        let answer = ask(&browser, "Transfer-Encoding: chunked\r\n", body).await;
        let status = answer.map_or(400, |answer| answer.status());
        assert_eq!(status, 400, "{body:?}");
    }
    for request in django.requests() {
        assert!(!request.body.complete, "{request:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_14_heads_are_bounded() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "x".repeat(9_000)
    );
    assert_eq!(exchange(&browser, &long).await.unwrap().status(), 414);
    let large = format!("X: {}\r\nContent-Length: 0\r\n", "x".repeat(100_000));
    assert_eq!(ask(&browser, &large, "").await.unwrap().status(), 431);
    let many = "X: 1\r\n".repeat(150) + "Content-Length: 0\r\n";
    assert_eq!(ask(&browser, &many, "").await.unwrap().status(), 431);
    let cookie = format!("Cookie: a={}\r\nContent-Length: 0\r\n", "x".repeat(40_000));
    assert_eq!(ask(&browser, &cookie, "").await.unwrap().status(), 431);
    assert!(django.requests().is_empty());
    let fits = format!("X: {}\r\nContent-Length: 0\r\n", "x".repeat(20_000));
    assert_eq!(ask(&browser, &fits, "").await.unwrap().status(), 200);
    gateway.stop().await;
}

#[tokio::test]
async fn trap_15_no_spelling_of_a_path_slips_past_a_rule() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for path in [
        "/_gatepost/auth/",
        "/%5fgatepost/auth/",
        "/%5Fgatepost/%61uth/",
        "/_gatepost%2fauth/",
        "/_gatepost%5cauth/",
        "/_gatepost\\auth/",
        "//_gatepost/auth/",
        "/./_gatepost/auth/",
        "/x/../_gatepost/auth/",
        "/x/%2e%2e/_gatepost/auth/",
        "/x/.%2e/_gatepost/auth/",
        "/_gatepost/./auth/",
        "/_gatepost//auth/",
        "/_gatepost/auth/%00",
        "/_gatepost/auth/?x=1",
        "/_gatepost",
    ] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = exchange(&browser, &bytes).await;
        let status = answer.map_or(400, |answer| answer.status());
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    let reached = django.requests();
    assert!(reached.is_empty(), "{reached:?}");
    assert_eq!(
        browser.get("/caf%C3%A9/a%20b/?q=%2F").await.json()["target"],
        "/caf%C3%A9/a%20b/?q=%2F"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn trap_16_what_clients_say_of_themselves_is_replaced() {
    let (django, gateway, browser) = stage().await;
    let forged = [
        ("x-forwarded-for", "6.6.6.6, 7.7.7.7"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-ssl", "off"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded-for", "6.6.6.6"),
        ("true-client-ip", "6.6.6.6"),
        ("cf-connecting-ip", "6.6.6.6"),
        ("x-azure-clientip", "6.6.6.6"),
        ("script-name", "/evil"),
        ("x-script-name", "/evil"),
        ("path-info", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-original-url", "/evil"),
        ("x-scheme", "gopher"),
        ("front-end-https", "off"),
        ("remote-user", "root"),
        ("x-remote-user", "root"),
        ("x-accel-redirect", "/etc/passwd"),
        ("gatepost-signature", "t=1,v1=0"),
        ("gatepost-online", "9"),
        ("gatepost-connection", "x"),
        ("x-request-id", "6.6.6.6"),
    ];
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut ask = browser.ask_over(version, "/");
        for (name, value) in forged {
            ask = ask.header(name, value);
        }
        let page = ask.send().await;
        assert_eq!(page.echoed("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(page.echoed("x-forwarded-proto"), ["https"]);
        for (name, value) in forged {
            let echoed = page.echoed(name);
            assert!(
                !echoed.iter().any(|echo| echo.contains(value)),
                "{name}: {echoed:?}"
            );
        }
        for name in [
            "forwarded",
            "x-real-ip",
            "remote-user",
            "x-remote-user",
            "x-forwarded-port",
        ] {
            assert!(page.echoed(name).is_empty(), "{name}");
        }
        assert_eq!(page.echoed("host"), [browser.host()]);
    }
    drop(django);
    gateway.stop().await;
}

#[tokio::test]
async fn trap_16_what_the_gateway_says_no_client_can_have_removed() {
    let (django, gateway, browser) = stage().await;
    let said = [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Request-ID",
        "Gatepost-Address",
        "Gatepost-Scheme",
        "Gatepost-Signature",
    ];
    for name in said {
        let lines = format!("Connection: {name}, keep-alive\r\n{name}: forged\r\n");
        ask(&browser, &format!("{lines}Content-Length: 0\r\n"), "").await;
    }
    let requests = django.requests();
    assert_eq!(requests.len(), said.len());
    for request in requests {
        for name in said {
            let values = request.all(name);
            assert_eq!(values.len(), 1, "{name}: {request:?}");
            assert_ne!(values[0], "forged", "{name}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_17_an_id_is_remembered_for_what_was_accepted_and_not_before() {
    let (django, gateway, _) = stage().await;
    django.signs_in("anns-session", "42");
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let api = gateway.api();
    let refused = api.post(
        "/v1/publish",
        r#"{"id":"order-1","to":{"nobody":1},"frame":1}"#,
    );
    assert_eq!(refused.await.status(), 400);
    let publication = json!({"id": "order-1", "to": {"user": "42"}, "frame": 2});
    assert_eq!(api.publish(&publication).await["sockets"], 1);
    socket.expect_frame("2").await;
    gateway.stop().await;
}
