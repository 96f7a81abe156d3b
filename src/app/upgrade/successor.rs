//! The new program, as the gateway sees that started it.
//!
//! The surprise: its standard error is a pipe until it has read its first message. What ends before that (a program for
//! another machine, a script) says why there, and nowhere else.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::super::shared::SharedParts;
use super::channel::{self, Bequest, InheritedListener, Message, PREDECESSOR};
use super::link::Link;
use super::program::Program;
use crate::broker::BrokerSnapshot;
use crate::net::inherited;

/// Within this time the new program has taken over, or never.
const LONGEST: Duration = Duration::from_secs(10);
/// So much is told of what it said, in bytes.
const SAID: usize = 2048;

/// A process that is to take this one's place.
#[derive(Debug)]
pub(crate) struct Successor {
    process: SuccessorProcess,
    channel: UnixStream,
    deadline: Instant,
    /// What it writes to standard error before it is a gateway.
    said: StdStream,
}

/// Killed when dropped, unless it is the gateway by then.
#[derive(Debug)]
struct SuccessorProcess(Option<Child>);

/// A process that is the gateway now.
#[derive(Debug)]
pub(crate) struct Heir {
    pub(crate) pid: u32,
    pub(crate) link: Link,
}

/// One that is getting ready, if there is one.
#[derive(Default)]
pub(crate) struct Attempt(Option<Pin<Box<GettingReady>>>);

type GettingReady = dyn Future<Output = Result<Successor, UpgradeError>> + Send;

/// Why everything is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// This gateway cannot hand over its place.
    #[error("{0}")]
    Refused(&'static str),
    /// It cannot be started.
    #[error("{path} cannot be started: {cause}")]
    Start { path: String, cause: io::Error },
    /// The listeners, or what was published, cannot be handed over.
    #[error("not all can be handed over: {0}")]
    Listeners(io::Error),
    /// It hangs.
    #[error("the new process does not serve within {LONGEST:?}; it was killed{}", quoted(.said))]
    Late { said: String },
    /// It has ended.
    #[error("the new process ended ({exit}){}", quoted(.said))]
    Ended { exit: ExitStatus, said: String },
}

impl Attempt {
    /// Starts a program, to which these listeners are handed.
    pub(crate) fn begin(
        &mut self,
        program: &Program,
        listeners: Vec<(InheritedListener, OwnedFd)>,
    ) -> Result<(), UpgradeError> {
        if self.is_under_way() {
            return Err(UpgradeError::Refused("one is under way already"));
        }
        let successor = Successor::start(program, listeners)?;
        self.0 = Some(Box::pin(successor.get_ready()));
        Ok(())
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// What comes of it; never where there is none.
    pub(crate) async fn outcome(&mut self) -> Result<Successor, UpgradeError> {
        let Some(readiness) = &mut self.0 else {
            return std::future::pending().await;
        };
        let outcome = readiness.await;
        self.0 = None;
        outcome
    }
}

impl Successor {
    fn start(
        program: &Program,
        listeners: Vec<(InheritedListener, OwnedFd)>,
    ) -> Result<Self, UpgradeError> {
        let path = program.path.display().to_string();
        let start = |cause| UpgradeError::Start {
            path: path.clone(),
            cause,
        };
        let (channel, theirs) = StdStream::pair().map_err(start)?;
        let (said, says) = StdStream::pair().map_err(start)?;
        said.set_nonblocking(true).map_err(start)?;
        channel.set_nonblocking(true).map_err(start)?;
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .env(PREDECESSOR, std::process::id().to_string())
            // Of sockets that this process has taken.
            .env_remove("LISTEN_FDNAMES")
            .stdin(OwnedFd::from(theirs))
            .stderr(Stdio::from(OwnedFd::from(says)))
            .spawn()
            .map_err(start)?;
        tracing::info!(
            pid = child.id(),
            program = path,
            "the new program is started"
        );
        // One that ends at once is found out by what it says.
        let _ = bequeath(&channel, listeners);
        Ok(Self {
            process: SuccessorProcess(Some(child)),
            channel: UnixStream::from_std(channel).map_err(start)?,
            deadline: Instant::now() + LONGEST,
            said,
        })
    }

    async fn get_ready(mut self) -> Result<Self, UpgradeError> {
        let is_ready = |message: &Message| matches!(message, Message::Ready);
        self.hears(is_ready).await.map(|()| self)
    }

    /// Tells it to begin with what the broker knows, and waits until it accepts clients.
    pub(crate) async fn take_over(mut self, shared: &SharedParts) -> Result<Heir, UpgradeError> {
        // First: what is published behind the snapshot is told.
        let items = shared.relay.begin();
        let broker = Arc::clone(&shared.broker);
        // It may take a while to write, with clients to be served meanwhile.
        let broker = spawn_blocking(move || BrokerSnapshot::of(&broker)).await;
        let go = Message::Go(Box::new(
            broker.map_err(|error| UpgradeError::Listeners(error.into()))?,
        ));
        // Whether it can be told is seen by what comes back.
        let _ = timeout_at(self.deadline, channel::send(&mut self.channel, &go)).await;
        let is_serving = |message: &Message| matches!(message, Message::Serving);
        self.hears(is_serving).await?;
        Ok(Heir {
            pid: self.process.0.take().map_or(0, |child| child.id()),
            link: Link {
                channel: self.channel,
                items,
                intake: Arc::clone(&shared.intake),
            },
        })
    }

    async fn hears(&mut self, expected: fn(&Message) -> bool) -> Result<(), UpgradeError> {
        let heard = timeout_at(self.deadline, channel::receive(&mut self.channel)).await;
        let told = match heard {
            Ok(Ok(message)) if expected(&message) => return Ok(()),
            Ok(Ok(Message::Failed(why))) => Some(why),
            Ok(_) | Err(_) => None,
        };
        // One that only closes its standard input has not ended.
        let exit = self.wait().await;
        self.process.end();
        let said = told.unwrap_or_else(|| self.words());
        Err(match exit {
            Some(exit) => UpgradeError::Ended { exit, said },
            None => UpgradeError::Late { said },
        })
    }

    async fn wait(&mut self) -> Option<ExitStatus> {
        let child = self.process.0.as_mut()?;
        while Instant::now() < self.deadline {
            match child.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(exit) => return exit,
                Err(_) => return None,
            }
        }
        None
    }

    /// What it said so far.
    fn words(&mut self) -> String {
        let (mut said, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = self.said.read(&mut piece) {
            said.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl SuccessorProcess {
    /// Ends it, whatever it does.
    fn end(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Fails where it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for SuccessorProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Hands the listeners over, and standard error.
fn bequeath(channel: &StdStream, listeners: Vec<(InheritedListener, OwnedFd)>) -> io::Result<()> {
    let (listeners, descriptors): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    let line = serde_json::to_vec(&Bequest { listeners }).map_err(io::Error::other)?;
    let error = io::stderr();
    let all = std::iter::once(error.as_fd()).chain(descriptors.iter().map(AsFd::as_fd));
    inherited::send(channel, &line, &all.collect::<Vec<_>>())
}

/// The end of what it said, if it said something.
fn quoted(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        return String::new();
    }
    let begin = said.len().saturating_sub(SAID);
    let begin = (begin..said.len()).find(|at| said.is_char_boundary(*at));
    format!(" and said: {}", &said[begin.unwrap_or(0)..])
}
