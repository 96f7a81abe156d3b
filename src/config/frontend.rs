//! `[frontend]`: what answers everything that no other route does.

use std::path::{Component, Path, PathBuf};

use super::document::Document;
use super::kind::ValueKind;
use super::routes::{Claims, check_folder};
use super::server::ServerConfig;
use super::upstream::{UpstreamAddress, read_upstreams};

/// `[frontend]`: what answers everything that no other route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontendConfig {
    /// A server: in dev a dev server, in production an ordinary upstream.
    Upstream(Vec<UpstreamAddress>),
    /// A built folder.
    Build {
        /// The folder.
        root: PathBuf,
        /// The file, relative to `root`, that answers unknown paths.
        fallback: String,
    },
}

const FALLBACK: ValueKind<String> = ValueKind {
    expected: "a file below frontend.root such as \"index.html\"",
    parse: |text| {
        let inside = Path::new(text)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if inside && !text.is_empty() {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    },
};

impl FrontendConfig {
    /// The fallback where none is set.
    pub const FALLBACK: &str = "index.html";

    /// Reads the section; one without keys counts as absent.
    pub(super) fn read(
        document: &mut Document<'_>,
        claims: &mut Claims,
        server: &ServerConfig,
    ) -> Option<Self> {
        let mut section = document.section("frontend");
        let upstream = if section.has("upstream") {
            read_upstreams(&mut section)
        } else {
            None
        };
        server.refuse_itself(&mut section, upstream.as_deref().unwrap_or_default());
        let root = section.path("root");
        let fallback = section.optional("fallback", &FALLBACK);
        if upstream.is_some() && root.is_some() {
            let hint = "keep `upstream` for a server, or `root` for a build";
            section.refuse("root", "is set, and frontend.upstream too", Some(hint));
        }
        if fallback.is_some() && root.is_none() {
            section.refuse("fallback", "is set, but frontend.root is not", None);
        }
        if let Some(root) = &root {
            check_folder(
                &mut section,
                root,
                "build the frontend first, with `npm run build` for instance",
            );
        }
        let frontend = upstream.map(Self::Upstream).or_else(|| {
            let fallback = fallback.unwrap_or_else(|| Self::FALLBACK.to_owned());
            root.map(|root| Self::Build { root, fallback })
        });
        if frontend.is_some() {
            claims.claim_rest("[frontend]");
        }
        frontend
    }
}
