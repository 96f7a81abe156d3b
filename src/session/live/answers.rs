//! What Django said of sessions when it was asked again.
//!
//! Made by `rechecks` and `follow`.

use std::collections::HashMap;

use tokio::time::Instant;

use super::session::LiveSubject;
use crate::session::answer::Answer;
use crate::session::error::AuthError;
use crate::session::question::AuthSubject;

/// What Django said of sessions.
pub(super) struct RecheckAnswers {
    pub(super) answers: Vec<(LiveSubject, Result<Answer, AuthError>)>,
    /// What it said of those that have no connections.
    pub(super) others: Vec<Result<Answer, AuthError>>,
    pub(super) asked: Instant,
}

impl RecheckAnswers {
    /// What it said of sessions without connections.
    pub(super) fn of_nobody(others: Vec<Result<Answer, AuthError>>, asked: Instant) -> Self {
        Self {
            answers: Vec::new(),
            others,
            asked,
        }
    }

    /// Whether it knows none of them.
    pub(super) fn is_end(&self) -> bool {
        let answers = self.answers.iter().map(|(_, answer)| answer);
        let mut answers = answers.chain(&self.others).peekable();
        answers.peek().is_some() && answers.all(is_nobody)
    }
}

/// Whether Django says that nobody is logged in there.
pub(super) fn is_nobody(answer: &Result<Answer, AuthError>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.user.is_none())
}

/// What is asked about sessions, each way of asking once, and for each session the place of its question.
pub(super) fn questions(sessions: &[LiveSubject]) -> (Vec<AuthSubject>, Vec<usize>) {
    let mut questions: Vec<AuthSubject> = Vec::new();
    let mut places = Vec::with_capacity(sessions.len());
    let mut known = HashMap::new();
    for session in sessions {
        let about = &session.about;
        let key = (about.host.as_bytes(), about.cookies.header().as_bytes());
        let place = *known.entry(key).or_insert(questions.len());
        if place == questions.len() {
            questions.push(about.clone());
        }
        places.push(place);
    }
    (questions, places)
}
