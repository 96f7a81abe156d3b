//! How what waits for a connection is written to its client.
//!
//! Chosen by the handshake, used by the connection. A plain client gets what Django wrote, byte for byte; a client of
//! `gatepost.v1` gets objects, each of which is written by the first connection that sends it, for all others.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::envelope;
use super::topics::{Greeting, OwnParameters};
use crate::hub::{Item, ItemForm, Said};
use crate::ids::ConnectionId;
use crate::publication::{Content, Position};
use crate::words::Word;

/// The one subprotocol that is spoken here.
pub(super) const SUBPROTOCOL: &str = "gatepost.v1";

/// What a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Frames and texts as Django wrote them, and words of the gateway's own beside them.
    Plain {
        /// Whether it is told first who it is, and where it begins.
        welcome: bool,
    },
    /// `gatepost.v1`: objects that say where they are in the history.
    Envelopes,
}

impl Dialect {
    /// What a handshake asks for.
    pub(super) fn of(headers: &HeaderMap, own: &OwnParameters) -> Self {
        let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut offers = offers.iter().filter_map(|line| line.to_str().ok());
        let is_offered = |line: &str| line.split(',').any(|offer| offer.trim() == SUBPROTOCOL);
        if offers.any(is_offered) {
            Self::Envelopes
        } else {
            Self::Plain {
                welcome: own.welcome,
            }
        }
    }

    /// The subprotocol that is selected.
    pub(super) fn selected(self) -> Option<HeaderValue> {
        (self == Self::Envelopes).then(|| HeaderValue::from_static(SUBPROTOCOL))
    }

    /// The messages that a connection begins with.
    pub(super) fn begin(self, connection: ConnectionId, greeting: &Greeting) -> Vec<Utf8Bytes> {
        let (position, recovered) = (greeting.recovery.position, greeting.recovery.recovered);
        let welcome = |recovered| Word::welcome(connection, position, recovered).text();
        let mut first = Vec::new();
        match self {
            Self::Plain { welcome: wanted } => {
                if wanted {
                    first.push(welcome(None).plain());
                }
                if !recovered {
                    first.push(Word::resync().text().plain());
                }
            }
            Self::Envelopes => first.push(welcome(Some(recovered)).control().into()),
        }
        let items = greeting.items.iter();
        first.extend(items.filter_map(|item| self.write_first(item, position)));
        first
    }

    /// The message that an item is; none where this client needs not hear of it.
    pub(super) fn write(self, item: &Item) -> Option<Utf8Bytes> {
        match self {
            Self::Plain { .. } => item.text(),
            Self::Envelopes => {
                let is_empty = matches!(item.said(), Said::Content(Content::Nothing));
                let written = |item: &Item| envelope::write(item, None).unwrap_or_default().into();
                (!is_empty).then(|| item.in_form(ItemForm::Envelope, written))
            }
        }
    }

    /// The message that an item is which one client alone gets, before all others.
    fn write_first(self, item: &Arc<Item>, at: Position) -> Option<Utf8Bytes> {
        match self {
            Self::Plain { .. } => item.text(),
            Self::Envelopes => envelope::write(item, Some(at)).map(Into::into),
        }
    }

    /// What a client is told to which nothing was sent for a while, where it is told something.
    pub(super) fn quiet(self, at: Position) -> Option<Utf8Bytes> {
        (self == Self::Envelopes).then(|| Word::position(at).text().control().into())
    }

    /// When its client is to hear of it again, as a part of `delivery.ping` that is followed by a fifth at random: a
    /// position is told at least once in that time.
    pub(super) fn pause(self) -> f64 {
        match self {
            Self::Plain { .. } => 0.9,
            Self::Envelopes => 0.7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subprotocol_is_chosen_where_it_is_offered() {
        let dialect = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = HeaderValue::from_static(line);
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, line);
            }
            Dialect::of(&headers, &OwnParameters::default())
        };
        for lines in [
            &["gatepost.v1"][..],
            &["chat, gatepost.v1"],
            &["a", "b,gatepost.v1 ,c"],
        ] {
            assert_eq!(dialect(lines), Dialect::Envelopes, "{lines:?}");
        }
        for lines in [
            &[][..],
            &["gatepost.v2"],
            &["Gatepost.v1"],
            &["gatepost.v10"],
        ] {
            assert_eq!(dialect(lines).selected(), None, "{lines:?}");
        }
    }
}
