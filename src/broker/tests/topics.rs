//! Frames reach who listens, and nobody else, however subscriptions, revocations and publications interleave.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::hub::{Granter, TopicRevocation};
use crate::ids::TopicName;

const USERS: usize = 3;
const TOPICS: [&str; 3] = ["a", "shop.order:1", "shop.order:2"];

/// What happens, to which user and topic. Moments are in seconds of Django's clock.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        user: usize,
    },
    Leave {
        connection: usize,
    },
    Subscribe {
        connection: usize,
        topic: usize,
        issued: u64,
    },
    Unsubscribe {
        connection: usize,
        topic: usize,
    },
    Revoke {
        topic: usize,
        user: Option<usize>,
        at: u64,
    },
    Publish {
        topic: usize,
    },
}

/// What there should be, written down naively.
#[derive(Default)]
struct Model {
    listening: HashSet<(usize, usize)>,
    lost: HashSet<(usize, usize)>,
    revoked: Vec<(usize, Option<usize>, u64)>,
    users: Vec<usize>,
}

impl Model {
    fn may(&self, connection: usize, topic: usize, issued: u64) -> bool {
        let user = self.users[connection];
        let older = |(of, whose, at): &(usize, Option<usize>, u64)| {
            *of == topic && whose.is_none_or(|whose| whose == user) && issued < at + 2
        };
        !self.lost.contains(&(connection, topic)) && !self.revoked.iter().any(older)
    }

    fn revoke(&mut self, topic: usize, user: Option<usize>, at: u64) {
        self.revoked.push((topic, user, at));
        let users = &self.users;
        let (listening, lost) = (&mut self.listening, &mut self.lost);
        listening.retain(|(connection, of)| {
            let hit = *of == topic && user.is_none_or(|user| users[*connection] == user);
            if hit {
                lost.insert((*connection, *of));
            }
            !hit
        });
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (user, topic) = (0..USERS, 0..TOPICS.len());
    let (connection, moment) = (0..8_usize, 10..40_u64);
    prop_oneof![
        2 => user.clone().prop_map(|user| Step::Connect { user }),
        1 => connection.clone().prop_map(|connection| Step::Leave { connection }),
        6 => (connection.clone(), topic.clone(), moment.clone())
            .prop_map(|(connection, topic, issued)| Step::Subscribe { connection, topic, issued }),
        1 => (connection, topic.clone())
            .prop_map(|(connection, topic)| Step::Unsubscribe { connection, topic }),
        1 => (topic.clone(), proptest::option::of(user), moment)
            .prop_map(|(topic, user, at)| Step::Revoke { topic, user, at }),
        6 => topic.prop_map(|topic| Step::Publish { topic }),
    ]
}

fn name(topic: usize) -> TopicName {
    TopicName::new(TOPICS[topic]).unwrap()
}

/// A moment as the gateway is told it, far ahead so that nothing is forgotten meanwhile.
fn moment(seconds: u64) -> u64 {
    50_000_000_000_000 + 1000 * seconds
}

/// The broker and the model, side by side.
struct World {
    hub: Arc<Hub>,
    broker: Broker,
    connections: Vec<Option<Membership>>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let hub = hub(1000);
        Self {
            broker: Broker::new(Arc::clone(&hub), Duration::from_secs(299)),
            hub,
            connections: Vec::new(),
            model: Model::default(),
        }
    }

    fn connection(&self, connection: usize) -> Option<&Membership> {
        self.connections.get(connection)?.as_ref()
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Connect { user } => {
                let member = join(&self.hub, &user.to_string());
                self.connections.push(Some(member));
                self.model.users.push(user);
            }
            Step::Leave { connection } => {
                if let Some(left) = self.connections.get_mut(connection) {
                    *left = None;
                    let listening = &mut self.model.listening;
                    listening.retain(|(one, _)| *one != connection);
                }
            }
            Step::Subscribe {
                connection,
                topic,
                issued,
            } => self.subscribe(connection, topic, issued)?,
            Step::Unsubscribe { connection, topic } => {
                if let Some(member) = self.connection(connection) {
                    self.hub.unsubscribe(member.member().id, &name(topic));
                    self.model.listening.remove(&(connection, topic));
                }
            }
            Step::Revoke { topic, user, at } => {
                self.broker.revoke_topic(&revocation(topic, user, at));
                self.model.revoke(topic, user, at);
            }
            Step::Publish { topic } => self.publish(topic)?,
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        connection: usize,
        topic: usize,
        issued: u64,
    ) -> Result<(), TestCaseError> {
        let Some(member) = self.connection(connection) else {
            return Ok(());
        };
        let member = member.member();
        let grant = by_token(topic, moment(issued));
        let heard = subscribe(&self.broker, member.id, &[grant]);
        let may = self.model.may(connection, topic, issued);
        prop_assert_eq!(heard.topics.len() == 1, may);
        // What a newer token grants an older one does not take away.
        let still = may || self.model.listening.contains(&(connection, topic));
        prop_assert_eq!(still, member.topics().contains(&name(topic)));
        if may {
            self.model.listening.insert((connection, topic));
        }
        Ok(())
    }

    /// Looks who got the frame.
    fn publish(&self, topic: usize) -> Result<(), TestCaseError> {
        let to = Audience::Topic(name(topic));
        self.broker.publish(&publication(to, "here"), None);
        for (connection, member) in self.connections.iter().enumerate() {
            let Some(member) = member else { continue };
            let got = received(member).contains(&"here".to_owned());
            let expected = self.model.listening.contains(&(connection, topic));
            prop_assert_eq!(got, expected, "connection {}", connection);
        }
        Ok(())
    }
}

fn by_token(topic: usize, issued: u64) -> Grant {
    Grant {
        topic: name(topic),
        by: Granter::Token {
            issued,
            is_public: false,
        },
    }
}

fn revocation(topic: usize, user: Option<usize>, at: u64) -> TopicRevocation {
    TopicRevocation {
        topic: name(topic),
        user: user.map(|user| UserId::new(&user.to_string())),
        at: moment(at),
        max_age: Duration::from_hours(1),
    }
}

proptest! {
    #[test]
    fn no_frame_reaches_a_connection_without_a_valid_grant(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in steps {
            world.play(step)?;
        }
    }
}

/// A publication that begins when the revocation has been answered reaches nobody who lost the topic, also
/// where a subscription crosses them.
#[test]
fn a_subscription_under_way_does_not_slip_past_a_revocation() {
    let hub = hub(100_000);
    let broker = Broker::new(Arc::clone(&hub), Duration::from_secs(299));
    for _ in 0..300 {
        let member = join(&hub, "1");
        let grants = [by_token(0, 0)];
        std::thread::scope(|scope| {
            scope.spawn(|| subscribe(&broker, member.member().id, &grants));
            scope.spawn(|| {
                broker.revoke_topic(&revocation(0, None, 1));
                let receipt = broker.publish(&publication(Audience::Topic(name(0)), "1"), None);
                assert_eq!(receipt.delivery.sockets, 0);
            });
        });
        assert!(!received(&member).contains(&"1".to_owned()));
    }
}
