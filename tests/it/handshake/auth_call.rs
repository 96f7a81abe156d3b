//! What Django is asked: one small signed GET that tells of the handshake and nothing of its upgrade.

use crate::harness::django::AUTH_PATH;
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::server::Server;
use crate::harness::signature::assert_signed;
use crate::harness::{Answer, Django, Gate, Gateway, PATIENCE, eventually};

#[tokio::test]
async fn the_call_has_exactly_these_lines() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway
        .browser()
        .with_cookie("csrftoken", "t")
        .signed_in("anns-session")
        .with_cookie("theme", "dark");
    let handshake = ann
        .handshake("/ws/notifications/?page=2&q=%C3%A4")
        .and("X-Forwarded-For", "6.6.6.6")
        .and("X-Forwarded-Proto", "http")
        .and("X-Request-ID", "forged")
        .and("X-Original-URI", "/forged/")
        .and("Gatepost-Signature", "t=1,v1=00")
        .and("Gatepost-Address", "6.6.6.6")
        .and("Gatepost_Scheme", "http")
        .and("Authorization", "Bearer browser")
        .and("Referer", "https://localhost/page/");
    let mut socket = handshake.send().await.unwrap();
    socket.expect_nothing().await;

    let call = django.only_auth_call();
    assert_eq!(call.head.first_line(), format!("GET {AUTH_PATH} HTTP/1.1"));
    assert!(call.body.raw.is_empty());
    let mut fields = call.head.fields();
    for (name, value) in &mut fields {
        name.make_ascii_lowercase();
        let is_made =
            ["x-request-id", "traceparent", "gatepost-signature"].contains(&name.as_str());
        if is_made {
            assert!(value.len() >= 8 && value != "forged", "{name}: {value}");
            "…".clone_into(value);
        }
    }
    fields.sort();
    let own_host = ann.host().to_owned();
    let own_origin = ann.origin();
    let expected = [
        ("accept", "application/json"),
        ("accept-language", "de-CH"),
        ("cookie", "sessionid=anns-session"),
        ("gatepost-address", "127.0.0.1"),
        ("gatepost-scheme", "https"),
        ("gatepost-signature", "…"),
        ("host", &own_host),
        ("origin", &own_origin),
        ("traceparent", "…"),
        ("user-agent", "Scripted/1.0"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-original-uri", "/ws/notifications/?page=2&q=%C3%A4"),
        ("x-request-id", "…"),
    ];
    let expected = expected.map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(fields, expected);
    assert_signed(&call);
    gateway.stop().await;
}

#[tokio::test]
async fn only_the_named_cookies_go_along_in_the_order_they_came() {
    let django = Django::start().await;
    django.signs_in("second", "42");
    let setup = Gateway::in_front_of(&django).set("auth.cookies", vec!["device"]);
    let gateway = setup.start().await;
    let ann = gateway
        .browser()
        .with_cookie("a", "1")
        .signed_in("first")
        .with_cookie("csrftoken", "t")
        .with_cookie("device", "d=e")
        .with_cookie("sessionid2", "x")
        .with_cookie("SESSIONID", "y")
        .signed_in("second");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let call = django.only_auth_call();
    assert_eq!(
        call.all("cookie"),
        ["sessionid=first; device=d=e; sessionid=second"]
    );
    gateway.stop().await;
}

#[tokio::test]
async fn several_cookie_lines_become_one() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("auth.cookies", vec!["device"]);
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let handshake = browser
        .handshake(NOTIFICATIONS)
        .and("Cookie", "device=d")
        .and("Cookie", "theme=dark")
        .and("Cookie", "sessionid=anns-session");
    handshake.send().await.unwrap().expect_nothing().await;
    let call = django.only_auth_call();
    assert_eq!(call.all("cookie"), ["device=d; sessionid=anns-session"]);
    gateway.stop().await;
}

#[tokio::test]
async fn the_session_cookie_has_the_name_that_django_gave_it() {
    let django = Django::start().await;
    django.judges_everybody(Answer::user("42"));
    let setup = Gateway::in_front_of(&django).set("django.session_cookie", "__Host-sid");
    let gateway = setup.start().await;
    let ann = gateway.browser().with_cookie("__Host-sid", "anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let stranger = gateway.browser_of("old-name");
    stranger
        .socket(NOTIFICATIONS)
        .await
        .expect_close(4001)
        .await;
    let call = django.only_auth_call();
    assert_eq!(call.header("cookie").unwrap(), "__Host-sid=anns-session");
    gateway.stop().await;
}

#[tokio::test]
async fn the_auth_view_may_be_elsewhere_and_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let django = Django::on_unix_socket(&folder.path().join("django.sock")).await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    assert_eq!(django.only_auth_call().header("host").unwrap(), ann.host());
    gateway.stop().await;

    let judge = Server::start().await;
    judge.answers("/judge/", Answer::user("42"));
    let url = format!("{}/judge/?v=1", judge.url());
    let setup = Gateway::in_front_of(&django).set("auth.url", url);
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let call = judge.only_request_to("/judge/");
    assert_eq!(call.target(), "/judge/?v=1");
    assert_eq!(call.header("host").unwrap(), ann.host());
    assert_signed(&call);
    gateway.stop().await;
}

#[tokio::test]
async fn never_more_calls_at_once_than_the_configuration_says() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.judges_everybody(Answer::user("42").after(&gate));
    let gateway = Gateway::in_front_of(&django)
        .set("auth.concurrency", 3)
        .set("auth.timeout", "10s")
        .start()
        .await;
    let browsers: Vec<_> = (0..12)
        .map(|n| gateway.browser_of(&format!("session-{n}")))
        .collect();
    let crowd = browsers.iter().map(|browser| browser.socket(NOTIFICATIONS));
    let mut crowd = Box::pin(futures_util::future::join_all(crowd));
    let full = eventually(PATIENCE, || django.peak(AUTH_PATH) == 3);
    tokio::select! {
        _ = &mut crowd => panic!("accepted without a judgement"),
        () = full => {}
    }
    // One after the other: each answer lets exactly one more call begin.
    gate.let_one_pass();
    let next = eventually(PATIENCE, || django.auth_calls().len() == 4);
    tokio::select! {
        _ = &mut crowd => panic!("accepted without a judgement"),
        () = next => {}
    }
    gate.open();
    for mut socket in crowd.await {
        socket.expect_nothing().await;
    }
    assert_eq!(django.auth_calls().len(), 12);
    assert_eq!(django.peak(AUTH_PATH), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_gives_up_gives_its_turn_back() {
    let django = Django::start().await;
    django.judges("anns-session", Answer::user("42"));
    django.judges("hangs", Answer::hang());
    let gateway = Gateway::in_front_of(&django)
        .set("auth.concurrency", 1)
        .set("auth.timeout", "1s")
        .start()
        .await;
    let impatient = gateway.browser_of("hangs");
    let mut raw = impatient.raw().await;
    raw.send(impatient.handshake(NOTIFICATIONS).bytes()).await;
    eventually(PATIENCE, || django.auth_calls().len() == 1).await;
    drop(raw);
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}
