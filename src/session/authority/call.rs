//! One call's way: to Django, into leases, and to the handshakes that wait.
//!
//! A task of its own, spawned by `scheduler`. Whatever becomes of the task, its turn comes free and its
//! questions end, because both are dropped with it.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, header};

use crate::session::ask::auth_view::{Answered, AuthCall};
use crate::session::ask::batch::{AskedTogether, BatchItem, BatchKind, Frames, Together};
use crate::session::ask::batch_view::Batched;
use crate::session::authority::scheduler::{CallPermit, Finished};
use crate::session::authority::single_flight::{Judgement, SingleFlight};
use crate::session::change::Scope;
use crate::session::error::AuthError;
use crate::session::lease::views::ViewWord;

impl CallPermit {
    /// Asks these questions, at least one.
    pub(in crate::session) async fn carry_out(self, flights: Vec<Arc<SingleFlight>>) {
        match <[_; 1]>::try_from(flights) {
            Ok([flight]) => self.ask(flight).await,
            Err(flights) => self.ask_together(flights).await,
        }
    }

    async fn ask(self, flight: Arc<SingleFlight>) {
        let began = Instant::now();
        let scheduler = self.scheduler();
        let Some(answered) = self.answer_of(&flight).await else {
            return;
        };
        if let Err(error @ AuthError::Unreachable { .. }) = &answered
            && !(flight.question.view.is_some() && error.is_failure())
        {
            return scheduler.put_off(vec![flight], began, error);
        }
        scheduler.state().backoff.answered(Instant::now());
        let judgement = answered.map(|Answered { answer, headers }| {
            let cookies = headers.get_all(header::SET_COOKIE);
            let judgement = Judgement {
                answer,
                set_cookies: cookies.iter().cloned().collect(),
                asked: began,
                target: flight.question.target.clone(),
            };
            if !self.gives_another(&flight, &judgement, &headers) {
                self.grant(&flight, &judgement);
            }
            Arc::new(judgement)
        });
        scheduler.land(vec![Finished {
            flight,
            result: judgement,
        }]);
    }

    /// What Django answers; `None` where nobody waits for it any more.
    async fn answer_of(&self, flight: &Arc<SingleFlight>) -> Option<Result<Answered, AuthError>> {
        let question = &flight.question;
        let call = AuthCall {
            about: &question.about,
            handshake: Some(&question.target),
            request: question.request,
            trace: question.request.map(|request| request.trace),
            view: question.view.as_ref(),
        };
        let client = self.scheduler().client();
        let mut answered = std::pin::pin!(client.ask(call));
        loop {
            tokio::select! {
                answered = &mut answered => return Some(answered),
                () = flight.abandoned() => if self.scheduler().give_up(flight) {
                    return None;
                }
            }
        }
    }

    async fn ask_together(self, flights: Vec<Arc<SingleFlight>>) {
        let began = Instant::now();
        let scheduler = self.scheduler();
        let asked = flights.iter().map(|flight| AskedTogether {
            about: &flight.question.about,
            view: flight.question.view.as_ref(),
            trace: flight.question.request.map(|request| request.trace),
        });
        let is_view = flights.first().is_some_and(|flight| flight.is_of_view());
        let question = Together {
            asked: asked.collect(),
            kind: BatchKind::of_views(is_view),
            frames: Frames::Wanted,
        };
        let batched = scheduler.client().ask_together(&question).await;
        match batched {
            Ok(Batched::Answers(answers)) => {
                scheduler.state().backoff.answered(Instant::now());
                self.hand_out(flights, answers, began);
            }
            Ok(Batched::NotOffered) => {
                scheduler.state().backoff.answered(Instant::now());
                scheduler.ask_alone(flights);
            }
            Err(error) => scheduler.put_off(flights, began, &error),
        }
    }

    fn hand_out(&self, flights: Vec<Arc<SingleFlight>>, items: Vec<BatchItem>, began: Instant) {
        let mut landed = Vec::with_capacity(flights.len());
        let (mut left_out, mut later) = (Vec::new(), Vec::new());
        for (flight, item) in flights.into_iter().zip(items) {
            let answer = match item {
                BatchItem::Answer(answer) => answer,
                BatchItem::Later => {
                    later.push(flight);
                    continue;
                }
                BatchItem::Alone => {
                    left_out.push(flight);
                    continue;
                }
            };
            let judgement = Judgement {
                answer,
                set_cookies: Vec::new(),
                asked: began,
                target: flight.question.target.clone(),
            };
            self.grant(&flight, &judgement);
            landed.push(Finished {
                flight,
                result: Ok(Arc::new(judgement)),
            });
        }
        if landed.is_empty() {
            // Or the same might be asked for ever.
            left_out.append(&mut later);
        }
        self.scheduler().ask_alone(left_out);
        self.scheduler().ask_next(later);
        self.scheduler().land(landed);
    }

    /// Whether the browser may get another session with an answer. That it gets none says no more than
    /// the answer itself, and an anonymous session stays anonymous whatever replaces it.
    fn gives_another(
        &self,
        flight: &SingleFlight,
        judgement: &Judgement,
        headers: &HeaderMap,
    ) -> bool {
        let about = &flight.question.about;
        let scope = Scope {
            host: &about.host,
            path: &flight.question.target,
            cookies: Some(about.cookies.header()),
        };
        let names = self.scheduler().client().naming().names();
        judgement.answer.user.is_some() && names.may_replace(headers, scope)
    }

    /// Relies upon the answer.
    fn grant(&self, flight: &SingleFlight, judgement: &Judgement) {
        let about = &flight.question.about;
        let leases = &self.scheduler().leases;
        let Judgement { answer, asked, .. } = judgement;
        let Some(view) = &flight.question.view else {
            return leases.grant(about.session(), answer, *asked);
        };
        let asked = *asked;
        leases.grant_view(
            flight.key,
            about.session(),
            ViewWord {
                view,
                answer,
                asked,
            },
        );
        if answer.user.is_some() {
            // What it says of the session is as good as the auth view's word.
            leases.confirm(about.session(), &answer.of_session(), asked);
        }
    }
}
