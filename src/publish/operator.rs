//! `POST /v1/maintenance` and `/v1/pause`: what operators order of a running gateway.
//!
//! `api` hands the bodies in, an [`Operator`] does what they say. An order that is refused leaves everything as
//! it is.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::error::to_json;
use super::json::{self, DecodeError};
pub use super::reload_refusal::ReloadRefusal;
use super::text;
use crate::config::Networks;

/// What people are told, in bytes.
const LONGEST_MESSAGE: usize = 500;
/// Networks of one order.
const MOST_NETWORKS: usize = 100;
/// Where an order does not say how long a pause is.
const USUAL_PAUSE: Duration = Duration::from_mins(1);
/// What takes longer is maintenance.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Does what is ordered.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Begins maintenance, or changes it.
    fn begin_maintenance(&self, order: MaintenanceOrder) -> Lasting;
    /// Ends it.
    fn end_maintenance(&self) -> Lasting;
    /// Has requests wait for so long, counted from now.
    fn pause(&self, length: Duration);
    /// Lets them go on.
    fn resume(&self);
    /// Has the configuration read again, and waits until it is in force.
    fn reload(&self) -> BoxFuture<'_, Result<(), ReloadRefusal>>;
}

/// Whether a restart leaves it as it was ordered; if not, why not.
pub type Lasting = Result<(), String>;

/// How maintenance is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceOrder {
    /// What people are told; a sentence of the gateway's own without it.
    #[serde(default)]
    pub message: Option<String>,
    /// Whose requests go on as ever: networks.
    #[serde(default)]
    pub allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaintenanceText {
    on: bool,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseText {
    on: bool,
    #[serde(default, deserialize_with = "text::duration", rename = "for")]
    length: Option<Duration>,
}

/// What a body of `/v1/maintenance` asks for; `None`: its end.
struct MaintenanceCall(Option<MaintenanceOrder>);

/// What a body of `/v1/pause` asks for; `None`: its end.
struct PauseCall(Option<Duration>);

#[derive(Serialize)]
struct Done {
    on: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Does what a body of `/v1/maintenance` says; returns the answer.
pub(super) fn maintenance(operator: &dyn Operator, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (MaintenanceCall(order), _) = json::decode(body)?;
    let on = order.is_some();
    let lasting = match order {
        Some(order) => operator.begin_maintenance(order),
        None => operator.end_maintenance(),
    };
    Ok(to_json(&Done {
        on,
        seconds: None,
        warning: lasting.err(),
    }))
}

/// Does what a body of `/v1/pause` says; returns the answer.
pub(super) fn pause(operator: &dyn Operator, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (PauseCall(length), _) = json::decode(body)?;
    match length {
        Some(length) => operator.pause(length),
        None => operator.resume(),
    }
    Ok(to_json(&Done {
        on: length.is_some(),
        seconds: length.map(|length| length.as_secs()),
        warning: None,
    }))
}

/// Reloads; returns the answer.
pub(super) async fn reload(operator: &dyn Operator) -> Result<Vec<u8>, ReloadRefusal> {
    operator.reload().await?;
    Ok(br#"{"reloaded":true}"#.to_vec())
}

impl<'de> Deserialize<'de> for MaintenanceCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MaintenanceText { on, message, allow } = Deserialize::deserialize(deserializer)?;
        if !on {
            return if message.is_none() && allow.is_empty() {
                Ok(Self(None))
            } else {
                Err(D::Error::custom(
                    "`message` and `allow` go with `\"on\":true`",
                ))
            };
        }
        if message.as_deref().is_some_and(|text| !is_message(text)) {
            return Err(D::Error::custom(format!(
                "`message` is 1 to {LONGEST_MESSAGE} bytes of text in one line"
            )));
        }
        if allow.len() > MOST_NETWORKS {
            let most = format!("`allow` has more than {MOST_NETWORKS} networks");
            return Err(D::Error::custom(most));
        }
        Networks::parse(&allow).map_err(|why| D::Error::custom(format!("`allow`: {why}")))?;
        Ok(Self(Some(MaintenanceOrder { message, allow })))
    }
}

impl<'de> Deserialize<'de> for PauseCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PauseText { on, length } = Deserialize::deserialize(deserializer)?;
        match (on, length) {
            (false, None) => Ok(Self(None)),
            (false, Some(_)) => Err(D::Error::custom("`for` goes with `\"on\":true`")),
            (true, length) => {
                let length = length.unwrap_or(USUAL_PAUSE);
                if length.is_zero() || length > LONGEST_PAUSE {
                    return Err(D::Error::custom(
                        "`for` is more than nothing and at most an hour; what takes longer is maintenance",
                    ));
                }
                Ok(Self(Some(length)))
            }
        }
    }
}

