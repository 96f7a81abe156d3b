//! What the session-aware edge saves Django: how often it is asked when every socket comes back, how
//! soon a logout closes the other tabs, what checking every session again costs.
//!
//! These are counts of what reached the upstream, so noise of the machine hardly shows.

use std::io::{self, BufReader, Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::certificate::HOST;
use crate::fleet::{Fleet, Target};
use crate::http::{get, metric, read_answer};
use crate::lab::{Lab, Server};
use crate::process::pause;
use crate::report::{Report, median};
use crate::topics::two_topics;
use crate::upstream::{ASKED, LEFT, LOGOUT, PAGE_OF_SESSION, PATH_OF_VIEW, now};

/// Names measured here.
const NAMES: &[&str] = &[
    "storm",
    "storm-single",
    "storm-pages",
    "storm-restart",
    "storm-views",
    "storm-tokens",
    "logout",
    "revalidate",
];
/// Sockets a session has open.
const TABS: usize = 5;
/// How often live sessions are checked again in the run that counts it.
const INTERVAL: Duration = Duration::from_secs(10);
/// What the package offers, at a path whose view says who may listen.
const WITH_VIEW: &str =
    "batch_url = \"/_gatepost/sessions/\"\n\n[[sockets]]\npath = \"/ws/orders/{pk}/\"\nview = true";
/// What the package offers.
const WITH_BATCH: &str = "batch_url = \"/_gatepost/sessions/\"";
const WITHOUT_BATCH: &str = "batch_url = \"\"";

/// All rounds.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(NAMES) {
        return Ok(());
    }
    for round in 1..=lab.plan.rounds {
        eprintln!("storm, round {round} of {}", lab.plan.rounds);
        let mut round = Round { lab, report };
        if lab.plan.wants(&["storm"]) {
            let time = round.after_kill("storm", WITH_BATCH)?;
            round.report.sample("storm.time", time);
        }
        if lab.plan.wants(&["storm-single"]) {
            round.after_kill("storm-single", WITHOUT_BATCH)?;
        }
        if lab.plan.wants(&["storm-pages"]) {
            round.after_pages()?;
        }
        if lab.plan.wants(&["storm-restart"]) {
            round.after_restart()?;
        }
        if lab.plan.wants(&["storm-views"]) {
            round.by_views()?;
        }
        if lab.plan.wants(&["storm-tokens"]) {
            round.with_tokens()?;
        }
        if lab.plan.wants(&["logout"]) {
            round.logouts()?;
        }
        if lab.plan.wants(&["revalidate"]) {
            round.revalidations()?;
        }
    }
    Ok(())
}

struct Round<'a> {
    lab: &'a Lab,
    report: &'a mut Report,
}

