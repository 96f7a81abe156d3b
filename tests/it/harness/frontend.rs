//! A scripted frontend dev server: pages, and the WebSocket of hot module replacement.
//!
//! Like Vite it answers only to its own name: a foreign `Host` gets 403, and so does a WebSocket
//! with a foreign `Origin`.

use std::ops::Deref;

use super::answer::Answer;
use super::server::{Received, Server};

/// A scripted dev server.
pub struct Frontend {
    server: Server,
}

impl Deref for Frontend {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Frontend {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let server = Server::start().await;
        let address = server.address();
        let own_hosts = [format!("localhost:{}", address.port()), address.to_string()];
        server.rule(move |request| Some(answer(request, &own_hosts)));
        Self { server }
    }

    /// The WebSocket upgrades that were asked for so far.
    pub fn upgrades(&self) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(is_upgrade);
        requests
    }
}

fn is_upgrade(request: &Received) -> bool {
    !request.all("upgrade").is_empty()
}

fn answer(request: &Received, own_hosts: &[String]) -> Answer {
    let hosts = request.all("host");
    let [host] = &hosts[..] else {
        return Answer::status(400, "not one Host");
    };
    if !own_hosts.contains(host) {
        return Answer::status(403, "Blocked request. This host is not allowed.");
    }
    if !is_upgrade(request) {
        return Answer::html("<!doctype html><title>dev server</title>");
    }
    let own_origin = format!("http://{host}");
    if request.all("origin").iter().any(|o| *o != own_origin) {
        return Answer::status(403, "foreign origin");
    }
    let offered = request.all("sec-websocket-protocol").join(",");
    let hmr = offered.split(',').any(|p| p.trim() == "vite-hmr");
    Answer::websocket_echo(hmr.then_some("vite-hmr"))
}
