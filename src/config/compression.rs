//! `[compression]`: which answers of servers behind the gateway are compressed on their way.

use super::document::Document;
use super::kind::ValueKind;

/// Where even a page of this size is not to be compressed, "off" is meant.
const LARGEST_MIN_SIZE: usize = 1 << 20;

/// `[compression]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionConfig {
    /// Which answers.
    pub dynamic: DynamicCompression,
    /// Answers that are known to have fewer bytes are left alone.
    pub min_size: u64,
}

/// Whose answers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DynamicCompression {
    /// Nobody's.
    Off,
    /// Those that anybody may get: the length of one tells no secret.
    Public,
    /// All of them.
    All,
}

const DYNAMIC: ValueKind<DynamicCompression> = ValueKind {
    expected: "\"public\", \"all\" or \"off\"",
    parse: |text| match text {
        "public" => Ok(DynamicCompression::Public),
        "all" => Ok(DynamicCompression::All),
        "off" => Ok(DynamicCompression::Off),
        "on" | "true" => Err(Some(
            "\"public\" leaves pages of logged-in people alone".into(),
        )),
        _ => Err(None),
    },
};

impl Default for CompressionConfig {
    fn default() -> Self {
        Self {
            dynamic: DynamicCompression::Public,
            min_size: 1 << 10,
        }
    }
}

impl CompressionConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let mut section = document.section("compression");
        let min_size = section.size("min_size", 1..=LARGEST_MIN_SIZE);
        Self {
            dynamic: section
                .value("dynamic", &DYNAMIC)
                .unwrap_or(default.dynamic),
            min_size: min_size.map_or(default.min_size, |size| size as u64),
        }
    }
}
