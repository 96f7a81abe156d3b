//! A scripted Django: a [`Server`] that judges sessions at the auth path.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::answer::Answer;
use super::server::{Received, Server};

/// Where the gateway asks by default.
pub const AUTH_PATH: &str = "/_gatepost/auth/";

/// Where it asks for many sessions at once.
pub const BATCH_PATH: &str = "/_gatepost/sessions/";

/// A scripted Django. Unknown sessions are anonymous; every other path echoes.
pub struct Django {
    server: Server,
    sessions: Arc<Mutex<Vec<(String, Answer)>>>,
}

impl Deref for Django {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Django {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::with(Server::start().await)
    }

    /// Listens on a Unix socket.
    pub async fn on_unix_socket(path: &Path) -> Self {
        Self::with(Server::on_unix_socket(path).await)
    }

    /// Refuses connections until `listen`.
    pub async fn not_running() -> Self {
        Self::with(Server::not_listening().await)
    }

    fn with(server: Server) -> Self {
        let sessions: Arc<Mutex<Vec<(String, Answer)>>> = Arc::default();
        let known = Arc::clone(&sessions);
        server.rule(move |request| {
            if request.path() != AUTH_PATH {
                return None;
            }
            let cookie = request.cookie("sessionid").unwrap_or_default();
            let known = known.lock().unwrap();
            let found = known.iter().rfind(|(session, _)| *session == cookie);
            Some(found.map_or_else(Answer::anonymous, |(_, answer)| answer.clone()))
        });
        Self { server, sessions }
    }

    /// As the package does, it says along with each answer what its session cookie is called, and where
    /// it sets it: `sessionid; Path=/`.
    pub fn calls_its_cookie(&self, cookie: &str) {
        self.always_says("Gatepost-Session-Cookie", cookie);
    }

    /// This session cookie is this user's, who is in no group.
    pub fn signs_in(&self, session: &str, user: &str) {
        self.judges(session, Answer::user(user));
    }

    /// This session cookie is this user's, who is in these groups.
    pub fn signs_in_with_groups(&self, session: &str, user: &str, groups: &[&str]) {
        self.says_of(
            session,
            &json!({"user": user, "groups": groups, "expires_at": null}),
        );
    }

    /// The auth view answers this JSON to this session cookie.
    pub fn says_of(&self, session: &str, answer: &Value) {
        self.judges(session, Answer::json(answer));
    }

    /// The auth view answers so to this session cookie.
    pub fn judges(&self, session: &str, answer: Answer) {
        self.sessions
            .lock()
            .unwrap()
            .push((session.to_owned(), answer));
    }

    /// The auth view answers so to everybody.
    pub fn judges_everybody(&self, answer: Answer) {
        self.answers(AUTH_PATH, answer);
    }

    /// There is a batch view, which says the same as the auth view.
    pub fn judges_batches(&self) {
        let known = Arc::clone(&self.sessions);
        let answer = Answer::of_request(move |request| {
            let asked: Value = serde_json::from_slice(&request.body.bytes).unwrap();
            let asked = asked["sessions"].as_array().unwrap();
            assert!(asked.len() <= 500);
            let known = known.lock().unwrap();
            let said = asked.iter().map(|cookies| {
                let cookies = cookies.as_str().unwrap();
                let session = cookies.rsplit_once("sessionid=").unwrap().1;
                let found = known.iter().rfind(|(known, _)| known == session);
                found.map_or_else(|| json!({"user": null}), |(_, answer)| answer.as_json())
            });
            Answer::json(&json!({"sessions": said.collect::<Vec<_>>()}))
        });
        self.answers(BATCH_PATH, answer);
    }

    /// Every batch that was asked for so far.
    pub fn batch_calls(&self) -> Vec<Received> {
        self.requests_to(BATCH_PATH)
    }

    /// Every auth call so far.
    pub fn auth_calls(&self) -> Vec<Received> {
        self.requests_to(AUTH_PATH)
    }

    /// The one auth call; panics if there was none or more.
    #[track_caller]
    pub fn only_auth_call(&self) -> Received {
        self.only_request_to(AUTH_PATH)
    }
}
