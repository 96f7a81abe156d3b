//! A publication reaches its audience once, in order, byte for byte; and no one else.

use futures_util::future::join_all;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::socket::Socket;
use crate::harness::{Answer, Django, Gate, Gateway, PATIENCE, eventually, json};

/// Ann (42, staff) and Bob (7), and a gateway before them.
async fn stage_with(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in_with_groups("anns-session", "42", &["staff"]);
    django.signs_in_with_groups("anns-phone", "42", &["staff"]);
    django.signs_in("bobs-session", "7");
    let gateway = change(Gateway::in_front_of(&django)).start().await;
    (django, gateway)
}

async fn stage() -> (Django, Gateway) {
    stage_with(|setup| setup).await
}

async fn open(gateway: &Gateway, session: &str) -> Socket {
    gateway.browser_of(session).socket(NOTIFICATIONS).await
}

/// The `connection` and `session` of this user's only connection.
async fn only_connection(gateway: &Gateway, user: &str) -> (String, String) {
    let connection = gateway.api().connected(user, 1).await.remove(0);
    let text = |name: &str| connection[name].as_str().unwrap().to_owned();
    (text("connection"), text("session"))
}

#[tokio::test]
async fn a_user_gets_it_in_every_tab_once_and_others_get_nothing() {
    let (_django, gateway) = stage().await;
    let mut tab = open(&gateway, "anns-session").await;
    let mut second_tab = open(&gateway, "anns-session").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    let receipt = gateway.api().publish(&publication).await;
    assert_eq!(
        (&receipt["sockets"], &receipt["offline"]),
        (&json!(3), &json!(0))
    );
    for socket in [&mut tab, &mut second_tab, &mut phone] {
        socket.expect_frame(r#"{"n":1}"#).await;
        socket.expect_nothing().await;
    }
    bob.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn every_audience_reaches_its_own_and_no_other() {
    let (_django, gateway) = stage().await;
    let api = gateway.api();
    let mut ann = open(&gateway, "anns-session").await;
    let (ann_connection, ann_session) = only_connection(&gateway, "42").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    let (bob_connection, _) = only_connection(&gateway, "7").await;
    let ann_tab = 1u32;
    let (ann_phone, bobs) = (2, 4);
    let cases = [
        (json!({"to": {"user": "42"}}), ann_tab + ann_phone),
        (
            json!({"to": {"users": ["42", "7", "42"]}}),
            ann_tab + ann_phone + bobs,
        ),
        (json!({"to": {"users": []}}), 0),
        (json!({"to": {"group": "staff"}}), ann_tab + ann_phone),
        (json!({"to": {"group": "Staff"}}), 0),
        (json!({"to": {"session": ann_session}}), ann_tab),
        (json!({"to": {"connection": ann_connection}}), ann_tab),
        (json!({"to": {"connection": bob_connection}}), bobs),
        (
            json!({"to": {"everyone": true}}),
            ann_tab + ann_phone + bobs,
        ),
        (
            json!({"to": {"everyone": true}, "exclude": ann_connection}),
            ann_phone + bobs,
        ),
        (
            json!({"to": {"user": "42"}, "exclude": ann_connection}),
            ann_phone,
        ),
        (
            json!({"to": {"user": "42"}, "exclude": bob_connection}),
            ann_tab + ann_phone,
        ),
        (
            json!({"to": {"user": "42"}, "socket": NOTIFICATIONS}),
            ann_tab + ann_phone,
        ),
        (json!({"to": {"user": "42"}, "socket": "/ws/other/"}), 0),
        (json!({"to": {"user": "nobody"}}), 0),
    ];
    for (number, (mut publication, receivers)) in cases.into_iter().enumerate() {
        publication["frame"] = json!({"n": number});
        let frame = publication["frame"].to_string();
        let answer = api.post("/v1/publish", &publication.to_string()).await;
        if publication["to"] == json!({"users": []}) && answer.status() == 400 {
            continue;
        }
        assert_eq!(answer.status(), 202, "{publication}: {}", answer.text());
        let sockets = answer.json()["sockets"].as_u64().unwrap();
        assert_eq!(sockets, u64::from(receivers.count_ones()), "{publication}");
        for (socket, bit) in [
            (&mut ann, ann_tab),
            (&mut phone, ann_phone),
            (&mut bob, bobs),
        ] {
            if receivers & bit != 0 {
                socket.expect_frame(&frame).await;
            }
        }
    }
    for socket in [&mut ann, &mut phone, &mut bob] {
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_socket_route_can_be_addressed_alone() {
    let (_django, gateway) = stage_with(|setup| setup.socket("/ws/other/")).await;
    let mut here = open(&gateway, "anns-session").await;
    let ann = gateway.browser_of("anns-session");
    let mut there = ann.socket("/ws/other/").await;
    let publish = async |socket: &str| {
        let publication = json!({"to": {"user": "42"}, "frame": {"at": socket}, "socket": socket});
        gateway.api().publish(&publication).await["sockets"].clone()
    };
    assert_eq!(publish("/ws/other/").await, 1);
    assert_eq!(publish(NOTIFICATIONS).await, 1);
    there.expect_frame(r#"{"at":"/ws/other/"}"#).await;
    here.expect_frame(r#"{"at":"/ws/notifications/"}"#).await;
    for socket in [&mut here, &mut there] {
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_bytes_django_wrote_are_the_bytes_the_browser_gets() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    for frame in [
        r#"{ "b" : 1 ,  "a":2 }"#,
        "{\"spaced\"\t: [1 , 2 ]\n}",
        r#"{"u":"\u00fc\ud83d\ude00\/"}"#,
        r#"{"u":"ü😀"}"#,
        r#"{"n":1e400,"m":-0.0,"k":12345678901234567890123456789.10}"#,
        r#"{"a":1,"a":2,"a":1}"#,
        r#"{"":null}"#,
        r#"{"line":"a\u2028b\u0000"}"#,
        "[]",
        r#""text""#,
        "42",
        "true",
        r#"{"deep":[[[[[[[[[[{"x":{}}]]]]]]]]]]}"#,
    ] {
        let publication = format!(r#"{{ "frame": {frame} , "to":{{"user":"42"}}}}"#);
        gateway.api().publish_text(&publication).await;
        ann.expect_frame(frame).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn publications_arrive_in_the_order_they_were_acknowledged() {
    let (_django, gateway) = stage().await;
    let mut tabs = [
        open(&gateway, "anns-session").await,
        open(&gateway, "anns-phone").await,
    ];
    let lines: Vec<_> = (0..200)
        .map(|n| json!({"to": {"user": "42"}, "frame": {"n": n}}).to_string())
        .collect();
    let body = lines.join("\n");
    let api = gateway.api();
    let answer = api.call(
        "POST",
        "/v1/publish",
        "application/x-ndjson",
        body.as_bytes(),
    );
    let answer = answer.await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
    assert_eq!(answer.text().trim().lines().count(), 200);
    for n in 200..220 {
        let publication = json!({"to": {"user": "42"}, "frame": {"n": n}});
        api.publish(&publication).await;
    }
    for tab in &mut tabs {
        for n in 0..220 {
            tab.expect_frame(&json!({"n": n}).to_string()).await;
        }
        tab.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn concurrent_publications_arrive_in_one_order_everywhere() {
    let (_django, gateway) = stage().await;
    let mut tabs = [
        open(&gateway, "anns-session").await,
        open(&gateway, "anns-phone").await,
    ];
    let api = gateway.api();
    let publishers = (0..40).map(|n| {
        let publication = json!({"to": {"user": "42"}, "frame": {"n": n}});
        let api = api.clone();
        async move { api.publish(&publication).await }
    });
    join_all(publishers).await;
    let mut orders = Vec::new();
    for tab in &mut tabs {
        let mut order = Vec::new();
        for _ in 0..40 {
            order.push(tab.frame().await);
        }
        tab.expect_nothing().await;
        orders.push(order);
    }
    assert_eq!(orders[0], orders[1]);
    orders[0].sort();
    orders[0].dedup();
    assert_eq!(orders[0].len(), 40);
    gateway.stop().await;
}

#[tokio::test]
async fn many_users_with_tabs_get_their_own_and_only_their_own() {
    let django = Django::start().await;
    for user in 0..5 {
        django.signs_in(&format!("session-{user}"), &user.to_string());
    }
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut sockets = Vec::new();
    for user in 0..5 {
        for _ in 0..3 {
            sockets.push((user, open(&gateway, &format!("session-{user}")).await));
        }
    }
    for n in 0..40 {
        let user = n % 5;
        let frame = json!({"for": user, "n": n});
        let publication = json!({"to": {"user": user.to_string()}, "frame": frame});
        assert_eq!(gateway.api().publish(&publication).await["sockets"], 3);
    }
    for (user, socket) in &mut sockets {
        for n in (*user..40).step_by(5) {
            let frame = json!({"for": *user, "n": n});
            socket.expect_frame(&frame.to_string()).await;
        }
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_connected_is_told_to_the_publisher() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    let publication = json!({"to": {"users": ["42", "7", "8"]}, "frame": 1});
    let receipt = gateway.api().publish(&publication).await;
    assert_eq!(
        (&receipt["sockets"], &receipt["offline"]),
        (&json!(1), &json!(2))
    );
    ann.expect_frame("1").await;
    ann.close().await;
    gateway.api().connected("42", 0).await;
    let publication = json!({"to": {"user": "42"}, "frame": 2});
    let receipt = gateway.api().publish(&publication).await;
    assert_eq!(
        (&receipt["sockets"], &receipt["offline"]),
        (&json!(0), &json!(1))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn connections_tell_who_is_there_and_no_cookie() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    gateway
        .api()
        .publish(&json!({"to": {"user": "42"}, "frame": 1}))
        .await;
    ann.expect_frame("1").await;
    let connections = gateway.api().connected("42", 1).await;
    let connection = &connections[0];
    assert_eq!(connection["user"], "42");
    assert_eq!(connection["groups"], json!(["staff"]));
    assert_eq!(connection["socket"], NOTIFICATIONS);
    assert_eq!(connection["transport"], "websocket");
    assert_eq!(connection["address"], "127.0.0.1");
    assert_eq!(connection["sent"], 1);
    assert_eq!(connection["queued"], 0);
    assert!(!connection.to_string().contains("anns-session"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_ping_gets_a_pong_with_its_other_members() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    for (ping, pong) in [
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
        (r#" { "type" : "ping" } "#, r#"{"type":"pong"}"#),
        (
            r#"{"type":"ping","t":1732350000.123}"#,
            r#"{"type":"pong","t":1732350000.123}"#,
        ),
        (
            r#"{"id":"ü","type":"ping","x":[1, 1e400]}"#,
            r#"{"type":"pong","id":"ü","x":[1, 1e400]}"#,
        ),
    ] {
        ann.send(ping).await;
        ann.expect_frame(pong).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn any_other_message_is_closed_1008() {
    let (_django, gateway) = stage().await;
    for message in [
        "",
        "ping",
        "{}",
        r#"{"type":"pong"}"#,
        r#"{"type":"message","text":"hello"}"#,
        r#"{"type":"ping""#,
        "[]",
        "\u{0}",
    ] {
        let mut ann = open(&gateway, "anns-session").await;
        ann.send(message).await;
        ann.expect_close(1008).await;
    }
    let mut ann = open(&gateway, "anns-session").await;
    let binary = Message::Binary(Bytes::from_static(br#"{"type":"ping"}"#));
    ann.try_send(binary).await.unwrap();
    let closed = ann.closed().await;
    assert!(matches!(closed.code, 1003 | 1008), "{closed:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_big_is_closed_1009() {
    let (_django, gateway) = stage_with(|setup| setup.set("limits.message_size", "1KiB")).await;
    let ping = |size: usize| {
        let frame = r#"{"type":"ping","x":""}"#;
        frame.replace(
            r#""x":"""#,
            &format!(r#""x":"{}""#, "x".repeat(size - frame.len())),
        )
    };
    let mut ann = open(&gateway, "anns-session").await;
    ann.send(&ping(1024)).await;
    assert_eq!(ann.frame().await.len(), 1024);
    ann.send(&ping(1025)).await;
    ann.expect_close(1009).await;
    gateway.stop().await;
}

#[tokio::test]
async fn too_many_messages_are_closed_1008() {
    let (_django, gateway) = stage_with(|setup| setup.set("limits.message_rate", "5/s")).await;
    let mut ann = open(&gateway, "anns-session").await;
    for _ in 0..60 {
        if ann
            .try_send(Message::text(r#"{"type":"ping"}"#))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(ann.closed().await.code, 1008);
    let mut bob = open(&gateway, "bobs-session").await;
    bob.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_gateway_pings_and_cuts_whom_it_does_not_hear() {
    let (_django, gateway) = stage_with(|setup| setup.set("delivery.ping", "1s")).await;
    let mut ann = open(&gateway, "anns-session").await;
    assert!(matches!(ann.control().await, Some(Message::Ping(_))));
    // The next read answers it; from then on nobody reads, as behind a cable that was pulled.
    let deaf = gateway.browser_of("bobs-session");
    let (mut deaf, _) = deaf.handshake(NOTIFICATIONS).send_raw().await.unwrap();
    only_connection(&gateway, "7").await;
    gateway.api().connected("7", 0).await;
    assert_eq!(deaf.frame().await.unwrap().first, 0x89, "it was pinged");
    drop(ann);
    gateway.stop().await;
}

#[tokio::test]
async fn a_protocol_ping_is_answered_with_its_payload() {
    let (_django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let (mut raw, _) = ann.handshake(NOTIFICATIONS).send_raw().await.unwrap();
    raw.send_frame(0x89, b"are you there?").await;
    let pong = raw.frame().await.unwrap();
    assert_eq!(
        (pong.first, &pong.payload[..]),
        (0x8a, &b"are you there?"[..])
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_closes_with_its_code_and_reason() {
    let (_django, gateway) = stage().await;
    let api = gateway.api();
    let mut tab = open(&gateway, "anns-session").await;
    let (_, session) = only_connection(&gateway, "42").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    let by_session = json!({"session": session, "code": 4001, "reason": "logged out"});
    assert_eq!(api.revoke(&by_session).await, 1);
    assert_eq!(tab.expect_close(4001).await.reason, "logged out");
    phone.expect_nothing().await;
    let by_user = json!({"user": "42", "code": 4003, "reason": "geschlossen ✓"});
    assert_eq!(api.revoke(&by_user).await, 1);
    assert_eq!(phone.expect_close(4003).await.reason, "geschlossen ✓");
    assert_eq!(api.revoke(&by_user).await, 0);
    bob.expect_nothing().await;
    assert!(api.connections("42").await.is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_refuses_the_handshake_that_is_under_way() {
    let (django, gateway) = stage().await;
    let mut tab = open(&gateway, "anns-session").await;
    let (_, session) = only_connection(&gateway, "42").await;
    let gate = Gate::closed();
    django.judges_everybody(Answer::user("42").after(&gate));
    for what in [json!({"user": "42"}), json!({"session": session})] {
        let asked = django.auth_calls().len();
        let browser = gateway.browser_of("anns-session");
        let mut handshake = Box::pin(browser.socket(NOTIFICATIONS));
        let asking = eventually(PATIENCE, || django.auth_calls().len() > asked);
        tokio::select! {
            _ = &mut handshake => panic!("accepted without a judgement"),
            () = asking => {}
        }
        let mut what = what;
        what["code"] = json!(4001);
        what["reason"] = json!("logged out");
        gateway.api().revoke(&what).await;
        gate.let_one_pass();
        let mut late = handshake.await;
        let closed = late.expect_close(4001).await;
        assert_eq!(closed.reason, "logged out");
    }
    tab.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_published_during_the_handshake_is_not_missed() {
    let (_django, gateway) = stage().await;
    // From the moment the publisher sees the connection it also reaches it.
    for n in 0..20 {
        let browser = gateway.browser_of("bobs-session");
        let mut raw = browser.raw().await;
        raw.send(browser.handshake(NOTIFICATIONS).bytes()).await;
        gateway.api().connected("7", 1).await;
        let publication = json!({"to": {"user": "7"}, "frame": {"n": n}});
        gateway.api().publish(&publication).await;
        assert_eq!(raw.answer().await.status(), 101);
        let frame = raw.frame().await.unwrap();
        assert_eq!(frame.payload, json!({"n": n}).to_string().as_bytes());
        drop(raw);
        gateway.api().connected("7", 0).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_idempotent_publication_is_delivered_once() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}, "id": "order-17"});
    let first = gateway.api().publish(&publication).await;
    for _ in 0..2 {
        let again = gateway.api().publish(&publication).await;
        assert_eq!(again["id"], first["id"]);
        assert_eq!(again["position"], first["position"]);
    }
    ann.expect_frame(r#"{"n":1}"#).await;
    ann.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_frame_may_fill_the_whole_outbox_and_not_more() {
    let (_django, gateway) = stage_with(|setup| setup.set("delivery.outbox_size", "64KiB")).await;
    let mut ann = open(&gateway, "anns-session").await;
    let publication = |size: usize| json!({"to": {"user": "42"}, "frame": "x".repeat(size - 2)});
    for _ in 0..3 {
        gateway.api().publish(&publication(64 * 1024)).await;
        assert_eq!(ann.frame().await.len(), 64 * 1024);
    }
    let too_large = publication(64 * 1024 + 1).to_string();
    let answer = gateway.api().post("/v1/publish", &too_large).await;
    assert_eq!(answer.status(), 413, "{}", answer.text());
    ann.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_ping_may_nest_and_repeat_what_it_likes() {
    let (_django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    let deep = format!(
        r#"{{"type":"ping","x":{}1{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    ann.try_send(Message::text(deep.as_str())).await.unwrap();
    match ann.event(PATIENCE).await {
        Some(Message::Text(pong)) => assert_eq!(pong.len(), deep.len()),
        Some(Message::Close(Some(close))) => assert_eq!(u16::from(close.code), 1008),
        other => panic!("{other:?}"),
    }
    let mut bob = open(&gateway, "bobs-session").await;
    bob.send(r#"{"a":1,"type":"ping","a":2,"a":3}"#).await;
    bob.expect_frame(r#"{"type":"pong","a":1,"a":2,"a":3}"#)
        .await;
    gateway.stop().await;
}

/// Both are ready for the connection's task at once, as often as not; so several rounds.
#[tokio::test(flavor = "multi_thread")]
async fn a_pong_never_overtakes_what_was_published_before_its_ping() {
    let (_django, gateway) = stage_with(|setup| setup.set("limits.message_rate", "1000/s")).await;
    let mut tab = open(&gateway, "anns-session").await;
    for n in 0..150 {
        let publication = json!({"to": {"user": "42"}, "frame": {"n": n}});
        gateway.api().publish(&publication).await;
        tab.send(r#"{"type":"ping"}"#).await;
        tab.expect_frame(&format!(r#"{{"n":{n}}}"#)).await;
        tab.expect_frame(r#"{"type":"pong"}"#).await;
    }
    gateway.stop().await;
}
