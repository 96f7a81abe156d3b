//! Nothing that was published while somebody had no grant reaches them, live or later: views whose answers come late,
//! permissions that change, revocations, sessions that are replaced, and clients that name any position.
//!
//! `PROPTEST_CASES` says how often; some 60 publications a time.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::hub::{Granter, HeardView, Holder, TopicRevocation, ViewNow, ViewSays};
use crate::ids::{SessionDigest, TopicName, ViewTarget};
use crate::secret::Secret;

const USERS: usize = 2;
const TOPICS: usize = 3;
/// Which topics each view is about.
const VIEWS: [&[usize]; 3] = [&[0, 1], &[1, 2], &[2]];

/// What happens, and to what.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        user: usize,
    },
    Leave {
        page: usize,
    },
    /// Django is asked for a page.
    Ask {
        page: usize,
        view: usize,
    },
    /// An answer arrives; the page names a position, as far back as it likes.
    Arrive {
        back: Option<u64>,
    },
    /// A user may listen to a topic no more, or again, and the project says so.
    Permit {
        user: usize,
        topic: usize,
    },
    /// Views are asked again because it is the session's turn.
    Revalidate {
        user: usize,
    },
    Revoke {
        topic: usize,
        user: Option<usize>,
    },
    /// The user gets another session.
    Rotate {
        user: usize,
    },
    Publish {
        topic: usize,
    },
}

/// A session: its user, and how many they had before.
type Session = (usize, u8);

struct Page {
    session: Session,
    membership: Membership,
}

/// What a view said, on its way.
struct Answer {
    page: usize,
    said: Said,
}

/// What a view said.
struct Said {
    heard: HeardView,
    topics: BTreeSet<usize>,
    /// How much had been published when it was asked.
    published: usize,
}

struct World {
    hub: Arc<Hub>,
    broker: Broker,
    pages: Vec<Option<Page>>,
    on_the_way: Vec<Answer>,
    rotations: [u8; USERS],
    identities: HashMap<Session, Arc<Identity>>,
    permitted: [[bool; TOPICS]; USERS],
    /// The grants that hold: of which session by which view to which topic.
    held: BTreeSet<(Session, usize, usize)>,
    /// When each view was asked for what counts.
    asked: HashMap<(Session, usize), Instant>,
    /// Of each publication its topic, and who had a grant then.
    entitled: Vec<(usize, BTreeSet<Session>)>,
}

fn step() -> impl Strategy<Value = Step> {
    let (user, topic, page) = (0..USERS, 0..TOPICS, 0..6_usize);
    prop_oneof![
        2 => user.clone().prop_map(|user| Step::Connect { user }),
        1 => page.clone().prop_map(|page| Step::Leave { page }),
        5 => (page, 0..VIEWS.len()).prop_map(|(page, view)| Step::Ask { page, view }),
        5 => proptest::option::of(0..20_u64).prop_map(|back| Step::Arrive { back }),
        3 => (user.clone(), topic.clone()).prop_map(|(user, topic)| Step::Permit { user, topic }),
        1 => user.clone().prop_map(|user| Step::Revalidate { user }),
        1 => (topic.clone(), proptest::option::of(user.clone()))
            .prop_map(|(topic, user)| Step::Revoke { topic, user }),
        1 => user.prop_map(|user| Step::Rotate { user }),
        12 => topic.prop_map(|topic| Step::Publish { topic }),
    ]
}

fn name(topic: usize) -> TopicName {
    TopicName::new(&format!("shop.order:{topic}")).unwrap()
}

fn view(view: usize) -> ViewTarget {
    ViewTarget::new(&format!("/ws/{view}/"))
}

impl World {
    fn new() -> Self {
        let limits = OutboxLimits {
            frames: 1000,
            bytes: 1 << 20,
        };
        let hub = Arc::new(Hub::new(limits).remembering(Duration::from_mins(10)));
        Self {
            broker: Broker::new(Arc::clone(&hub), Duration::from_secs(299)),
            hub,
            pages: Vec::new(),
            on_the_way: Vec::new(),
            rotations: [0; USERS],
            identities: HashMap::new(),
            permitted: [[true; TOPICS]; USERS],
            held: BTreeSet::new(),
            asked: HashMap::new(),
            entitled: Vec::new(),
        }
    }

