//! What topics cost: memory of subscriptions, publications to a topic, and sockets that come back to theirs.
//! All are granted by tokens, as Django's `topic_token` makes them.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::fleet::Fleet;
use crate::lab::{Lab, Server};
use crate::publisher::{Broadcaster, Publisher, SECRET};
use crate::report::Report;
use crate::sockets::{self, each};

/// Names measured here.
const NAMES: &[&str] = &["topic-memory", "topic-one", "topic-all"];
/// Topics of each socket where memory is measured.
const TOPICS: usize = 5;
/// What everybody listens to.
const ALL: &str = "news";
/// Tokens are good for longer than any run.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// All rounds.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(NAMES) {
        return Ok(());
    }
    for round in 1..=lab.plan.rounds {
        eprintln!("topics, round {round} of {}", lab.plan.rounds);
        if lab.plan.wants(&["topic-memory", "topic-one"]) {
            of_their_own(lab, report)?;
        }
        if lab.plan.wants(&["topic-all"]) {
            of_all(lab, report)?;
        }
    }
    Ok(())
}

/// Sockets with topics that nobody else listens to, next to sockets without.
fn of_their_own(lab: &Lab, report: &mut Report) -> io::Result<()> {
    let without = {
        let server = lab.gateway()?;
        sockets::opened(lab, &server, lab.target(&server)?)?.1
    };
    let server = lab.gateway()?;
    let target = lab.target(&server)?.asking(own_topics);
    let (mut fleet, opened) = sockets::opened(lab, &server, target)?;
    let memory = (opened.memory - without.memory) / each(TOPICS);
    report.sample("topic-memory", memory);
    if lab.plan.wants(&["topic-one"]) {
        let audience = |user: &str| {
            let number = user.trim_start_matches("bench");
            format!("{{\"topic\":\"{}\"}}", own_topic(number, 0))
        };
        let cpu = sockets::targeted(lab, &server, &mut fleet, audience)?;
        report.sample("topic-one", cpu);
    }
    Ok(())
}

/// One topic that all sockets listen to.
fn of_all(lab: &Lab, report: &mut Report) -> io::Result<()> {
    let limit = sockets::limit(lab)?;
    let server = lab.gateway()?;
    let target = lab.target(&server)?.asking(|_| query(ALL, ""));
    let (mut fleet, _) = sockets::opened(lab, &server, target)?;
    let cpu = to_all(lab, &server, &mut fleet)?;
    report.sample("topic-all.cpu", cpu);
    report.sample("topic-all", cpu / limit);
    Ok(())
}

fn to_all(lab: &Lab, server: &Server, fleet: &mut Fleet) -> io::Result<f64> {
    let audience = format!("{{\"topic\":\"{ALL}\"}}");
    let mut broadcaster = Broadcaster::Gateway(Publisher::connect(server.control)?, audience);
    Ok(sockets::broadcasts(lab, server, (fleet, &mut broadcaster), 1)?.cpu)
}

fn own_topic(socket: impl std::fmt::Display, topic: usize) -> String {
    format!("bench.order:{socket}-{topic}")
}

fn own_topics(socket: usize) -> String {
    let names: Vec<_> = (0..TOPICS).map(|topic| own_topic(socket, topic)).collect();
    query(&names.join(","), &format!("bench{socket}"))
}

/// Two topics: one of the socket's own, one that all listen to.
pub(crate) fn two_topics(socket: usize) -> String {
    query(
        &format!("{},{ALL}", own_topic(socket, 0)),
        &format!("bench{socket}"),
    )
}

/// The query of a handshake with a token for these topics, which is good for this user, or for anybody.
fn query(names: &str, user: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (issued, expiry) = (now.as_millis(), (now + LIFE).as_secs());
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("gatepost-topic\n{names}\n{user}\n{issued}\n{expiry}");
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("?topic={names}~{issued}~{expiry}~{mac}")
}
