//! What breaks around the gateway costs no more than it must.

use std::time::Duration;

use http::{Method, Version};
use http_body_util::BodyExt;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::Raw;
use crate::harness::server::Server;
use crate::harness::{
    Answer, Django, Gateway, PATIENCE, Process, eventually, eventually_some, json,
};

#[tokio::test]
async fn sockets_stay_open_and_publications_go_on_while_django_is_down() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut open = ann.socket(NOTIFICATIONS).await;
    assert_eq!(ann.get("/").await.status, 200);
    for round in 0..3 {
        django.refuse().await;
        let publication = json!({"to": {"user": "42"}, "frame": {"down": round}});
        assert_eq!(gateway.api().publish(&publication).await["sockets"], 1);
        open.expect_frame(&json!({"down": round}).to_string()).await;
        let page = ann
            .ask(Method::GET, "/")
            .header("accept", "application/json");
        let page = page.send().await;
        assert_eq!(page.status, 502, "{}", page.text());
        assert!(
            page.text().contains(&django.address().to_string()),
            "{}",
            page.text()
        );
        // Django cannot be asked who that is, but Ann was known a moment ago.
        let session = format!("bobs-session-{round}");
        django.signs_in(&session, "7");
        let bob = gateway.browser_of(&session);
        bob.socket(NOTIFICATIONS).await.expect_close(1013).await;
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
        open.expect_nothing().await;

        django.listen();
        assert_eq!(ann.get("/").await.status, 200);
        bob.socket(NOTIFICATIONS).await.expect_nothing().await;
        open.expect_nothing().await;
    }
    let ready = gateway.api().without_secret().get("/ready").await;
    assert_eq!(
        ready.status(),
        200,
        "Django's absence does not make us unready"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_hanging_django_is_504_and_holds_nobody_else_up() {
    let django = Django::start().await;
    django.answers("/hang/", Answer::hang());
    let setup = Gateway::in_front_of(&django).set("limits.upstream_timeout", "2s");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let mut hanging = Box::pin(browser.get("/hang/"));
    let brisk = async {
        eventually(PATIENCE, || !django.requests_to("/hang/").is_empty()).await;
        assert_eq!(browser.get("/").await.status, 200);
    };
    tokio::select! {
        _ = &mut hanging => panic!("the hanging one came first"),
        () = brisk => {}
    }
    let page = hanging.await;
    assert_eq!(page.status, 504, "{}", page.text());
    gateway.stop().await;
}

#[tokio::test]
async fn an_upstream_that_dies_mid_body_is_seen_by_the_browser_as_cut() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let some = "x".repeat(10_000);
    let deaths = [
        Answer::cut_short(100_000, some.as_str()),
        Answer::reset_mid_body(100_000, some.as_str()),
        Answer::unfinished_chunks([some.as_str()]),
    ];
    for answer in deaths {
        django.answers("/cut/", answer);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut link = browser.connect(version).await;
            let ask = browser.ask_over(version, "/cut/");
            match link.send(ask.finish()).await {
                // Whole bodies are buffered or streamed; either way a part is never a whole.
                Ok(response) if response.status() == 200 => {
                    let body = response.into_body().collect().await;
                    assert!(body.is_err(), "{version:?}: a clean end");
                }
                Ok(response) => assert_eq!(response.status(), 502, "{version:?}"),
                Err(_) => {}
            }
        }
        assert_eq!(browser.get("/").await.status, 200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn surplus_bytes_of_an_answer_are_never_the_next_answer() {
    let django = Django::start().await;
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
                  Content-Length: 6\r\n\r\npoison";
    django.answers("/poison/", Answer::raw(poison));
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for _ in 0..5 {
        assert_eq!(browser.get("/poison/").await.text(), "ok");
        let next = browser.get("/next/").await;
        assert_eq!(next.json()["target"], "/next/");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_resets_is_gone_at_once() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    for _ in 0..5 {
        let (raw, _) = ann.handshake(NOTIFICATIONS).send_raw().await.unwrap();
        gateway.api().connected("42", 1).await;
        let (tcp, _) = raw.wire.stream.into_inner();
        SockRef::from(&tcp)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(tcp);
        gateway.api().connected("42", 0).await;
    }
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn out_of_descriptors_it_stays_alive_does_not_spin_and_recovers() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.tls_timeout", "1m");
    let gateway = Process::start_with_descriptors(setup, 80).await;
    let ann = gateway.browser_of("anns-session");
    let mut open = ann.socket(NOTIFICATIONS).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(gateway.https()).await.unwrap());
    }
    open.expect_nothing().await;
    let before = gateway.cpu_ticks();
    // CPU time is measured over wall time; there is no condition to wait for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ticks = gateway.cpu_ticks() - before;
    assert!(
        ticks < 20,
        "{ticks} ticks of 10 ms in a second of doing nothing"
    );
    open.expect_nothing().await;
    drop(crowd);
    // Until the crowd is noticed to be gone, who comes is turned away.
    eventually_some(PATIENCE, async || {
        let mut raw = Raw::new(ann.try_tls(&[b"http/1.1"]).await.ok()?);
        let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", ann.host());
        raw.try_send(ask).await;
        let answer = raw.try_answer().await?;
        (answer.status() == 200).then_some(())
    })
    .await;
    open.expect_nothing().await;
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn a_crowd_that_takes_every_connection_leaves_descriptors_for_upstreams() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.tls_timeout", "1m");
    let gateway = Process::start_with_descriptors(setup, 120).await;
    let ann = gateway.browser_of("anns-session");
    let mut link = ann.connect(Version::HTTP_11).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(gateway.https()).await.unwrap());
    }
    eventually(PATIENCE, || {
        gateway.log().contains("all connections are in use")
    })
    .await;
    let page = link.send(ann.ask(Method::GET, "/").finish()).await;
    assert_eq!(page.unwrap().status(), 200);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn one_dead_upstream_does_not_take_the_others_along() {
    let django = Django::start().await;
    let other = Server::not_listening().await;
    let gateway = Gateway::in_front_of(&django)
        .upstream("/other/", &other)
        .start()
        .await;
    let browser = gateway.browser();
    let page = browser.get("/other/").await;
    assert_eq!(page.status, 502);
    assert!(
        page.text().contains(&other.address().to_string()),
        "{}",
        page.text()
    );
    assert_eq!(browser.get("/").await.status, 200);
    other.listen();
    assert_eq!(browser.get("/other/").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_django_that_restarts_under_load_costs_no_get() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("django.hold", "10s");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let done = std::cell::Cell::new(false);
    let load = |version: Version| {
        let (browser, done) = (&browser, &done);
        async move {
            let mut answered = 0;
            while !done.get() {
                let page = browser.ask_over(version, "/page/").send().await;
                assert_eq!(page.status, 200, "{}", page.text());
                answered += 1;
            }
            answered
        }
    };
    let restarts = async {
        for _ in 0..4 {
            let before = django.requests().len();
            eventually(PATIENCE, || django.requests().len() > before + 20).await;
            django.refuse().await;
            // How long it is away is the fault itself; there is no condition to wait for.
            tokio::time::sleep(Duration::from_millis(150)).await;
            django.listen();
        }
        done.set(true);
    };
    let (http1, http2, more, ()) = tokio::join!(
        load(Version::HTTP_11),
        load(Version::HTTP_2),
        load(Version::HTTP_11),
        restarts
    );
    assert!(http1 + http2 + more > 80);
    gateway.stop().await;
}

#[tokio::test]
async fn however_clients_come_and_go_nothing_is_left_behind() {
    let django = Django::start().await;
    django.judges_everybody(Answer::user("42"));
    let gateway = Gateway::in_front_of(&django)
        .set("limits.message_rate", "1000/s")
        .start()
        .await;
    let ann = &gateway.browser_of("anns-session");
    let api = &gateway.api();
    let clients = (0..40u32).map(|n| async move {
        for round in 0..3 {
            let mut socket = ann.socket(NOTIFICATIONS).await;
            match (n + round) % 5 {
                0 => socket.close().await,
                1 => drop(socket),
                2 => {
                    socket.send("not allowed").await;
                    assert_eq!(socket.closed().await.code, 1008);
                }
                3 => {
                    let (raw, _) = ann.handshake(NOTIFICATIONS).send_raw().await.unwrap();
                    let (tcp, _) = raw.wire.stream.into_inner();
                    SockRef::from(&tcp)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                }
                _ => {
                    let frame = json!({"to": {"user": "42"}, "frame": {"n": n}});
                    api.publish(&frame).await;
                    socket.frame().await;
                }
            }
        }
    });
    futures_util::future::join_all(clients).await;
    api.connected("42", 0).await;
    eventually_some(PATIENCE, async || {
        (api.metric("gatepost_connections").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(gateway.stop().await, 0);
}