fn is_message(text: &str) -> bool {
    (1..=LONGEST_MESSAGE).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// For tests that order nothing.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct NoOperator;

#[cfg(test)]
impl Operator for NoOperator {
    fn begin_maintenance(&self, _: MaintenanceOrder) -> Lasting {
        Ok(())
    }

    fn end_maintenance(&self) -> Lasting {
        Ok(())
    }

    fn pause(&self, _: Duration) {}

    fn resume(&self) {}

    fn reload(&self) -> BoxFuture<'_, Result<(), ReloadRefusal>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maintenance(text: &str) -> Result<Option<MaintenanceOrder>, DecodeError> {
        json::decode::<MaintenanceCall>(text.as_bytes()).map(|(call, _)| call.0)
    }

    fn pause(text: &str) -> Result<Option<Duration>, DecodeError> {
        json::decode::<PauseCall>(text.as_bytes()).map(|(call, _)| call.0)
    }

    #[test]
    fn maintenance_has_a_message_and_networks_or_ends() {
        let order = maintenance(r#"{"on":true,"message":"Back at 5","allow":["10.0.0.0/8"]}"#);
        let order = order.unwrap().unwrap();
        assert_eq!(order.message.as_deref(), Some("Back at 5"));
        assert_eq!(order.allow, ["10.0.0.0/8"]);
        assert_eq!(
            maintenance(r#"{"on":true}"#),
            Ok(Some(MaintenanceOrder::default()))
        );
        assert_eq!(maintenance(r#"{"on":false}"#), Ok(None));
    }

    #[test]
    fn a_pause_is_a_minute_unless_it_says_otherwise() {
        assert_eq!(pause(r#"{"on":true}"#), Ok(Some(USUAL_PAUSE)));
        let five = Ok(Some(Duration::from_secs(5)));
        assert_eq!(pause(r#"{"on":true,"for":"5s"}"#), five);
        assert_eq!(pause(r#"{"on":true,"for":5}"#), five);
        assert_eq!(pause(r#"{"on":false}"#), Ok(None));
    }

    #[test]
    fn nonsense_is_refused() {
        let long = format!(r#"{{"on":true,"message":"{}"}}"#, "x".repeat(501));
        let many = format!(
            r#"{{"on":true,"allow":[{}"::1"]}}"#,
            r#""::1","#.repeat(100)
        );
        for text in [
            "{}",
            "[]",
            r#"{"on":"yes"}"#,
            r#"{"on":true,"message":""}"#,
            r#"{"on":true,"message":"two\nlines"}"#,
            r#"{"on":true,"allow":["nowhere"]}"#,
            r#"{"on":true,"allow":"10.0.0.0/8"}"#,
            r#"{"on":true,"until":"tomorrow"}"#,
            r#"{"on":false,"message":"x"}"#,
            &long,
            &many,
        ] {
            assert!(maintenance(text).is_err(), "{text}");
        }
        for text in [
            "{}",
            r#"{"on":true,"for":"0s"}"#,
            r#"{"on":true,"for":"61m"}"#,
            r#"{"on":true,"for":"soon"}"#,
            r#"{"on":false,"for":"5s"}"#,
        ] {
            assert!(pause(text).is_err(), "{text}");
        }
    }
}
