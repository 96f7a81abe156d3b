//! Files by permission: folders that are given out only where Django says so.
//!
//! Asked by `server` with what Django named. The surprise: no compressed copy takes a file's place
//! here. In a folder of uploads `report.csv.gz` is another file, and may be another user's.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response};

use super::answer::FileRequest;
use super::folder::Folder;
use super::open::OpenFiles;
use super::target::{self, TargetError};
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;

/// Folders whose files only Django may give out.
#[derive(Debug, Default)]
pub struct InternalFolders {
    /// The longest prefix first.
    folders: Vec<InternalFolder>,
}

#[derive(Debug)]
struct InternalFolder {
    prefix: String,
    /// Without `..`, as Django writes paths.
    root: PathBuf,
    folder: Folder,
}

/// A file that was named: which folder, and what in it.
#[derive(Debug)]
pub struct NamedFile<'a> {
    folder: &'a InternalFolder,
    path: String,
}

/// Why what was named is no file of these folders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// There is no such folder at all.
    #[error("no [[files]] of gateway.toml has internal = true")]
    NoFolders,
    /// It cannot be read.
    #[error("{0}; percent-encode it with urllib.parse.quote()")]
    Malformed(String),
    /// It is in none of them.
    #[error("it is in no [[files]] with internal = true: {0}")]
    Outside(String),
}

impl InternalFolders {
    /// Folders by prefix and root, which open files together with those that share `files`.
    pub fn new(
        folders: impl IntoIterator<Item = (String, PathBuf)>,
        files: &Arc<OpenFiles>,
    ) -> Self {
        let folders = folders.into_iter().map(|(prefix, root)| InternalFolder {
            prefix,
            root: without_parents(&root),
            folder: Folder::new(root, None).sharing(files).without_copies(),
        });
        let mut folders: Vec<_> = folders.collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.prefix.len()));
        Self { folders }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// The file of an `X-Accel-Redirect`.
    pub fn by_url(&self, value: &HeaderValue) -> Result<NamedFile<'_>, NamingError> {
        let url = self.read(value, target::url)?;
        let found = self.folders.iter().find_map(|folder| {
            let path = url.strip_prefix(folder.prefix.as_str())?;
            Some(NamedFile::new(folder, path))
        });
        found.ok_or_else(|| self.outside(|folder| folder.prefix.as_str().into()))
    }

    /// The file of an `X-Sendfile`.
    pub async fn by_file(&self, value: &HeaderValue) -> Result<NamedFile<'_>, NamingError> {
        let path = PathBuf::from(self.read(value, target::file)?);
        if let Some(named) = self.inside(&path) {
            return Ok(named);
        }
        // Django may know the folder by where a link leads, or by the link.
        let roots: Vec<_> = self
            .folders
            .iter()
            .map(|folder| folder.root.clone())
            .collect();
        let real = tokio::task::spawn_blocking(move || {
            let real_roots: Vec<_> = roots.iter().map(|root| root.canonicalize().ok()).collect();
            (path.canonicalize().unwrap_or(path), real_roots)
        });
        let outside = || self.outside(|folder| folder.root.to_string_lossy());
        let (real, roots) = real.await.map_err(|_| outside())?;
        let folders = self.folders.iter().zip(roots);
        let mut found = folders.filter_map(|(folder, root)| named_in(folder, &root?, &real));
        found.next().ok_or_else(outside)
    }

    fn read(
        &self,
        value: &HeaderValue,
        decode: fn(&HeaderValue) -> Result<String, TargetError>,
    ) -> Result<String, NamingError> {
        if self.is_empty() {
            return Err(NamingError::NoFolders);
        }
        decode(value).map_err(|error| NamingError::Malformed(error.to_string()))
    }

    /// The innermost folder with the path.
    fn inside(&self, path: &Path) -> Option<NamedFile<'_>> {
        let around = self
            .folders
            .iter()
            .filter(|folder| path.starts_with(&folder.root));
        let folder = around.max_by_key(|folder| folder.root.components().count())?;
        named_in(folder, &folder.root, path)
    }

    fn outside<'a>(&'a self, name: impl Fn(&'a InternalFolder) -> Cow<'a, str>) -> NamingError {
        let names: Vec<_> = self.folders.iter().map(name).collect();
        NamingError::Outside(names.join(", "))
    }
}

impl<'a> NamedFile<'a> {
    fn new(folder: &'a InternalFolder, path: &str) -> Self {
        Self {
            folder,
            path: path.to_owned(),
        }
    }

    /// The answer that the file is to a request of this method and these conditions.
    pub async fn answer(
        self,
        method: Method,
        conditions: HeaderMap,
    ) -> Result<Response<ResponseBody>, Problem> {
        let asked = FileRequest {
            method,
            headers: conditions,
        };
        self.folder.folder.give(&asked, &self.path).await
    }
}

fn named_in<'a>(folder: &'a InternalFolder, root: &Path, path: &Path) -> Option<NamedFile<'a>> {
    let path = path.strip_prefix(root).ok()?;
    Some(NamedFile::new(folder, path.to_str()?))
}

/// The path without `.` and `..`, as far as names tell.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    fn folders(all: &[(&str, &Path)]) -> InternalFolders {
        let all = all
            .iter()
            .map(|(prefix, root)| ((*prefix).to_owned(), root.to_path_buf()));
        InternalFolders::new(all, &Arc::default())
    }

    #[test]
    fn a_url_means_the_folder_with_the_longest_prefix() {
        let folders = folders(&[
            ("/_private/", Path::new("/srv/a")),
            ("/_private/ann/", Path::new("/srv/b")),
        ]);
        let named = folders.by_url(&value("/_private/ann/x.pdf")).unwrap();
        assert_eq!(
            (named.folder.root.as_path(), named.path.as_str()),
            (Path::new("/srv/b"), "x.pdf")
        );
        let named = folders.by_url(&value("/_private/bob/x.pdf")).unwrap();
        assert_eq!(named.path, "bob/x.pdf");
        for outside in ["/static/x", "/_private", "/_privat/x"] {
            let error = folders.by_url(&value(outside)).unwrap_err();
            assert_eq!(
                error,
                NamingError::Outside("/_private/ann/, /_private/".into())
            );
        }
        let error = InternalFolders::default()
            .by_url(&value("/_private/x"))
            .unwrap_err();
        assert_eq!(error, NamingError::NoFolders);
    }

    #[tokio::test]
    async fn a_file_is_found_by_the_folder_s_path_with_or_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("media")).unwrap();
        std::fs::write(root.join("media/a.pdf"), "a").unwrap();
        std::os::unix::fs::symlink("media", root.join("current")).unwrap();
        let folders = folders(&[("/_private/", &root.join("conf/../media"))]);
        for path in ["media/a.pdf", "current/a.pdf"] {
            let path = value(root.join(path).to_str().unwrap());
            assert_eq!(folders.by_file(&path).await.unwrap().path, "a.pdf");
        }
        for outside in ["/etc/passwd", root.join("mediator/a").to_str().unwrap()] {
            let error = folders.by_file(&value(outside)).await.unwrap_err();
            assert!(matches!(error, NamingError::Outside(_)), "{error}");
        }
    }
}
