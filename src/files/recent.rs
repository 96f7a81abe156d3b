//! The files that were asked for in the last second, so that a busy one is looked up and read once.
//!
//! Asked by `folder` for every request. Bounded in number and bytes. Nothing is kept that is not
//! there, so that a new file is seen at once; and a file is trusted without a look only where the
//! system has none that never waits.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::asset::Asset;
use super::disk::{self, Look};

/// After this time everything is looked up again: links, copies, content.
const VALID: Duration = Duration::from_secs(1);
/// Paths that are kept.
const MOST_PATHS: usize = 4096;
/// Bytes that are kept.
const MOST_BYTES: usize = 32 << 20;

/// What a path means.
#[derive(Clone, Debug)]
pub(super) enum Resolution {
    /// A file.
    File(Arc<Asset>),
    /// A folder with an index, asked for without its slash.
    FolderWithoutSlash,
    /// Nothing that may be served.
    Nothing,
    /// The folder itself is not there.
    NoRoot,
    /// A file that cannot be read, and why.
    Unreadable(Arc<str>),
}

/// What was looked up, and where the folder really was then.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) meaning: Resolution,
    pub(super) root: PathBuf,
}

/// What was asked for just now.
#[derive(Debug)]
pub(super) struct Recent {
    inner: Mutex<RecentInner>,
}

#[derive(Debug)]
struct RecentInner {
    slots: HashMap<Box<str>, Arc<Slot>>,
    bytes: usize,
    swept: Instant,
    root: PathBuf,
}

/// One path. Several requests for it at once wait for one look.
#[derive(Debug)]
struct Slot {
    born: Instant,
    loaded: OnceCell<Loaded>,
}

