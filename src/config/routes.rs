//! `[[files]]` and `[[upstreams]]`, and the one list of paths that are taken.
//!
//! `/` always has an owner, the frontend or else Django, so no other route can claim it.

use std::path::PathBuf;

use super::document::Document;
use super::error::Location;
use super::kind::PREFIX;
use super::section::{Placed, Section};
use super::server::ServerConfig;
use super::upstream::{UpstreamAddress, read_upstreams};

/// `[[files]]`: a folder served by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderConfig {
    /// The path prefix, with slashes at both ends.
    pub path: String,
    /// The folder.
    pub root: PathBuf,
    /// Who gets its files.
    pub access: FolderAccess,
}

/// Who gets a folder's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderAccess {
    /// Everybody who asks.
    Public,
    /// Those whose request Django answers with the file's name.
    Internal,
}

/// `[[upstreams]]`: a further server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRoute {
    /// The path prefix, with slashes at both ends.
    pub path: String,
    /// Where it listens.
    pub upstream: Vec<UpstreamAddress>,
}

/// The paths that are taken, and by which section.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<(String, &'static str, Option<usize>)>);

impl Claims {
    /// Takes a path for `owner`, unless it is taken.
    pub(super) fn claim(
        &mut self,
        document: &mut Document<'_>,
        owner: &'static str,
        path: &Placed<String>,
    ) {
        let taken = self.0.iter().find(|(taken, _, _)| *taken == path.value);
        if let Some((_, by, line)) = taken {
            let line = line
                .map(|line| format!(" in line {line}"))
                .unwrap_or_default();
            let message = format!(
                "{owner}: the path \"{}\" is already taken by {by}{line}",
                path.value
            );
            document.findings.refuse(path.place.clone(), message, None);
        } else {
            self.0.push((path.value.clone(), owner, path.place.line()));
        }
    }

    /// Takes `/` for what answers all other paths.
    pub(super) fn claim_rest(&mut self, owner: &'static str) {
        self.0.push(("/".to_owned(), owner, None));
    }

    /// Whether the path is taken.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|(taken, _, _)| taken == path)
    }
}

impl FolderConfig {
    /// Reads every entry.
    pub(super) fn read_all(document: &mut Document<'_>, claims: &mut Claims) -> Vec<Self> {
        let mut folders = Vec::new();
        for entry in document.entries("files") {
            let mut section = document.entry(entry);
            let path = required(&mut section, "path", |section| {
                section.value("path", &PREFIX)
            });
            let place = section.place("path");
            let folder = Self::read_folder(&mut section);
            if let Some(path) = path {
                folders.extend(folder.map(|(root, access)| Placed {
                    value: Self {
                        path: path.clone(),
                        root: root.value,
                        access,
                    },
                    place: root.place,
                }));
                claims.claim(document, "[[files]]", &Placed { value: path, place });
            }
        }
        refuse_public_around_internal(document, &folders);
        folders.into_iter().map(|folder| folder.value).collect()
    }

    fn read_folder(section: &mut Section<'_, '_>) -> Option<(Placed<PathBuf>, FolderAccess)> {
        let (access, hint) = match section.flag("internal") {
            Some(true) => (FolderAccess::Internal, "make it: uploads go there"),
            _ => (
                FolderAccess::Public,
                "run `manage.py collectstatic` or build it first",
            ),
        };
        let root = required(section, "root", |section| section.path("root"))?;
        check_folder(section, &root, hint);
        let place = section.place("root");
        Some((Placed { value: root, place }, access))
    }
}

/// What Django guards must not lie in a folder that anybody may read.
fn refuse_public_around_internal(document: &mut Document<'_>, folders: &[Placed<FolderConfig>]) {
    let real = |folder: &FolderConfig| {
        let root = folder.root.canonicalize();
        root.unwrap_or_else(|_| folder.root.clone())
    };
    let is = |folder: &&Placed<FolderConfig>, access| folder.value.access == access;
    for internal in folders.iter().filter(|one| is(one, FolderAccess::Internal)) {
        let root = real(&internal.value);
        let mut public = folders.iter().filter(|one| is(one, FolderAccess::Public));
        if let Some(public) = public.find(|public| root.starts_with(real(&public.value))) {
            let message = format!(
                "files.root: anybody may read this folder at \"{}\", whose root has it inside",
                public.value.path
            );
            let hint = "move what Django guards out of it";
            document
                .findings
                .refuse(internal.place.clone(), message, Some(hint));
        }
    }
}

impl UpstreamRoute {
    /// Reads every entry.
    pub(super) fn read_all(
        document: &mut Document<'_>,
        claims: &mut Claims,
        server: &ServerConfig,
    ) -> Vec<Self> {
        let mut routes = Vec::new();
        for entry in document.entries("upstreams") {
            let mut section = document.entry(entry);
            let path = required(&mut section, "path", |section| {
                section.value("path", &PREFIX)
            });
            let place: Location = section.place("path");
            let upstream = required(&mut section, "upstream", read_upstreams);
            server.refuse_itself(&mut section, upstream.as_deref().unwrap_or_default());
            if let Some(path) = path {
                routes.extend(upstream.map(|upstream| Self {
                    path: path.clone(),
                    upstream,
                }));
                claims.claim(document, "[[upstreams]]", &Placed { value: path, place });
            }
        }
        routes
    }
}

/// Reads a key that has no default, and notes its absence.
pub(super) fn required<'d, 'a, T>(
    section: &mut Section<'d, 'a>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'d, 'a>) -> Option<T>,
) -> Option<T> {
    let value = read(section);
    if value.is_none() && !section.has(key) {
        section.refuse(key, "is missing", None);
    }
    value
}

/// Notes that `root` names no folder.
pub(super) fn check_folder(section: &mut Section<'_, '_>, root: &std::path::Path, hint: &str) {
    if !root.is_dir() {
        section.refuse(
            "root",
            &format!("there is no folder {}", root.display()),
            Some(hint),
        );
    }
}
