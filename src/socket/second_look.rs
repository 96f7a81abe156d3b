//! Asks whose a handshake is: once, and a second time where Django's first answer says that its session is in
//! another cookie.
//!
//! Called by the handshake. After a start the gateway does not know yet what the session cookie is called.
//! The first handshakes are looked up by the usual name, or the one that was right before the restart; what
//! they came with is kept until it is known whether that was right.

use std::sync::Arc;

use http::{HeaderValue, Uri};

use super::accept::HandshakeError;
use super::outcome::{Outcome, Settled};
use super::parts::Refusal;
use super::pending_handshake::{Decision, PendingHandshake, SecondLook, SettledFuture};
use crate::ids::ViewTarget;
use crate::session::{AuthError, PendingVerdict, Question, Verdict, keep_cookies};

impl SecondLook {
    /// What is kept of a handshake with this field, unless that is too long.
    pub(super) fn of(sent: &HeaderValue, question: &Question) -> Option<Box<Self>> {
        Some(Box::new(Self {
            sent: keep_cookies(sent)?,
            target: question.target.clone(),
            request: question.request,
        }))
    }
}

impl PendingHandshake {
    /// Judges it, or begins to where that takes long.
    pub(super) async fn decide(self, question: Question) -> Result<Decision, HandshakeError> {
        let parts = Arc::clone(&self.parts);
        let judging = parts.authority.judge(question);
        let judging = judging.map_err(HandshakeError::Crowded)?;
        // Boxed: it may outlive this handshake, and hyper keeps this one's place for every request.
        let mut judging: SettledFuture = Box::pin(self.judged(judging));
        match tokio::time::timeout(parts.authority.patience(), &mut judging).await {
            Ok(settled) => Ok(Decision::Now(settled)),
            Err(_) => Ok(Decision::Later(judging)),
        }
    }

    /// Waits for Django's word, and for a second one where the first says that the session was looked for
    /// in another cookie.
    pub(super) async fn judged(mut self, by: PendingVerdict) -> Settled {
        let verdict = by.verdict().await;
        match self.look_again(&verdict) {
            None => self.settle(verdict),
            Some(Err(refusal)) => self.refuse(refusal).into(),
            Some(Ok(question)) => {
                if let Some(known) = self.known() {
                    return self.settle(Ok(known));
                }
                match self.parts.authority.judge(question) {
                    Ok(second) => {
                        let verdict = second.verdict().await;
                        self.settle(verdict)
                    }
                    // Too many wait: it comes back.
                    Err(_) => self.come_back().into(),
                }
            }
        }
    }

    /// What is relied upon without asking.
    pub(super) fn known(&self) -> Option<Verdict> {
        self.parts.authority.known(&self.about, self.asked_view())
    }

    /// What Django is asked about it.
    pub(super) fn question(&self, uri: &Uri) -> Question {
        Question {
            about: self.about.clone(),
            target: Question::target_of(uri),
            request: Some(self.came.name),
            view: self.asked_view().cloned(),
        }
    }

    /// The view that is asked in place of the auth view.
    pub(super) fn asked_view(&self) -> Option<&ViewTarget> {
        self.view.as_ref().map(|view| &view.target)
    }

    /// The question about the right cookie, or why there is none to ask about; nothing where the first
    /// question was the right one, or it cannot be told any more.
    fn look_again(
        &mut self,
        verdict: &Result<Verdict, AuthError>,
    ) -> Option<Result<Question, Refusal>> {
        let again = self.again.take()?;
        if verdict.is_err() || !self.is_renamed() {
            return None;
        }
        let SecondLook {
            sent,
            target,
            request,
        } = *again;
        self.names = self.parts.naming.names();
        let cookies = self
            .parts
            .session(Some(&sent), &self.names, &self.about.host);
        Some(cookies.map(|cookies| {
            self.about.cookies = cookies;
            Question {
                about: self.about.clone(),
                target,
                request,
                view: self.asked_view().cloned(),
            }
        }))
    }

    fn refuse(&self, refusal: Refusal) -> Outcome {
        self.parts.count(refusal.label);
        self.turn_away(refusal.reason)
    }
}
