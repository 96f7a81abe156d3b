//! One answer of Django's outbox view: from JSON text to items.
//!
//! Used by the puller. An item that makes no sense is an item all the same, refused when its turn
//! comes; only without its number would the whole page be worthless.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use super::cursor::{Cursor, Name};

/// What Django handed out.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    epoch: Name,
    /// Where the gateway is when it has taken the items.
    next: u64,
    uid: Name,
    /// In the order of their numbers.
    #[serde(borrow)]
    pub(super) items: Vec<OutboxItem<'a>>,
    /// Whether there is more to be had at once.
    #[serde(default)]
    pub(super) more: bool,
    /// Why the items after the gateway's cursor cannot be had: it goes on at `next`.
    #[serde(default)]
    pub(super) reset: Option<Name>,
}

/// A call that Django stored.
#[derive(Debug, Deserialize)]
pub(super) struct OutboxItem<'a> {
    pub(super) seq: u64,
    pub(super) uid: Name,
    /// When it was stored, in unix milliseconds.
    #[serde(default)]
    pub(super) at: u64,
    #[serde(borrow, default)]
    publication: Option<&'a RawValue>,
    #[serde(borrow, default)]
    revocation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    recheck: Option<&'a RawValue>,
    /// Why there is nothing to be done.
    #[serde(default)]
    skipped: Option<Name>,
}

/// What an item asks for, in the form of the API's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    Publication(&'a str),
    Revocation(&'a str),
    Recheck(&'a str),
    /// Expired before it was sent.
    Skipped(&'a str),
    /// A kind that this gateway does not know.
    Unknown,
}

impl<'a> Page<'a> {
    /// Decodes an answer.
    pub(super) fn decode(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Where the gateway is when it has taken the items.
    pub(super) fn end(&self) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            sequence: self.next,
            uid: self.uid.clone(),
        }
    }

    /// Where the gateway is when it has taken an item of this page.
    pub(super) fn after(&self, item: &OutboxItem<'_>) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            sequence: item.seq,
            uid: item.uid.clone(),
        }
    }
}

impl<'a> OutboxItem<'a> {
    pub(super) fn stored(&'a self) -> Stored<'a> {
        if let Some(publication) = self.publication {
            Stored::Publication(publication.get())
        } else if let Some(revocation) = self.revocation {
            Stored::Revocation(revocation.get())
        } else if let Some(recheck) = self.recheck {
            Stored::Recheck(recheck.get())
        } else if let Some(why) = &self.skipped {
            Stored::Skipped(why.as_str())
        } else {
            Stored::Unknown
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::new(text).ok_or_else(|| D::Error::custom("a name has other characters"))
    }
}

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::{OutboxItem, Page, Stored};
    use crate::publish::fuzzing::decode;

    /// An answer of Django's outbox view.
    pub fn page(text: &[u8]) {
        let Ok(page) = Page::decode(text) else {
            return;
        };
        for item in &page.items {
            let _ = page.after(item);
            match OutboxItem::stored(item) {
                Stored::Publication(text) | Stored::Revocation(text) | Stored::Recheck(text) => {
                    decode(text.as_bytes());
                }
                Stored::Skipped(_) | Stored::Unknown => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_passed_on_as_it_stands() {
        let text = br#"{"v":1,"epoch":"e","next":4,"uid":"d","more":true,"items":[
            {"seq":3,"uid":"c","at":5,"publication":{"to":{"user":"1"},"frame":{"n": 1.0}}},
            {"seq":4,"uid":"d","skipped":"expired"},{"seq":5,"uid":"e","telegram":1}]}"#;
        let page = Page::decode(text).unwrap();
        let stored: Vec<_> = page.items.iter().map(OutboxItem::stored).collect();
        assert_eq!(
            stored,
            [
                Stored::Publication(r#"{"to":{"user":"1"},"frame":{"n": 1.0}}"#),
                Stored::Skipped("expired"),
                Stored::Unknown
            ]
        );
        assert_eq!((page.end().sequence, page.more), (4, true));
        assert_eq!(page.after(&page.items[0]).uid.as_str(), "c");
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"epoch":"a b","next":1,"uid":"","items":[]}"#,
            r#"{"epoch":"a","next":-1,"uid":"","items":[]}"#,
            r#"{"epoch":"a","next":1,"uid":"","items":[{"uid":"a"}]}"#,
        ] {
            assert!(Page::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
