//! What `gatepost run -- …` starts: the server that runs Django, at a Unix socket of the gateway's own.
//!
//! Read by `load` off the command line. A server is known by the first word that is its name, so that
//! `python -m gunicorn` and `ddtrace-run gunicorn` are gunicorn too.

mod gunicorn;
mod words;

use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::Location;
use gunicorn::Gunicorn;

/// Stands for the path of the socket in the words of a command.
const SOCKET: &str = "{socket}";

/// The command behind `--`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCommand {
    /// The program and its arguments; not empty.
    pub words: Vec<String>,
    /// Where it is to listen.
    pub socket: PathBuf,
    /// The working directory, in which gunicorn looks for its file.
    pub folder: PathBuf,
}

/// The server that runs Django, as it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppServerConfig {
    /// Which one it is.
    pub kind: AppServerKind,
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
    /// Variables that it gets besides the gateway's own.
    pub variables: Vec<(&'static str, String)>,
    /// Where it listens.
    pub socket: PathBuf,
    /// How many requests it can do at once, where that is known.
    pub places: Option<usize>,
}

/// The servers that are told by themselves where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppServerKind {
    /// By a variable, so that it need not be the program itself.
    Gunicorn,
    /// By `--uds`.
    Uvicorn,
    /// By `--uds`.
    Granian,
    /// By `--bind unix:…`.
    Hypercorn,
    /// By `{socket}` alone.
    Other,
}

impl AppServerKind {
    const KNOWN: [(&'static str, Self); 4] = [
        ("gunicorn", Self::Gunicorn),
        ("uvicorn", Self::Uvicorn),
        ("granian", Self::Granian),
        ("hypercorn", Self::Hypercorn),
    ];

    /// Whether SIGHUP has it restart its workers, without a failed request.
    pub fn reloads_at_hangup(self) -> bool {
        matches!(self, Self::Gunicorn | Self::Granian)
    }

    /// Options that say where it listens, or that it is to leave; long, and short.
    fn refused(self) -> &'static [(&'static str, Option<char>)] {
        match self {
            Self::Gunicorn => &[("bind", Some('b')), ("daemon", Some('D'))],
            Self::Uvicorn => &[("host", None), ("port", None), ("uds", None), ("fd", None)],
            Self::Granian => &[("host", None), ("port", None), ("uds", None)],
            Self::Hypercorn => &[
                ("bind", Some('b')),
                ("insecure-bind", None),
                ("quic-bind", None),
            ],
            Self::Other => &[],
        }
    }

    /// The options that name a socket, for the servers that have no variable for it.
    fn socket_options(self, socket: &Path) -> Vec<String> {
        let path = socket.display();
        match self {
            Self::Uvicorn | Self::Granian => vec!["--uds".to_owned(), path.to_string()],
            Self::Hypercorn => vec!["--bind".to_owned(), format!("unix:{path}")],
            Self::Gunicorn | Self::Other => Vec::new(),
        }
    }
}

impl AppCommand {
    /// The server, and the index of the word that names it.
    fn server(&self) -> (AppServerKind, usize) {
        let named = self.words.iter().enumerate().find_map(|(index, word)| {
            let name = Path::new(word).file_name()?.to_str()?;
            let known = AppServerKind::KNOWN.iter();
            let (_, kind) = known.copied().find(|(known, _)| *known == name)?;
            Some((kind, index))
        });
        named.unwrap_or((AppServerKind::Other, 0))
    }

    fn names_socket(&self) -> bool {
        self.words.iter().any(|word| word.contains(SOCKET))
    }
}

impl AppServerConfig {
    /// Reads the command, and what of the environment the server will read.
    pub(super) fn read(document: &mut Document<'_>, command: &AppCommand) -> Self {
        let (kind, at) = command.server();
        let options = command.words.get(at + 1..).unwrap_or_default();
        let named = command.names_socket();
        refuse_others(document, command, kind);
        let given = GivenOptions {
            kind,
            options,
            place: Location::CommandLine,
            named,
        };
        given.refuse(document);
        let mut config = Self {
            kind,
            command: command.words.clone(),
            variables: unbuffered(document).into_iter().collect(),
            socket: command.socket.clone(),
            places: None,
        };
        if kind == AppServerKind::Gunicorn {
            config.read_gunicorn(document, options, command);
        }
        config.name_socket(command, at);
        config
    }