    fn identity(&mut self, session: Session) -> Arc<Identity> {
        let identity = self.identities.entry(session).or_insert_with(|| {
            let secret = Secret::new(vec![1; 32]);
            let cookie = format!("{session:?}");
            Arc::new(Identity {
                user: UserId::new(&session.0.to_string()),
                groups: [].into(),
                sessions: [SessionDigest::of(&secret, cookie.as_bytes())].into(),
                expires_at: None,
            })
        });
        Arc::clone(identity)
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Connect { user } => self.connect(user),
            Step::Leave { page } => {
                if let Some(left) = self.pages.get_mut(page) {
                    *left = None;
                    // A connection's questions end with it.
                    self.on_the_way.retain(|answer| answer.page != page);
                }
            }
            Step::Ask { page, view } => self.ask(page, view),
            Step::Arrive { back } => self.arrive(back),
            Step::Permit { user, topic } => {
                let permitted = &mut self.permitted[user][topic];
                *permitted = !*permitted;
                self.recheck(user);
            }
            Step::Revalidate { user } => self.ask_again(user),
            Step::Revoke { topic, user } => self.revoke(topic, user),
            Step::Rotate { user } => self.rotations[user] += 1,
            Step::Publish { topic } => {
                let holders = self.held.iter().filter(|(_, _, of)| *of == topic);
                let holders = holders.map(|held| held.0).collect();
                self.entitled.push((topic, holders));
                let number = self.entitled.len().to_string();
                let to = Audience::Topic(name(topic));
                self.broker.publish(&publication(to, &number), None);
            }
        }
        self.check()
    }

    fn connect(&mut self, user: usize) {
        let session = (user, self.rotations[user]);
        let identity = self.identity(session);
        let member = Member::new(identity, "/ws/".into(), Ipv4Addr::LOCALHOST.into());
        let membership = self.hub.register(member, Instant::now()).unwrap();
        let free = self.pages.iter().position(Option::is_none);
        let page = Some(Page {
            session,
            membership,
        });
        match free {
            Some(free) => self.pages[free] = page,
            None if self.pages.len() < 6 => self.pages.push(page),
            None => {}
        }
    }

    /// What a view says of a user just now.
    fn said(&self, user: usize, of: usize) -> Said {
        let topics = VIEWS[of].iter().copied();
        let topics = topics.filter(|topic| self.permitted[user][*topic]);
        Said {
            heard: HeardView {
                view: view(of),
                asked: Instant::now(),
                expires: None,
                is_own: false,
            },
            topics: topics.collect(),
            published: self.entitled.len(),
        }
    }

    fn ask(&mut self, page: usize, of: usize) {
        let Some(Some(asks)) = self.pages.get(page) else {
            return;
        };
        let said = self.said(asks.session.0, of);
        self.on_the_way.push(Answer { page, said });
    }

    fn arrive(&mut self, back: Option<u64>) {
        if self.on_the_way.is_empty() {
            return;
        }
        let Answer { page, said } = self.on_the_way.remove(0);
        let Some(Some(page)) = self.pages.get(page) else {
            return;
        };
        let (session, id) = (page.session, page.membership.member().id);
        let identity = self.identity(session);
        self.hear(session, &said);
        // What came since has it asked once more, as `TopicDesk::settle` does.
        if self.hub.revoked(&identity, said.heard.asked).is_some() {
            return;
        }
        let grants = said.topics.iter().map(|topic| Grant {
            topic: name(*topic),
            by: Granter::View(said.heard.clone()),
        });
        let here = self.broker.position();
        let since = back.map_or(Since::Unsaid, |back| {
            let sequence = here.sequence.saturating_sub(back);
            Since::Position(Some(Position { sequence, ..here }))
        });
        let grants: Vec<_> = grants.collect();
        let subscribing = Subscribing {
            since,
            grants: &grants,
        };
        self.broker.subscribe(id, subscribing, |_| None);
    }

    /// A view's answer is known, as `Leases` tells the hub.
    fn hear(&mut self, session: Session, said: &Said) {
        let (identity, heard, topics) = (self.identity(session), &said.heard, &said.topics);
        let names: Vec<_> = topics.iter().map(|topic| name(*topic)).collect();
        let says = if names.is_empty() {
            ViewSays::Nothing(&crate::close::CloseReason::NotAllowed)
        } else {
            ViewSays::Topics(&names, None)
        };
        let now = ViewNow {
            view: &heard.view,
            asked: heard.asked,
            says,
        };
        let digest = identity.sessions.first().copied();
        let who = Some(&*identity).filter(|_| !names.is_empty());
        self.hub.grants().hear(digest, who, &now);
        self.count(session, said);
    }

    /// What an answer means for who may hear what, written down naively.
    fn count(&mut self, session: Session, said: &Said) {
        let (identity, asked) = (self.identity(session), said.heard.asked);
        let of = (0..VIEWS.len()).find(|of| view(*of) == said.heard.view);
        let of = of.unwrap();
        let last = self.asked.entry((session, of)).or_insert(asked);
        if self.hub.revoked(&identity, asked).is_some() || *last > asked {
            return;
        }
        *last = asked;
        self.held.retain(|held| (held.0, held.1) != (session, of));
        for topic in &said.topics {
            let names = [name(*topic)];
            if self.hub.revoked_since(&names, &identity.user, asked) {
                continue;
            }
            self.held.insert((session, of, *topic));
            // It was so when the view was asked.
            let since = &mut self.entitled[said.published..];
            for (_, holders) in since.iter_mut().filter(|(to, _)| to == topic) {
                holders.insert(session);
            }
        }
    }

    fn recheck(&mut self, user: usize) {
        let audience = Audience::User(UserId::new(&user.to_string()));
        self.hub.outdate(&audience, Instant::now());
        self.held.retain(|((of, _), _, _)| *of != user);
        self.ask_again(user);
    }

    /// What each session of a user listens to by views is asked about once more.
    fn ask_again(&mut self, user: usize) {
        let pages = self.pages.iter().flatten();
        let sessions = pages.map(|page| page.session);
        let sessions: BTreeSet<_> = sessions.filter(|session| session.0 == user).collect();
        for session in sessions {
            let identity = self.identity(session);
            let holder = Holder::Session(&identity);
            for of in 0..VIEWS.len() {
                if !self.hub.grants().views(holder).contains(&view(of)) {
                    continue;
                }
                let said = self.said(user, of);
                self.hear(session, &said);
                let names: Vec<_> = said.topics.iter().map(|topic| name(*topic)).collect();
                let now = ViewNow {
                    view: &said.heard.view,
                    asked: said.heard.asked,
                    says: ViewSays::Topics(&names, None),
                };
                self.hub.grants().settle_view(holder, &now);
            }
        }
    }

    fn revoke(&mut self, topic: usize, user: Option<usize>) {
        self.broker.revoke_topic(&TopicRevocation {
            topic: name(topic),
            user: user.map(|user| UserId::new(&user.to_string())),
            at: crate::unix_time::milliseconds(crate::unix_time::now()),
            max_age: Duration::from_hours(1),
        });
        self.held
            .retain(|((whose, _), _, of)| *of != topic || user.is_some_and(|user| user != *whose));
    }

    /// Looks at all that anybody got.
    fn check(&self) -> Result<(), TestCaseError> {
        for page in self.pages.iter().flatten() {
            let outbox = &page.membership.member().outbox;
            while let Some(item) = outbox.take_within(usize::MAX) {
                let Some(position) = item.position() else {
                    continue;
                };
                let place = usize::try_from(position.sequence - 1).unwrap();
                let entitled = self.entitled[place].1.contains(&page.session);
                prop_assert!(entitled, "{} reached {:?}", position.sequence, page.session);
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_from_before_or_between_grants_reaches_a_connection(
        steps in proptest::collection::vec(step(), 1..300)
    ) {
        let mut world = World::new();
        for step in steps {
            world.play(step)?;
        }
    }
}
