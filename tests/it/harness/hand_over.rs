//! Answers that hand a stream over, as the Django package makes them; a second time, so that a mistake in the
//! gateway's own reading does not prove itself right.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::SECRET;
use super::answer::{Answer, Gate};
use super::server::Received;
use super::signature::{hex, session_digest};

/// A stream in the making.
#[derive(Clone)]
pub struct HandOver {
    pub description: Value,
    pub secret: String,
    /// Of which request, where that is not the one that is answered.
    pub request_id: Option<String>,
    pub target: Option<String>,
    pub fields: Vec<(String, String)>,
    gate: Option<Gate>,
}

impl HandOver {
    /// For nobody in particular.
    pub fn of(topics: &[&str]) -> Self {
        Self {
            description: json!({
                "v": 1, "user": null, "groups": [], "expires_at": null, "lease": null, "frames": [],
                "session": null, "topics": topics, "topics_expire": null, "form": "sse", "first": [],
            }),
            secret: SECRET.to_owned(),
            request_id: None,
            target: None,
            fields: Vec::new(),
            gate: None,
        }
    }

    /// Said only when the gate opens.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// For the user of a session cookie.
    #[must_use]
    pub fn for_session(self, user: &str, cookie: &str) -> Self {
        let session = session_digest(cookie);
        self.with("user", json!(user))
            .with("session", json!(session))
    }

    /// Says this.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.description[member] = value;
        self
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The answer, whatever is asked.
    pub fn answer(self) -> Answer {
        Answer::of_request(move |request| self.answer_to(request))
    }

    fn answer_to(&self, request: &Received) -> Answer {
        let body = self.description.to_string();
        let id = self.request_id.clone();
        let id = id.unwrap_or_else(|| request.header("x-request-id").unwrap());
        let target = self.target.clone().unwrap_or_else(|| request.target());
        let hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        let method = request.method();
        let lines = format!("gatepost-stream\n{method}\n{target}\n{id}\n{hash}");
        let mut answer = Answer::ok(body)
            .header("Content-Type", "application/json")
            .header(
                "Cache-Control",
                "max-age=0, no-cache, no-store, must-revalidate, private",
            )
            .header("Content-Encoding", "identity")
            .header(
                "Gatepost-Stream",
                &format!("v1,{}", mac(&self.secret, &lines)),
            );
        for (name, value) in &self.fields {
            answer = answer.header(name, value);
        }
        match &self.gate {
            Some(gate) => answer.after(gate),
            None => answer,
        }
    }
}

fn mac(secret: &str, lines: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, lines.as_bytes()))
}
