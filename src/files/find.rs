//! Which file of a folder a path means, if any.
//!
//! Called by `folder`, on a blocking thread. What is served is judged by where it really is, after
//! every symbolic link, so that a link cannot lead out of the folder or to a hidden file in it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::web::encoding::Encoding;

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FoundPath {
    /// A file.
    File(RealFile),
    /// A folder with an index, asked for without its slash.
    FolderWithoutSlash,
    /// Nothing that may be served.
    Nothing,
    /// The folder itself is not there.
    NoRoot,
}

/// A file where it really is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RealFile {
    /// Where it was asked for, links and all.
    pub(super) asked: PathBuf,
    /// Its path without links.
    pub(super) path: PathBuf,
    /// The compressed copies beside it, which may be served for it.
    pub(super) copies: Vec<CompressedCopy>,
}

/// A file that is the same, compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompressedCopy {
    pub(super) encoding: Encoding,
    pub(super) path: PathBuf,
}

/// Looks for a decoded path, relative to `root`; also says where `root` really is.
pub(super) fn find(root: &Path, path: &str) -> (PathBuf, FoundPath) {
    let Ok(real_root) = fs::canonicalize(root) else {
        return (PathBuf::new(), FoundPath::NoRoot);
    };
    let found = if is_plain(path) {
        look(&real_root, root, path).unwrap_or(FoundPath::Nothing)
    } else {
        FoundPath::Nothing
    };
    (real_root, found)
}

fn look(root: &Path, asked_root: &Path, path: &str) -> io::Result<FoundPath> {
    let asked_as_folder = path.is_empty() || path.ends_with('/');
    let asked = asked_root.join(path);
    // By the root of now: all of one answer is of one release.
    let real = fs::canonicalize(root.join(path))?;
    if !is_inside(root, &real) {
        tracing::debug!(path, "a link leads out of the folder");
        return Ok(FoundPath::Nothing);
    }
    let kind = fs::metadata(&real)?;
    match (kind.is_dir(), asked_as_folder) {
        (true, true) => index(root, &real, &asked),
        (true, false) => Ok(match index(root, &real, &asked)? {
            FoundPath::File(_) => FoundPath::FolderWithoutSlash,
            other => other,
        }),
        (false, false) if kind.is_file() => Ok(FoundPath::File(RealFile::new(asked, real))),
        (false, _) => Ok(FoundPath::Nothing),
    }
}

fn index(root: &Path, folder: &Path, asked: &Path) -> io::Result<FoundPath> {
    let real = fs::canonicalize(folder.join("index.html"))?;
    let fit = is_inside(root, &real) && fs::metadata(&real)?.is_file();
    Ok(if fit {
        FoundPath::File(RealFile::new(asked.join("index.html"), real))
    } else {
        FoundPath::Nothing
    })
}

/// A relative path of visible names: nothing that could name a file twice, lead out or be hidden.
fn is_plain(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.is_empty() || (!path.contains('\0') && path.split('/').all(is_visible))
}

fn is_visible(name: &str) -> bool {
    name == ".well-known" || !(name.is_empty() || name.starts_with('.'))
}

fn is_inside(root: &Path, real: &Path) -> bool {
    real.strip_prefix(root).is_ok_and(|inside| {
        inside.components().all(|part| match part {
            Component::Normal(name) => is_visible(&name.to_string_lossy()),
            _ => false,
        })
    })
}

impl RealFile {
    fn new(asked: PathBuf, path: PathBuf) -> Self {
        Self {
            asked,
            copies: Encoding::COMPRESSED
                .into_iter()
                .filter_map(|encoding| copy(&path, encoding))
                .collect(),
            path,
        }
    }

    /// Takes the files beside it for what they are, files of their own.
    pub(super) fn ignore_copies(&mut self) {
        self.copies.clear();
    }
}

/// The copy beside a file, unless it is a link, which might lead anywhere.
fn copy(path: &Path, encoding: Encoding) -> Option<CompressedCopy> {
    let mut name = path.as_os_str().to_owned();
    name.push(match encoding {
        Encoding::Identity => return None,
        Encoding::Zstd => ".zst",
        Encoding::Brotli => ".br",
        Encoding::Gzip => ".gz",
    });
    let path = PathBuf::from(name);
    let is_fit = fs::symlink_metadata(&path).is_ok_and(|kind| kind.is_file());
    is_fit.then_some(CompressedCopy { encoding, path })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "a.js",
            "a.js.br",
            "a.js.zst",
            ".env",
            "with space.txt",
            "sub/index.html",
            ".well-known/x",
            "empty/y.txt",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        symlink("/etc/hostname", root.join("out.txt")).unwrap();
        symlink(".env", root.join("env.txt")).unwrap();
        symlink("a.js", root.join("same.js")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("/etc/hostname", root.join("a.js.gz")).unwrap();
        folder
    }

    fn is_file(found: &FoundPath) -> bool {
        matches!(found, FoundPath::File(_))
    }

    #[test]
    fn files_folders_and_links_inside_are_found() {
        let folder = folder();
        for path in [
            "a.js",
            "with space.txt",
            "sub/",
            "sub/index.html",
            ".well-known/x",
            "same.js",
        ] {
            assert!(is_file(&find(folder.path(), path).1), "{path}");
        }
        assert_eq!(find(folder.path(), "sub").1, FoundPath::FolderWithoutSlash);
    }

    #[test]
    fn hidden_files_and_ways_out_are_not() {
        let folder = folder();
        for path in [
            ".env",
            "env.txt",
            "out.txt",
            "etc/hostname",
            "/etc/hostname",
            "//etc/hostname",
            "a.js/",
            "../x",
            "sub/../a.js",
            "./a.js",
            "sub//index.html",
            "missing",
            "",
            "empty",
            "empty/",
            ".well-known/../.env",
            "a.js\0",
        ] {
            assert_eq!(find(folder.path(), path).1, FoundPath::Nothing, "{path:?}");
        }
        assert_eq!(
            find(Path::new("/nonexistent/folder"), "a").1,
            FoundPath::NoRoot
        );
    }

    #[test]
    fn a_compressed_copy_counts_only_as_a_regular_file() {
        let folder = folder();
        let FoundPath::File(file) = find(folder.path(), "a.js").1 else {
            panic!("a.js is there");
        };
        let copies: Vec<_> = file.copies.iter().map(|copy| copy.encoding).collect();
        assert_eq!(copies, [Encoding::Zstd, Encoding::Brotli]);
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_inside(path in "[a-z./\\\\]{0,12}|(\\.\\./){0,3}(etc/hostname|a\\.js)") {
            let folder = folder();
            if let FoundPath::File(file) = find(folder.path(), &path).1 {
                prop_assert!(file.path.starts_with(fs::canonicalize(folder.path()).unwrap()));
            }
        }
    }
}
