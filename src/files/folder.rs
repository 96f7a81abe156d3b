//! One served folder: static files, or a built frontend whose unknown paths get its first page.
//!
//! Called by `server` for folder routes. A path is looked up on a blocking thread, and a second
//! later at the earliest once more; in between an answer needs no other thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};

use super::answer::FileRequest;
use super::asset::Asset;
use super::fallback::is_for_page;
use super::find::{FoundPath, find};
use super::open::{Closed, OpenFiles};
use super::recent::{Loaded, Recent, Resolution};
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;

/// A folder that is served.
#[derive(Clone, Debug)]
pub struct Folder {
    root: Arc<PathBuf>,
    fallback: Option<String>,
    copies: Copies,
    recent: Arc<Recent>,
    files: Arc<OpenFiles>,
}

/// What a compressed file beside another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    /// The same, for clients that take it so.
    Served,
    /// A file of its own.
    Ignored,
}

impl Folder {
    /// Serves `root`; `fallback` (relative to it) answers pages that are no files. The folder need
    /// not be there yet.
    pub fn new(root: PathBuf, fallback: Option<String>) -> Self {
        Self {
            root: Arc::new(root),
            fallback,
            copies: Copies::Served,
            recent: Arc::new(Recent::new()),
            files: Arc::default(),
        }
    }

    /// Opens no more files at once than all folders with these `files` may together.
    #[must_use]
    pub fn sharing(mut self, files: &Arc<OpenFiles>) -> Self {
        self.files = Arc::clone(files);
        self
    }

    /// Takes no compressed file for a copy of another.
    #[must_use]
    pub(super) fn without_copies(mut self) -> Self {
        self.copies = Copies::Ignored;
        self
    }

    /// Answers with the file of this path, relative to the folder, and with nothing else.
    pub(super) async fn give(
        &self,
        asked: &FileRequest,
        path: &str,
    ) -> Result<Response<ResponseBody>, Problem> {
        let is_folder = path.is_empty() || path.ends_with('/');
        match self.meaning(path).await {
            Resolution::File(asset) if !is_folder => self.answer(asked, path, &asset).await,
            Resolution::Unreadable(why) => Err(unreadable(&self.root.join(path), &why)),
            meaning => Err(self.missing(&meaning)),
        }
    }

    /// Answers an admitted request for `path`, decoded and relative to the folder's prefix.
    pub async fn serve<B>(
        &self,
        request: Request<B>,
        path: &str,
    ) -> Result<Response<ResponseBody>, Problem> {
        let method = request.method();
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed(method, "GET, HEAD"));
        }
        let (parts, _body) = request.into_parts();
        let asked = FileRequest {
            method: parts.method,
            headers: parts.headers,
        };
        match self.meaning(path).await {
            Resolution::File(asset) => self.answer(&asked, path, &asset).await,
            Resolution::FolderWithoutSlash => Ok(to_folder(&parts.uri)),
            Resolution::Unreadable(why) => Err(unreadable(&self.root.join(path), &why)),
            meaning => match self.fall_back(path, &asked.headers).await {
                Some((name, page)) => self.answer(&asked, name, &page).await,
                None => Err(self.missing(&meaning)),
            },
        }
    }

    async fn meaning(&self, path: &str) -> Resolution {
        self.recent.meaning(path, || self.load(path)).await
    }

    async fn load(&self, path: &str) -> Loaded {
        let (root, path, copies) = (self.root.clone(), path.to_owned(), self.copies);
        let search = tokio::task::spawn_blocking(move || load(&root, &path, copies));
        search.await.unwrap_or_else(|failed| Loaded {
            meaning: Resolution::Unreadable(failed.to_string().into()),
            root: PathBuf::new(),
        })
    }

    async fn answer(
        &self,
        asked: &FileRequest,
        path: &str,
        asset: &Asset,
    ) -> Result<Response<ResponseBody>, Problem> {
        let refused = match asked.answer(asset, &self.files).await {
            Ok(response) => return Ok(response),
            Err(refused) => refused,
        };
        self.recent.forget(path);
        Err(match refused {
            Closed::TooMany => too_many(),
            Closed::Gone => self.missing(&Resolution::Nothing),
            Closed::Failed(error) => unreadable(&asset.asked, &error.to_string()),
        })
    }

    /// The page for a path that only the frontend's own router knows.
    async fn fall_back(&self, path: &str, headers: &HeaderMap) -> Option<(&str, Arc<Asset>)> {
        let fallback = self.fallback.as_deref()?;
        if !is_for_page(path, headers) {
            return None;
        }
        match self.meaning(fallback).await {
            Resolution::File(page) => Some((fallback, page)),
            _ => None,
        }
    }

    fn missing(&self, meaning: &Resolution) -> Problem {
        let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such file.");
        let root = self.root.display();
        match meaning {
            Resolution::NoRoot => problem.with_hint(format!(
                "The folder {root} does not exist. A frontend's build or `python manage.py collectstatic` makes it, or an upload."
            )),
            _ => problem.with_hint(format!("Nothing in {root} has this name.")),
        }
    }
}

/// Looks a path up and reads what is there.
fn load(root: &Path, path: &str, copies: Copies) -> Loaded {
    let (real_root, found) = find(root, path);
    let meaning = match found {
        FoundPath::File(mut file) => {
            if copies == Copies::Ignored {
                file.ignore_copies();
            }
            let asked = file.asked.clone();
            match Asset::load(file) {
                Ok(asset) => Resolution::File(Arc::new(asset)),
                // It has just been removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Resolution::Nothing,
                Err(error) => {
                    tracing::warn!(path = %asked.display(), %error, "cannot read a file");
                    Resolution::Unreadable(error.to_string().into())
                }
            }
        }
        FoundPath::FolderWithoutSlash => Resolution::FolderWithoutSlash,
        FoundPath::Nothing => Resolution::Nothing,
        FoundPath::NoRoot => Resolution::NoRoot,
    };
    Loaded {
        meaning,
        root: real_root,
    }
}

fn unreadable(path: &Path, why: &str) -> Problem {
    let detail = "The file cannot be read.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "file_unreadable", detail)
        .with_hint(format!("{}: {why}.", path.display()))
}

fn too_many() -> Problem {
    let detail = "Too many files are being sent just now.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "files_busy", detail)
        .retry_after(1)
        .with_hint("Raise the limit of open files (ulimit -n).")
}

/// Sends the browser to the same path with a slash, so that the page's relative links work.
fn to_folder(uri: &Uri) -> Response<ResponseBody> {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests;
