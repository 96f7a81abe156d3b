//! The trace that a request is a part of, as `traceparent` has it (W3C Trace Context).
//!
//! Kept of a client, or made by `server`. The surprise: one that is made says "sampled", although nothing is
//! recorded here: OpenTelemetry in Django would record nothing otherwise.

use std::fmt;

use super::hex;
use super::random;

/// The field's length in version 00.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;
/// The flags that have a meaning: sampled, and that the trace's id is random.
const KNOWN_FLAGS: u8 = 3;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    parent: u64,
    flags: u8,
}

/// Names a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceParent {
    /// Reads the field's value; `None`: it is not valid.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (text, rest) = text.split_at_checked(LENGTH)?;
        let version = hexadecimal(&text[..2])?;
        // A later version may say more behind what this one says.
        let ends = rest.is_empty() || version > 0 && rest[0] == b'-';
        let dashes = [2, 35, 52].map(|at| text[at]);
        if !ends || version == 0xff || dashes != *b"---" {
            return None;
        }
        let trace = hexadecimal(&text[3..35])?;
        let parent = u64::try_from(hexadecimal(&text[36..52])?).ok()?;
        let flags = u8::try_from(hexadecimal(&text[53..])?).ok()?;
        let is_named = trace != 0 && parent != 0;
        is_named.then_some(Self {
            trace: TraceId(trace),
            parent,
            flags: flags & KNOWN_FLAGS,
        })
    }

    /// The place of a span of ours.
    pub fn of_span(trace: u128, span: u64, flags: u8) -> Self {
        Self {
            trace: TraceId(trace),
            parent: span,
            flags: flags & KNOWN_FLAGS,
        }
    }

    /// The trace.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// The span that this is the place of.
    pub fn span(&self) -> u64 {
        self.parent
    }

    /// The flags that have a meaning, as the field has them.
    pub fn flags(&self) -> u8 {
        self.flags
    }
}

impl TraceId {
    /// Its number.
    pub fn to_bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceParent {
    /// Digit by digit, since every request is sent on with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; LENGTH];
        hex::write(&mut text[..2], 0);
        hex::write(&mut text[3..35], self.trace.0);
        hex::write(&mut text[36..52], self.parent.into());
        hex::write(&mut text[53..], self.flags.into());
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Only digits in lower case are valid.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Makes traces for requests that are part of none.
#[derive(Debug)]
pub struct TraceSource {
    process: u64,
    seed: u64,
}

impl TraceSource {
    /// A fresh one.
    pub fn random() -> Self {
        Self {
            // Not zero, so that no trace is.
            process: u64::from_le_bytes(random()) | 1,
            seed: u64::from_le_bytes(random()),
        }
    }

    /// The trace of the `sequence`th request. The caller counts.
    pub fn trace(&self, sequence: u64) -> TraceParent {
        // Samplers read the lower half as a random number.
        let random = mixed(self.seed.wrapping_add(sequence));
        TraceParent {
            trace: TraceId(u128::from(self.process) << 64 | u128::from(random)),
            parent: mixed(random) | 1,
            flags: SAMPLED,
        }
    }
}

/// `SplitMix64`: numbers that follow each other become such that look random, each another one.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn kept(text: &str) -> Option<String> {
        TraceParent::parse(text.as_bytes()).map(|parent| parent.to_string())
    }

    #[test]
    fn what_is_valid_is_kept() {
        assert_eq!(kept(VALID).unwrap(), VALID);
        let trace = TraceParent::parse(VALID.as_bytes()).unwrap().trace();
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for later in ["-01", "-01-more"] {
            let later = format!("cc{}{later}", &VALID[2..52]);
            assert_eq!(kept(&later).unwrap(), VALID, "{later}");
        }
        assert_eq!(
            kept(&VALID.replace("-01", "-ff")).unwrap(),
            VALID.replace("-01", "-03")
        );
    }

    #[test]
    fn what_is_not_valid_is_none() {
        let zeros = |from: usize, to: usize| {
            let zeros = "0".repeat(to - from);
            format!("{}{zeros}{}", &VALID[..from], &VALID[to..])
        };
        for wrong in [
            String::new(),
            VALID[..54].to_owned(),
            format!("{VALID}-"),
            format!("{VALID}0"),
            format!("cc{}0", &VALID[2..]),
            VALID.replace("00-4", "ff-4"),
            VALID.replace("4b", "4B"),
            VALID.replace("4b", "+b"),
            VALID.replace('-', "_"),
            zeros(3, 35),
            zeros(36, 52),
        ] {
            assert_eq!(kept(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_made_is_valid_and_another_each_time() {
        let source = TraceSource::random();
        let mut traces = HashSet::new();
        for sequence in 1..=1000 {
            let text = source.trace(sequence).to_string();
            assert_eq!(kept(&text).unwrap(), text);
            assert!(text.ends_with("-01"), "{text}");
            traces.insert(text[3..35].to_owned());
        }

        assert_eq!(traces.len(), 1000);
    }
}
