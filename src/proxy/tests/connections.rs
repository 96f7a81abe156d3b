//! Which connection a request takes, and what happens when it breaks.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_arrives_rewritten_and_its_answer_comes_back() {
    let upstream = Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang]]).await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, get("/a?b=c")).await, (200, "ok".into()));
    let heard = upstream.heard().remove(0).to_lowercase();
    assert!(heard.starts_with("get /a?b=c http/1.1\r\n"), "{heard}");
    for line in [
        "host: localhost:8443",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: https",
    ] {
        let line = format!("\n{line}\r\n");
        assert_eq!(heard.matches(&line).count(), 1, "{line} in {heard}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let twice = [
        Step::Read("\r\n\r\n"),
        Step::Send(OK),
        Step::Read("\r\n\r\n"),
        Step::Send(OK),
        Step::Hang,
    ];
    let upstream = Scripted::start(&[&twice]).await;
    let gateway = before(upstream.address).serve().await;
    for _ in 0..2 {
        assert_eq!(ask(gateway, get("/")).await.0, 200);
    }
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn surplus_bytes_are_never_taken_for_the_next_answer() {
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Scripted::start(&[
        &[Step::Read("\r\n\r\n"), Step::Send(surplus), Step::ReadToEnd],
        &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    for _ in 0..2 {
        assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    }
    assert_eq!(upstream.heard().len(), 2);
}

#[tokio::test]
async fn a_reused_connection_that_dies_silently_costs_a_get_nothing() {
    let upstream = Scripted::start(&[
        &[
            Step::Read("\r\n\r\n"),
            Step::Send(OK),
            Step::Read("\r\n\r\n"),
            Step::Reset,
        ],
        &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    for _ in 0..2 {
        assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    }
    assert_eq!(upstream.heard().len(), 2);
}

#[tokio::test]
async fn a_get_that_a_restarting_server_left_unanswered_is_sent_once_more() {
    let dying: &[Step] = &[Step::Read("\r\n\r\n")];
    let well: &[Step] = &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang];
    let upstream = Scripted::start(&[dying, well]).await;
    let setup = before(upstream.address);
    let gateway = setup.serve().await;
    assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    assert_eq!(setup.retries.get(), 1);

    // The request itself may be what kills the server.
    let upstream = Scripted::start(&[dying, dying, well]).await;
    let gateway = before(upstream.address).serve().await;
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!((status, upstream.heard().len()), (502, 2), "{body}");
    assert!(body.contains("upstream_lost"), "{body}");
}

#[tokio::test]
async fn a_post_that_may_have_been_heard_is_not_sent_again() {
    let upstream = Scripted::start(&[
        &[
            Step::Read("\r\n\r\n"),
            Step::Send(OK),
            Step::Read("pay"),
            Step::Reset,
        ],
        &[Step::Read("pay"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, get("/")).await.0, 200);
    let (status, body) = ask(gateway, post("pay")).await;
    assert_eq!(status, 502);
    assert!(body.contains("upstream_lost"), "{body}");
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn a_get_survives_a_restart_that_resets_its_second_connection_too() {
    let upstream = Scripted::start(&[
        &[
            Step::Read("\r\n\r\n"),
            Step::Send(OK),
            Step::Read("\r\n\r\n"),
            Step::Reset,
        ],
        &[Step::Read("GET"), Step::Reset],
        &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    for _ in 0..2 {
        assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    }
    assert_eq!(upstream.heard().len(), 3);
}

#[tokio::test]
async fn a_request_that_got_garbage_for_an_answer_is_not_sent_again() {
    let upstream = Scripted::start(&[
        &[
            Step::Read("\r\n\r\n"),
            Step::Send(OK),
            Step::Read("\r\n\r\n"),
            Step::Send("SSH-2.0-OpenSSH_9\r\n"),
            Step::ReadToEnd,
        ],
        &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, get("/")).await.0, 200);
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!(status, 502);
    assert!(body.contains("upstream_not_http"), "{body}");
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn a_post_takes_a_new_connection_when_the_old_one_idled() {
    let upstream = Scripted::start(&[
        &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::ReadToEnd],
        &[Step::Read("pay"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, get("/")).await.0, 200);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(ask(gateway, post("pay")).await.0, 200);
}

#[tokio::test]
async fn a_connection_over_which_a_body_was_refused_is_not_used_again() {
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let upstream = Scripted::start(&[
        &[Step::Read("pay"), Step::Send(refused), Step::ReadToEnd],
        &[Step::Read("pay"), Step::Send(OK), Step::Hang],
    ])
    .await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, post("pay")).await.0, 403);
    assert_eq!(ask(gateway, post("pay")).await.0, 200);
    assert_eq!(upstream.heard().len(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_the_upstream_would() {
    let upstream =
        Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::Send(OK), Step::ReadToEnd]]).await;
    let gateway = before(upstream.address).serve().await;
    assert_eq!(ask(gateway, get("/")).await.0, 200);
    upstream.hears(0, |text| text.ends_with("<end>")).await;
}

#[tokio::test]
async fn a_request_waits_while_nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let gateway = Setup {
        hold: Duration::from_secs(8),
        ..before(address)
    }
    .serve()
    .await;
    let asking = ask(gateway, post("pay"));
    let restart = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let log = Arc::new(Mutex::new(vec![String::new()]));
        follow(stream, vec![Step::Read("pay"), Step::Send(OK)], log, 0).await;
    };
    let (answer, ()) = tokio::join!(asking, restart);
    assert_eq!(answer, (200, "ok".into()));
}

#[tokio::test]
async fn after_the_hold_the_answer_says_who_is_away_and_where() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let gateway = Setup {
        hold: Duration::from_millis(200),
        ..before(address)
    }
    .serve()
    .await;
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!(status, 502);
    for part in [
        "upstream_refused",
        "django",
        &address.to_string(),
        "runserver",
        "its terminal says why",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn of_several_addresses_a_dead_one_is_passed_over() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = free.local_addr().unwrap();
    drop(free);
    let script: &[Step] = &[Step::Read("\r\n\r\n"), Step::Send(OK), Step::Reset];
    let upstream = Scripted::start(&[script, script, script, script]).await;
    let addresses = vec![tcp(dead), tcp(upstream.address)];
    let gateway = Setup {
        addresses,
        ..before(dead)
    }
    .serve()
    .await;
    for _ in 0..4 {
        assert_eq!(ask(gateway, get("/")).await.0, 200);
    }
}

#[tokio::test]
async fn a_unix_socket_is_an_upstream_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("django.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    DrainWatch::default().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    let addresses = vec![UpstreamAddress::Unix(path)];
    let gateway = Setup {
        addresses,
        ..before("127.0.0.1:1".parse().unwrap())
    }
    .serve()
    .await;
    assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
}

#[tokio::test]
async fn an_upstream_that_hangs_is_a_504() {
    let upstream = Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::ReadToEnd]]).await;
    let gateway = Setup {
        timeout: Duration::from_millis(150),
        ..before(upstream.address)
    }
    .serve()
    .await;
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!(status, 504);
    assert!(body.contains("upstream_timeout"), "{body}");
    upstream.hears(0, |text| text.ends_with("<end>")).await;
}

#[tokio::test]
async fn garbage_from_an_upstream_is_a_502() {
    let upstream = Scripted::start(&[&[
        Step::Read("\r\n\r\n"),
        Step::Send("Unauthorized"),
        Step::Reset,
    ]])
    .await;
    let gateway = before(upstream.address).serve().await;
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!(status, 502);
    assert!(
        body.contains("upstream_not_http") || body.contains("upstream_lost"),
        "{body}"
    );
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_a_502() {
    let fake =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let upstream =
        Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::Send(fake), Step::ReadToEnd]]).await;
    let gateway = before(upstream.address).serve().await;
    let (status, body) = ask(gateway, get("/")).await;
    assert_eq!(status, 502);
    assert!(body.contains("upstream_upgraded"), "{body}");
    upstream.hears(0, |text| text.ends_with("<end>")).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_request() {
    let upstream = Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::ReadToEnd]]).await;
    let gateway = before(upstream.address).serve().await;
    let mut client = Client::connect(gateway).await;
    client
        .send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    upstream.hears(0, |text| text.contains("\r\n\r\n")).await;
    drop(client);
    upstream.hears(0, |text| text.ends_with("<end>")).await;
}