impl Round<'_> {
    fn sockets(&self) -> usize {
        self.lab.plan.sockets
    }

    fn sessions(&self) -> usize {
        self.sockets() / TABS
    }

    fn target(&self, server: &Server) -> io::Result<Target> {
        Ok(self.lab.target(server)?.storm(self.sessions()))
    }

    /// Everybody comes at once to a gateway that knows nobody; says how long it took.
    fn after_kill(&mut self, name: &'static str, auth: &str) -> io::Result<f64> {
        let places = Lab::places()?;
        let server = self.lab.gateway_at(places, auth)?;
        let fleet = Fleet::open(self.target(&server)?, self.sockets())?;
        // Dropping a server kills it.
        drop(server);
        drop(fleet);
        let server = self.lab.gateway_at(places, auth)?;
        let (_fleet, time) = self.count(name, &server)?;
        Ok(time)
    }

    /// Everybody comes back to a path of which a view says who may listen, each socket a session of its own.
    fn by_views(&mut self) -> io::Result<()> {
        let server = self.lab.gateway_at(Lab::places()?, WITH_VIEW)?;
        let target = self.lab.target(&server)?.at(PATH_OF_VIEW);
        let target = target.storm(self.sockets());
        self.count_at("storm-views", &server, target).map(drop)
    }

    /// The same, but every session has just been given a page.
    fn after_pages(&mut self) -> io::Result<()> {
        let server = self.lab.gateway_at(Lab::places()?, WITHOUT_BATCH)?;
        let mut browser = Browser::connect(self.lab, server.address)?;
        for session in 0..self.sessions() {
            browser.ask(PAGE_OF_SESSION, session)?;
            browser.answer()?;
        }
        self.count("storm-pages", &server).map(drop)
    }

    /// The same after a restart in order, which tells every client when to come back.
    fn after_restart(&mut self) -> io::Result<()> {
        let places = Lab::places()?;
        let server = self.lab.gateway_at(places, WITH_BATCH)?;
        let mut fleet = Fleet::open(self.target(&server)?, self.sockets())?;
        let process = server.process;
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| process.terminate());
            fleet.wait_for_closes(self.sockets())?;
            ended
                .join()
                .map_err(|_| Error::other("the wait panicked"))?
        })?;
        let server = self.lab.gateway_at(places, WITH_BATCH)?;
        self.count("storm-restart", &server).map(drop)
    }

    /// Everybody comes at once, and brings a token of two topics: as many sessions as in the other
    /// storms, then each socket a session of its own.
    fn with_tokens(&mut self) -> io::Result<()> {
        for (name, sessions) in [
            ("storm-tokens", self.sessions()),
            ("storm-tokens.sessions", self.sockets()),
        ] {
            let server = self.lab.gateway_at(Lab::places()?, WITH_BATCH)?;
            let target = self.lab.target(&server)?.asking(two_topics);
            self.count_at(name, &server, target.storm(sessions))
                .map(drop)?;
        }
        Ok(())
    }

    /// Opens every socket and takes a sample of how often the upstream was asked meanwhile.
    fn count(&mut self, name: &'static str, server: &Server) -> io::Result<(Fleet, f64)> {
        self.count_at(name, server, self.target(server)?)
    }

    fn count_at(
        &mut self,
        name: &'static str,
        server: &Server,
        target: Target,
    ) -> io::Result<(Fleet, f64)> {
        asked(self.lab.upstream)?;
        let start = Instant::now();
        let mut fleet = Fleet::open(target, self.sockets())?;
        // A socket may be accepted before it is judged, so the gateway has to say that all stay.
        while metric(server.control, "gatepost_connections")? < each(self.sockets()) {
            fleet.rest(Duration::from_millis(50))?;
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Error::other("not every socket was let in within 60 s"));
            }
        }
        let time = start.elapsed().as_secs_f64();
        let times = asked(self.lab.upstream)?;
        self.report.sample(name, each(times.len()));
        Ok((fleet, time))
    }

    /// One tab logs out, and its session's sockets are closed.
    fn logouts(&mut self) -> io::Result<()> {
        let server = self.lab.gateway_at(Lab::places()?, WITH_BATCH)?;
        let mut fleet = Fleet::open(self.target(&server)?, self.sockets())?;
        let mut browser = Browser::connect(self.lab, server.address)?;
        let mut times = Vec::new();
        for session in (0..self.sessions()).step_by(self.sessions() / 200) {
            browser.ask(LOGOUT, session)?;
            let closes = fleet.wait_for_closes(TABS)?;
            let seen = (Instant::now(), now());
            let left = browser.answer()?;
            for (when, how) in closes {
                if !how.starts_with("4001 ") {
                    return Err(Error::other(format!("a logout closed with {how}")));
                }
                let at = seen.1 - as_nanos(seen.0 - when);
                times.push(Duration::from_nanos(at.saturating_sub(left)).as_secs_f64() * 1e3);
            }
            pause(Duration::from_millis(2));
        }
        times.sort_by(f64::total_cmp);
        self.report.sample("logout", times[times.len() * 99 / 100]);
        self.report.sample("logout.p50", median(&times));
        Ok(())
    }

    /// Every socket is a session of its own; counts what one interval asks of the upstream.
    fn revalidations(&mut self) -> io::Result<()> {
        let seconds = INTERVAL.as_secs();
        let auth = format!("{WITH_BATCH}\nrevalidate = \"{seconds}s\"");
        let server = self.lab.gateway_at(Lab::places()?, &auth)?;
        let everybody = self.lab.target(&server)?.storm(self.sockets());
        let mut fleet = Fleet::open(everybody, self.sockets())?;
        // Two intervals: by then the pace is that of all the following ones.
        fleet.rest(2 * INTERVAL)?;
        asked(self.lab.upstream)?;
        let start = now();
        fleet.rest(3 * INTERVAL)?;
        let mut times = asked(self.lab.upstream)?;
        let requests = each(times.len()) / 3.0;
        self.report.sample("revalidate", requests);
        times.insert(0, start);
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = Duration::from_nanos(pauses.max().unwrap_or_default());
        let share = longest.as_secs_f64() / INTERVAL.as_secs_f64();
        self.report.sample("revalidate.share", share * 1e2);
        Ok(())
    }
}

/// One browser's connection for pages.
struct Browser {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    port: u16,
}

impl Browser {
    fn connect(lab: &Lab, address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let tls = lab.client()?;
        let name = ServerName::try_from(HOST).map_err(Error::other)?;
        let tls = ClientConnection::new(tls, name).map_err(Error::other)?;
        Ok(Self {
            stream: BufReader::new(StreamOwned::new(tls, stream)),
            port: address.port(),
        })
    }

    fn ask(&mut self, path: &str, session: usize) -> io::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}:{}\r\nCookie: csrftoken=rJ3FeU0X2dMzXmuW9q; \
             sessionid=bench{session}\r\n\r\n",
            self.port
        );
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Reads an answer; says when it left the upstream, where it tells.
    fn answer(&mut self) -> io::Result<u64> {
        let (head, _) = read_answer(&mut self.stream)?;
        let left = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(LEFT)
                .then(|| value.parse().ok())?
        });
        Ok(left.unwrap_or_default())
    }
}

/// When the upstream was asked for sessions since the last time.
fn asked(upstream: SocketAddr) -> io::Result<Vec<u64>> {
    serde_json::from_str(&get(upstream, ASKED)?).map_err(Error::other)
}

fn as_nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A count as a figure; far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn each(count: usize) -> f64 {
    count as f64
}
