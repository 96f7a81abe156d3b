//! What connections listen to, asked about again.

use std::time::{Duration, Instant, SystemTime};

use super::scripted::{Stage, about, answer};
use crate::hub::{Grant, Granter, HeardView, Holder, Taken};
use crate::ids::{TopicName, UserId, ViewTarget};
use crate::session::{Answer, GrantedTopics, SessionMember};

const PATH: &str = "/ws/orders/17/";

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A view lets this user listen.
fn granting(user: &str, topics: &[&str]) -> Answer {
    Answer {
        listening: Some(GrantedTopics {
            topics: topics.iter().map(|name| topic(name)).collect(),
            expires: None,
        }),
        ..answer(user)
    }
}

fn listen(stage: &Stage, tab: &SessionMember, name: &str, heard: HeardView) {
    let grant = Grant {
        topic: topic(name),
        by: Granter::View(heard),
    };
    stage.hub.subscribe(tab.member().id, &grant).unwrap();
}

fn by_view(is_own: bool) -> HeardView {
    HeardView {
        view: ViewTarget::new(PATH),
        asked: Instant::now(),
        expires: None,
        is_own,
    }
}

/// What it is told, in order: words, and the code of its close.
fn said(tab: &SessionMember) -> Vec<String> {
    let context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut said = Vec::new();
    while let std::task::Poll::Ready(taken) = tab.member().outbox.poll_take(&context) {
        said.push(match taken {
            Taken::Item(item) => item.text().unwrap().to_string(),
            Taken::Close(reason) => reason.code().to_string(),
        });
    }
    said
}

#[tokio::test(start_paused = true)]
async fn a_session_and_a_path_are_asked_about_once_however_many_tabs_there_are() {
    let stage = Stage::new();
    let tabs = [0; 3].map(|_| stage.tab("a", "1"));
    for tab in &tabs {
        listen(&stage, tab, "news", by_view(false));
    }
    stage.django.view_says("a", PATH, &granting("1", &["news"]));
    stage.lifecycle.recheck_user(&UserId::new("1")).await;
    assert_eq!(stage.django.view_calls(), [1]);
    for tab in &tabs {
        assert_eq!(said(tab), [""; 0]);
        assert_eq!(tab.member().topics(), [topic("news")]);
    }
    let refused = Answer {
        is_refused: true,
        ..Answer::default()
    };
    stage.django.view_says("a", PATH, &refused);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.lifecycle.recheck_user(&UserId::new("1")).await;
    for tab in &tabs {
        assert_eq!(said(tab).len(), 1);
        assert!(tab.member().topics().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_believed_a_moment_later_only() {
    let stage = Stage::new();
    let tab = stage.tab("a", "1");
    listen(&stage, &tab, "news", by_view(true));
    stage.django.view_says("a", PATH, &Answer::default());
    stage.lifecycle.recheck_user(&UserId::new("1")).await;
    assert_eq!(tab.member().topics().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(said(&tab)[1..], ["4001"]);
}

#[tokio::test(start_paused = true)]
async fn while_django_is_away_grants_stay() {
    let stage = Stage::new();
    let tab = stage.tab("a", "1");
    listen(&stage, &tab, "news", by_view(true));
    stage.django.go(true);
    stage.lifecycle.recheck_user(&UserId::new("1")).await;
    assert_eq!(tab.member().topics().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_listens_by_a_token_is_asked_about_where_the_project_says() {
    let stage = Stage::new();
    let (ann, ben) = (stage.tab("a", "1"), stage.tab("b", "2"));
    for tab in [&ann, &ben] {
        for name in ["shop.order:17", "news"] {
            let by = Granter::Token {
                issued: u64::MAX,
                is_public: false,
            };
            let topic = topic(name);
            let grant = Grant { topic, by };
            stage.hub.subscribe(tab.member().id, &grant).unwrap();
        }
    }
    stage.django.may_follow("shop.order:17", &["2"]);
    for user in ["1", "2"] {
        stage.lifecycle.recheck_user(&UserId::new(user)).await;
    }
    assert_eq!(ann.member().topics(), [topic("news")]);
    assert_eq!(ben.member().topics().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_visitors_views_have_their_turn_and_their_ends_too() {
    let stage = Stage::new();
    let nobody = std::sync::Arc::new(crate::identity::Identity::visitor());
    let member =
        crate::hub::Member::new(nobody, "/ws/".into(), std::net::Ipv4Addr::LOCALHOST.into());
    let membership = stage.hub.register(member, Instant::now()).unwrap();
    let id = membership.member().id;
    let _share = stage.lifecycle.visit(id, &std::sync::Arc::new(about("v")));
    let heard = HeardView {
        expires: Some(SystemTime::now()),
        ..by_view(false)
    };
    let grant = |name: &str, heard: &HeardView| Grant {
        topic: topic(name),
        by: Granter::View(heard.clone()),
    };
    stage.hub.subscribe(id, &grant("news", &heard)).unwrap();
    let free = Answer {
        user: None,
        ..granting("", &["news"])
    };
    stage.django.view_says("v", PATH, &free);
    stage.run();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.django.view_calls(), [1]);
    assert_eq!(membership.member().topics().len(), 1);
    let refused = Answer {
        is_refused: true,
        ..Answer::default()
    };
    stage.django.view_says("v", PATH, &refused);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(membership.member().topics().is_empty());
    let views = stage.hub.grants().views(Holder::Connection(id));
    assert!(views.is_empty());
}