impl Recent {
    pub(super) fn new() -> Self {
        let inner = RecentInner {
            slots: HashMap::new(),
            bytes: 0,
            swept: Instant::now(),
            root: PathBuf::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// What `path` means: as it was found a moment ago where that is still so, else as `load` finds it.
    pub(super) async fn meaning<F>(&self, path: &str, load: impl FnOnce() -> F) -> Resolution
    where
        F: Future<Output = Loaded>,
    {
        let now = Instant::now();
        if let Some(meaning) = self.known(path, now) {
            return meaning;
        }
        let slot = self.slot(path, now);
        let mut first = false;
        let loaded = slot.loaded.get_or_init(|| {
            first = true;
            load()
        });
        let meaning = loaded.await.meaning.clone();
        if first {
            self.settle(path, &slot);
        }
        meaning
    }

    /// Forgets a path whose file turned out to be gone.
    pub(super) fn forget(&self, path: &str) {
        self.lock().remove(path);
    }

    fn known(&self, path: &str, now: Instant) -> Option<Resolution> {
        let slot = self.lock().fresh(path, now)?;
        let meaning = &slot.loaded.get()?.meaning;
        let Resolution::File(asset) = meaning else {
            return None;
        };
        // Not under the lock: it is a system call.
        let same = match disk::look(&asset.asked) {
            Look::At(identity) => identity == asset.plain.identity,
            Look::Nothing => false,
            Look::Unable => true,
        };
        if same {
            return Some(meaning.clone());
        }
        self.lock().replace(path, &slot);
        None
    }

    /// The slot in which the path is looked up now, by this request or by another.
    fn slot(&self, path: &str, now: Instant) -> Arc<Slot> {
        let mut inner = self.lock();
        if let Some(slot) = inner.fresh(path, now) {
            return slot;
        }
        inner.make_room(now);
        inner.remove(path);
        let slot = Arc::new(Slot {
            born: now,
            loaded: OnceCell::new(),
        });
        inner.slots.insert(path.into(), Arc::clone(&slot));
        slot
    }

    fn settle(&self, path: &str, slot: &Arc<Slot>) {
        let Some(loaded) = slot.loaded.get() else {
            return;
        };
        let mut inner = self.lock();
        if !matches!(loaded.meaning, Resolution::File(_)) {
            inner.replace(path, slot);
            return;
        }
        // A new release: none of its files shall meet one of the last.
        if inner.root != loaded.root {
            inner.root.clone_from(&loaded.root);
            inner.slots.retain(|_, other| Arc::ptr_eq(other, slot));
            inner.bytes = 0;
        }
        if inner
            .slots
            .get(path)
            .is_some_and(|kept| Arc::ptr_eq(kept, slot))
        {
            inner.bytes += slot.weight();
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecentInner> {
        self.inner.lock()
    }
}

impl RecentInner {
    fn fresh(&self, path: &str, now: Instant) -> Option<Arc<Slot>> {
        let slot = self.slots.get(path)?;
        (now.duration_since(slot.born) < VALID).then(|| Arc::clone(slot))
    }

    /// Removes `slot`, unless another has taken its place.
    fn replace(&mut self, path: &str, slot: &Arc<Slot>) {
        if self
            .slots
            .get(path)
            .is_some_and(|kept| Arc::ptr_eq(kept, slot))
        {
            self.remove(path);
        }
    }

    fn remove(&mut self, path: &str) {
        if let Some(slot) = self.slots.remove(path) {
            self.bytes = self.bytes.saturating_sub(slot.weight());
        }
    }

    /// Drops what is out of date; everything where that is not enough: what is busy is back at once.
    fn make_room(&mut self, now: Instant) {
        let full = |inner: &Self| inner.bytes > MOST_BYTES || inner.slots.len() >= MOST_PATHS;
        if now.duration_since(self.swept) >= VALID || full(self) {
            self.swept = now;
            self.slots
                .retain(|_, slot| now.duration_since(slot.born) < VALID);
            self.bytes = self.slots.values().map(|slot| slot.weight()).sum();
        }
        if full(self) {
            self.slots.clear();
            self.bytes = 0;
        }
    }
}

impl Slot {
    /// Nothing until it is loaded.
    fn weight(&self) -> usize {
        match self.loaded.get().map(|loaded| &loaded.meaning) {
            Some(Resolution::File(asset)) => asset.weight(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;
    use crate::files::find::{FoundPath, find};

    struct Bed {
        folder: tempfile::TempDir,
        recent: Recent,
        loads: Cell<usize>,
    }

    impl Bed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a.js"), "a").unwrap();
            Self {
                folder,
                recent: Recent::new(),
                loads: Cell::new(0),
            }
        }

        /// Loads `a.js` under whatever name, as of a folder that is at `root`.
        async fn ask(&self, path: &str, root: &str) -> Resolution {
            let load = || async {
                self.loads.set(self.loads.get() + 1);
                tokio::task::yield_now().await;
                let meaning = match find(self.folder.path(), "a.js").1 {
                    FoundPath::File(file) => Resolution::File(Arc::new(Asset::load(file).unwrap())),
                    _ => Resolution::Nothing,
                };
                Loaded {
                    meaning,
                    root: root.into(),
                }
            };
            self.recent.meaning(path, load).await
        }

        fn stored(&self) -> (usize, usize) {
            let inner = self.recent.lock();
            (inner.slots.len(), inner.bytes)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_file_is_looked_up_once_a_second_and_once_for_a_crowd() {
        let bed = Bed::new();
        let crowd = (0..20).map(|_| bed.ask("a.js", "/1"));
        futures_util::future::join_all(crowd).await;
        bed.ask("a.js", "/1").await;
        assert_eq!(bed.loads.get(), 1);
        tokio::time::advance(VALID).await;
        bed.ask("a.js", "/1").await;
        assert_eq!(bed.loads.get(), 2);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_look_to_the_next() {
        let bed = Bed::new();
        let given_up = futures_util::poll!(Box::pin(bed.ask("a.js", "/1")));
        assert!(given_up.is_pending());
        assert!(matches!(bed.ask("a.js", "/1").await, Resolution::File(_)));
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_remembered() {
        let bed = Bed::new();
        fs::rename(bed.folder.path().join("a.js"), bed.folder.path().join("b")).unwrap();
        assert!(matches!(bed.ask("a.js", "/1").await, Resolution::Nothing));
        assert_eq!(bed.stored(), (0, 0));
        fs::rename(bed.folder.path().join("b"), bed.folder.path().join("a.js")).unwrap();
        assert!(matches!(bed.ask("a.js", "/1").await, Resolution::File(_)));
    }

    #[tokio::test]
    async fn no_more_is_kept_than_allowed() {
        let bed = Bed::new();
        fs::write(bed.folder.path().join("a.js"), vec![b'a'; 200 << 10]).unwrap();
        for number in 0..MOST_BYTES / (200 << 10) + 20 {
            bed.ask(&number.to_string(), "/1").await;
            assert!(
                bed.stored().1 <= MOST_BYTES + (1 << 20),
                "{:?}",
                bed.stored()
            );
        }
        fs::write(bed.folder.path().join("a.js"), "a").unwrap();
        for number in 0..MOST_PATHS + 20 {
            bed.ask(&number.to_string(), "/1").await;
            assert!(bed.stored().0 <= MOST_PATHS);
        }
    }

    #[tokio::test]
    async fn a_new_release_drops_the_files_of_the_last() {
        let bed = Bed::new();
        for path in ["index.html", "app.js", "app.css"] {
            bed.ask(path, "/releases/1").await;
        }
        assert_eq!(bed.stored().0, 3);
        bed.ask("new.js", "/releases/2").await;
        assert_eq!(bed.stored().0, 1);
        bed.ask("app.js", "/releases/2").await;
        assert_eq!(bed.stored().0, 2);
    }
}
