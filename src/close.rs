//! The one table of reasons for which the gateway closes a WebSocket.
//!
//! Every close frame the gateway starts is a [`CloseReason`]; `docs/protocol.md` documents the same
//! table. 4001 is the only code that means "go and log in", so a fault at Django is never 4001.

use std::borrow::Cow;

/// The longest reason that fits a close frame, in bytes (RFC 6455 section 5.5: 125 less the code).
pub const LONGEST_REASON: usize = 123;

/// Whether a client should come back after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Come back, with back-off.
    Later,
    /// Stay away until a person has done something.
    Never,
}

/// Why the gateway closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The handshake carried no session, or Django says that nobody is logged in.
    NotLoggedIn,
    /// The session was good and has ended: logout, expiry, deactivation. The text says which.
    SessionEnded(Cow<'static, str>),
    /// The gateway is going away; this client should wait `delay_ms` before it comes back.
    GoingAway {
        /// Milliseconds to wait, chosen so that clients do not return together.
        delay_ms: u32,
    },
    /// The client broke a rule; the text says which.
    Policy(&'static str),
    /// The client broke RFC 6455.
    ProtocolError,
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// A message was larger than `limits.message_size`.
    MessageTooBig,
    /// Gateway or Django are misconfigured; the text is a short diagnosis.
    Misconfigured(Cow<'static, str>),
    /// What Django said of the session was overtaken while the client was on its way.
    SessionChanged,
    /// Somebody else logged in with the same browser; the page may come back as them.
    AnotherUser,
    /// Django cannot be reached just now.
    DjangoUnreachable,
    /// Django is reached and fails just now; the text is a short diagnosis.
    DjangoFails(Box<str>),
    /// The client read too slowly and its outbox overflowed.
    TooSlow,
    /// The session may not listen here.
    NotAllowed,
    /// The last of a stream was published.
    StreamEnded,
    /// What Django handed over is to be asked for once more: it may be another answer by now.
    AskAgain,
    /// What a caller of `/v1/revoke` asked for.
    Revoked {
        /// A close code that RFC 6455 lets an application use.
        code: u16,
        /// Shown to the page's JavaScript.
        text: Box<str>,
    },
}

impl CloseReason {
    /// The code of the close frame.
    pub fn code(&self) -> u16 {
        match self {
            Self::NotLoggedIn | Self::SessionEnded(_) => 4001,
            Self::NotAllowed => 4003,
            Self::StreamEnded => 1000,
            Self::GoingAway { .. } => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidUtf8 => 1007,
            Self::Policy(_) => 1008,
            Self::MessageTooBig => 1009,
            Self::Misconfigured(_) => 1011,
            Self::SessionChanged
            | Self::AnotherUser
            | Self::DjangoUnreachable
            | Self::DjangoFails(_)
            | Self::AskAgain
            | Self::TooSlow => 1013,
            Self::Revoked { code, .. } => *code,
        }
    }

    /// The reason of the close frame, at most [`LONGEST_REASON`] bytes.
    pub fn text(&self) -> Cow<'_, str> {
        let text = match self {
            Self::NotLoggedIn => "not logged in".into(),
            Self::SessionEnded(text) | Self::Misconfigured(text) => Cow::Borrowed(text.as_ref()),
            Self::GoingAway { delay_ms } => delay_ms.to_string().into(),
            Self::ProtocolError => "protocol error".into(),
            Self::InvalidUtf8 => "text is not UTF-8".into(),
            Self::Policy(text) => (*text).into(),
            Self::MessageTooBig => "message too big".into(),
            Self::SessionChanged => "the session has just changed, come back".into(),
            Self::AnotherUser => "another user logged in".into(),
            Self::DjangoUnreachable => "Django cannot be reached, try again later".into(),
            Self::TooSlow => "too slow".into(),
            Self::NotAllowed => "not allowed".into(),
            Self::StreamEnded => "end".into(),
            Self::AskAgain => "ask again".into(),
            Self::DjangoFails(text) | Self::Revoked { text, .. } => Cow::Borrowed(text.as_ref()),
        };
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
            Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
        }
    }

    /// What a well-behaved client does next.
    pub fn reconnect(&self) -> Reconnect {
        match self.code() {
            1001 | 1013 => Reconnect::Later,
            _ => Reconnect::Never,
        }
    }
}

/// The longest prefix of whole characters that fits a close frame.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_REASON)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let reason = CloseReason::Misconfigured("é".repeat(100).into());
        assert_eq!(reason.text().len(), 122);
    }

    #[test]
    fn the_documented_table_says_the_same() {
        let document = include_str!("../docs/protocol.md");
        let (_, table) = document.split_once("### Close codes").unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
        let documented: Vec<(u16, Reconnect)> = rows
            .filter_map(|row| {
                let cells: Vec<_> = row.split('|').map(str::trim).collect();
                // The last row has no code of its own: the caller of `/v1/revoke` chooses it.
                let code = cells[1].parse().ok()?;
                let reconnect = match cells[4].split([',', ':']).next() {
                    Some("yes") => Reconnect::Later,
                    Some("no") => Reconnect::Never,
                    other => panic!("{code}: {other:?} is neither yes nor no"),
                };
                Some((code, reconnect))
            })
            .collect();
        let mut known: Vec<_> = every_reason()
            .iter()
            .map(|reason| (reason.code(), reason.reconnect()))
            .collect();
        known.sort_by_key(|(code, _)| *code);
        known.dedup();
        assert_eq!(documented, known);
    }

    /// One of each but `Revoked`, whose code is the caller's. The match makes a new reason be listed.
    fn every_reason() -> Vec<CloseReason> {
        use CloseReason as Reason;
        let all = vec![
            Reason::NotLoggedIn,
            Reason::SessionEnded("logged out".into()),
            Reason::GoingAway { delay_ms: 1 },
            Reason::Policy("binary messages are not allowed here"),
            Reason::ProtocolError,
            Reason::InvalidUtf8,
            Reason::MessageTooBig,
            Reason::Misconfigured("x".into()),
            Reason::SessionChanged,
            Reason::AnotherUser,
            Reason::DjangoUnreachable,
            Reason::DjangoFails("x".into()),
            Reason::TooSlow,
            Reason::NotAllowed,
            Reason::StreamEnded,
            Reason::AskAgain,
        ];
        all.iter().for_each(assert_listed);
        all
    }

    fn assert_listed(reason: &CloseReason) {
        use CloseReason as Reason;
        match reason {
            Reason::NotLoggedIn
            | Reason::SessionEnded(_)
            | Reason::GoingAway { .. }
            | Reason::Policy(_)
            | Reason::ProtocolError
            | Reason::InvalidUtf8
            | Reason::MessageTooBig
            | Reason::Misconfigured(_)
            | Reason::SessionChanged
            | Reason::AnotherUser
            | Reason::DjangoUnreachable
            | Reason::DjangoFails(_)
            | Reason::TooSlow
            | Reason::NotAllowed
            | Reason::StreamEnded
            | Reason::AskAgain => {}
            Reason::Revoked { .. } => panic!("its code is the caller's"),
        }
    }

    #[test]
    fn only_a_missing_login_is_4001() {
        assert_eq!(CloseReason::NotLoggedIn.code(), 4001);
        assert_eq!(CloseReason::DjangoUnreachable.code(), 1013);
        assert_eq!(CloseReason::DjangoUnreachable.reconnect(), Reconnect::Later);
        assert_eq!(
            CloseReason::Misconfigured("x".into()).reconnect(),
            Reconnect::Never
        );
    }
}
