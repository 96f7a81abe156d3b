//! Django's server as a child of the gateway: `gatepost run -- gunicorn mysite.wsgi`.
//!
//! Wired by `app`, controlled by `cli`. The [`Supervisor`] starts it, restarts it where it ends by itself, and
//! passes signals on; it ends after the gateway, whose last requests it answers.

mod accepting;
mod exit;
mod folder;
mod output;
mod process;
mod reaper;
mod running;
mod supervisor;

pub use exit::{AppEnd, AppExit};
pub use folder::PrivateFolder;
pub use reaper::Reaper;
pub use running::{AppNews, RunningApp};
pub use supervisor::{Supervisor, SupervisorSettings};
