//! Whether there is a batch view, as far as its answers tell.
//!
//! Kept by `batch_view`. The surprise: one answer proves nothing. Just after an outage, when batches matter most, a
//! page for maintenance, a 404 or a 500 comes by; so only a "no" that stays one for a while is believed for
//! long, and whatever ends an outage has the view tried again.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::net::backoff::ExponentialBackoff;

/// After answers that are none.
const PAUSES: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30),
    jitter: 0.0,
};
/// This many times "no"...
const NOES: u32 = 3;
/// ...over this much time are believed...
const PERSISTS: Duration = Duration::from_secs(10);
/// ...for this long.
const NOT_OFFERED: Duration = Duration::from_mins(5);

/// What is known of the view.
#[derive(Debug, Default)]
pub(in crate::session) struct Offer {
    doubt: Mutex<Option<OfferDoubt>>,
}

/// What came in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Stray {
    /// 404, 405 or 501: there is no such view.
    No,
    /// A page, a refusal, something else than an answer.
    Other,
}

/// What a failure (500) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Failure {
    /// Django is away: so much is to be found out by a single call first.
    Silence,
    /// It is the view's own.
    Own,
}

#[derive(Debug)]
struct OfferDoubt {
    /// Until when it is not asked.
    until: Instant,
    strays: u32,
    /// How many times it said "no" of late, and since when.
    noes: (u32, Instant),
    /// Whether single calls failed since, too.
    outage: bool,
}

impl Offer {
    /// Whether it is worth asking.
    pub(in crate::session) fn is_open(&self, now: Instant) -> bool {
        self.doubt().as_ref().is_none_or(|doubt| doubt.until <= now)
    }

    /// It answered.
    pub(in crate::session) fn answered(&self) {
        self.doubt().take();
    }

    /// A single call went well, or did not.
    pub(in crate::session) fn record_single(&self, went_well: bool) {
        let mut doubt = self.doubt();
        match (&mut *doubt, went_well) {
            (Some(doubt), false) => doubt.outage = true,
            (Some(OfferDoubt { outage: true, .. }), true) => *doubt = None,
            _ => {}
        }
    }

    /// It failed.
    pub(in crate::session) fn failed(&self, now: Instant) -> Failure {
        let mut doubt = self.doubt();
        if doubt.is_none() {
            *doubt = Some(OfferDoubt::new(now));
            return Failure::Silence;
        }
        drop(doubt);
        self.strayed(Stray::Other, now);
        Failure::Own
    }

    /// It gave something else than an answer. True where that has just ceased to be an accident.
    pub(in crate::session) fn strayed(&self, stray: Stray, now: Instant) -> bool {
        let mut doubt = self.doubt();
        let doubt = doubt.get_or_insert_with(|| OfferDoubt::new(now));
        if now < doubt.until {
            // One of several that were under way together.
            return false;
        }
        doubt.strays += 1;
        doubt.noes = match (stray, doubt.noes) {
            (Stray::Other, _) => (0, now),
            (Stray::No, (0, _)) => (1, now),
            (Stray::No, (noes, since)) => (noes + 1, since),
        };
        let (noes, since) = doubt.noes;
        let pause = if noes >= NOES && now - since >= PERSISTS {
            NOT_OFFERED
        } else {
            PAUSES.pause(doubt.strays)
        };
        doubt.until = now + pause;
        doubt.strays == NOES
    }

    fn doubt(&self) -> MutexGuard<'_, Option<OfferDoubt>> {
        self.doubt.lock()
    }
}

impl OfferDoubt {
    fn new(now: Instant) -> Self {
        Self {
            until: now,
            strays: 0,
            noes: (0, now),
            outage: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses after each of these answers, each asked for as soon as that is allowed.
    fn pauses(offer: &Offer, strays: &[Stray]) -> Vec<u64> {
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for stray in strays {
            offer.strayed(*stray, now);
            let until = offer.doubt().as_ref().unwrap().until;
            assert!(!offer.is_open(now) && offer.is_open(until));
            pauses.push((until - now).as_secs());
            now = until;
        }
        pauses
    }

    #[test]
    fn only_a_no_that_persists_is_believed_for_long() {
        let pauses = |strays: &[Stray]| pauses(&Offer::default(), strays);
        assert_eq!(pauses(&[Stray::No; 6]), [1, 2, 4, 8, 300, 300]);
        assert_eq!(pauses(&[Stray::Other; 7]), [1, 2, 4, 8, 16, 30, 30]);
        let mut mixed = [Stray::No; 6];
        mixed[4] = Stray::Other;
        assert_eq!(pauses(&mixed), [1, 2, 4, 8, 16, 30]);
    }

    #[test]
    fn answers_to_calls_that_were_under_way_together_count_once() {
        let (offer, now) = (Offer::default(), Instant::now());
        let told = (0..20).filter(|_| offer.strayed(Stray::No, now)).count();
        assert_eq!((told, offer.doubt().as_ref().unwrap().strays), (0, 1));
    }

    #[test]
    fn an_answer_and_the_end_of_an_outage_have_it_tried_again_at_once() {
        let offer = Offer::default();
        pauses(&offer, &[Stray::No; 6]);
        offer.record_single(true);
        assert!(!offer.is_open(Instant::now()), "nothing has changed");
        offer.record_single(false);
        offer.record_single(true);
        assert!(offer.is_open(Instant::now()));
        offer.strayed(Stray::Other, Instant::now());
        offer.answered();
        assert!(offer.is_open(Instant::now()));
    }

    #[test]
    fn a_failure_is_djangos_until_single_calls_show_that_it_is_the_views_own() {
        let (offer, now) = (Offer::default(), Instant::now());
        assert_eq!(offer.failed(now), Failure::Silence);
        assert!(offer.is_open(now));
        // Django was away, and is back.
        offer.record_single(false);
        offer.record_single(true);
        assert_eq!(offer.failed(now), Failure::Silence);
        // Single calls go well in between.
        offer.record_single(true);
        assert_eq!(offer.failed(now), Failure::Own);
        assert!(!offer.is_open(now));
    }
}