    /// gunicorn reads more than its command line.
    fn read_gunicorn(
        &mut self,
        document: &mut Document<'_>,
        options: &[String],
        command: &AppCommand,
    ) {
        let environment = document.findings.environment;
        let variable = environment.value(gunicorn::VARIABLE).unwrap_or_default();
        let inherited = words::split(variable);
        let said = Gunicorn {
            command: options,
            inherited: &inherited,
            workers: environment.value("WEB_CONCURRENCY"),
            folder: &command.folder,
        };
        self.places = said.places();
        if !command.names_socket() {
            let told = gunicorn::with_bind(variable, &self.socket);
            self.variables.push((gunicorn::VARIABLE, told));
        }
        let given = GivenOptions {
            kind: self.kind,
            options: &inherited,
            place: Location::Variable(gunicorn::VARIABLE.to_owned()),
            named: command.names_socket(),
        };
        given.refuse(document);
    }

    /// Has the server listen at the socket.
    fn name_socket(&mut self, command: &AppCommand, at: usize) {
        if command.names_socket() {
            let path = self.socket.display().to_string();
            for word in &mut self.command {
                *word = word.replace(SOCKET, &path);
            }
        } else {
            let options = self.kind.socket_options(&self.socket);
            // Before what the user wrote, where no `--` and no application can be in the way.
            let after = (at + 1).min(self.command.len());
            self.command.splice(after..after, options);
        }
    }
}

/// Python buffers its output where that is no terminal.
fn unbuffered(document: &Document<'_>) -> Option<(&'static str, String)> {
    const NAME: &str = "PYTHONUNBUFFERED";
    let is_set = document.findings.environment.value(NAME).is_some();
    (!is_set).then(|| (NAME, "1".to_owned()))
}

/// Options that were given.
struct GivenOptions<'a> {
    kind: AppServerKind,
    options: &'a [String],
    place: Location,
    /// Whether the command names the socket itself.
    named: bool,
}

impl GivenOptions<'_> {
    /// Notes those that the gateway cannot live with.
    fn refuse(&self, document: &mut Document<'_>) {
        for (long, short) in self.kind.refused() {
            let Some(value) = words::value(self.options, long, *short) else {
                continue;
            };
            let place = self.place.clone();
            if *long == "daemon" {
                let message = "`--daemon` has gunicorn leave, but the gateway stays with it and passes its end on";
                let hint = "leave it out: systemd or the container keeps both in the background";
                document.findings.refuse(place, message, Some(hint));
            } else if !self.named && !value.contains(SOCKET) {
                let message = format!(
                    "`--{long}` says where Django's server listens, but the gateway starts it at a Unix socket of its own"
                );
                let hint = "leave it out, or write {socket} where the path of that socket goes";
                document.findings.refuse(place, message, Some(hint));
            }
        }
    }
}

/// A server that cannot be told where to listen.
fn refuse_others(document: &mut Document<'_>, command: &AppCommand, kind: AppServerKind) {
    if kind != AppServerKind::Other || command.names_socket() {
        return;
    }
    let message = format!(
        "nothing in `{}` says where Django's server is to listen",
        command.words.join(" ")
    );
    let hint = if command.words.iter().any(|word| word == "runserver") {
        "runserver has no Unix socket: in development `manage.py rungateway` starts both"
    } else {
        "write {socket} where the path of its Unix socket goes, such as `daphne -u {socket} \
         mysite.asgi:application`; gunicorn, uvicorn, granian and hypercorn are told by themselves"
    };
    document
        .findings
        .refuse(Location::CommandLine, message, Some(hint));
}

#[cfg(test)]
mod tests;
