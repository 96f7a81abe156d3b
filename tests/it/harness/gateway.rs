//! The whole gateway in this process, from the text of a `gateway.toml` in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost::app;
use gatepost::config::Environment;
use gatepost::config::load;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toml::{Table, Value};

use super::api::{Api, Internal};
use super::browser::Browser;
use super::django::Django;
use super::process::Process;
use super::raw::Answered;
use super::server::Server;
use super::{SECRET, in_time};

/// The socket route every gateway of the harness has.
pub const NOTIFICATIONS: &str = "/ws/notifications/";

/// A gateway in the making.
pub struct Setup {
    table: Table,
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// A running gateway. Has to be stopped: a test that leaks it panics.
pub struct Gateway {
    /// Where it listens.
    pub addresses: app::BoundAddresses,
    folder: TempDir,
    running: Option<Running>,
    tls: Arc<rustls::ClientConfig>,
    internal: Internal,
}

struct Running {
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Gateway {
    /// A gateway with this Django at every path, and sockets at [`NOTIFICATIONS`].
    pub fn in_front_of(django: &Django) -> Setup {
        Self::with_django_at(&django.url())
    }

    /// A gateway whose Django is at this address, as `gateway.toml` spells it.
    pub fn with_django_at(upstream: &str) -> Setup {
        let setup = Setup {
            table: Table::new(),
            files: Vec::new(),
        };
        setup
            .set("server.https", "127.0.0.1:0")
            .set("server.http", "")
            .set("server.hosts", vec!["localhost"])
            .set("server.lan", false)
            .set("server.internal", "127.0.0.1:0")
            .set("django.upstream", upstream)
            .set("django.hold", "100ms")
            .set("auth.timeout", "1s")
            .set("auth.lease", "0s")
            .set("limits.drain_timeout", "5s")
            .set("limits.drain_spread", "100ms")
            .socket(NOTIFICATIONS)
    }

    /// A browser that trusts this gateway's CA and calls it `localhost`.
    pub fn browser(&self) -> Browser {
        self.browser_calling("localhost")
    }

    /// A browser that calls the gateway by this name.
    pub fn browser_calling(&self, name: &str) -> Browser {
        Browser::new(self.https(), name, Arc::clone(&self.tls))
    }

    /// A browser with this session cookie.
    pub fn browser_of(&self, session: &str) -> Browser {
        self.browser().signed_in(session)
    }

    /// A client of the internal listener.
    pub fn api(&self) -> Api {
        Api::new(self.internal.clone())
    }

    /// The HTTPS listener.
    pub fn https(&self) -> SocketAddr {
        self.addresses.https[0]
    }

    /// The redirecting listener; set `server.http` to have one.
    pub fn http(&self) -> SocketAddr {
        self.addresses.http[0]
    }

    /// The folder of `gateway.toml`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes another `gateway.toml`, and the files beside it, over what is there.
    pub fn rewrite(&self, setup: &Setup) {
        setup.write_into(self.folder());
    }

    /// The same, and has it put in force; returns what is answered.
    pub async fn reload(&self, setup: &Setup) -> Answered {
        self.rewrite(setup);
        self.api().post("/v1/reload", "").await
    }

    /// The same, where nothing is wrong with it.
    #[track_caller]
    pub fn reloaded<'a>(&'a self, setup: &'a Setup) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.reload(setup).await;
            assert_eq!(answer.status(), 200, "{caller}: {}", answer.text());
        }
    }

    /// What a client of this gateway trusts.
    pub fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Begins to stop; [`Gateway::stop`] waits for the end.
    pub fn begin_to_stop(&mut self) -> Stopping {
        let running = self.running.take().expect("stopped once");
        let _ = running.shutdown.send(());
        Stopping { task: running.task }
    }

    /// Drains; returns how many tasks had to be aborted.
    pub async fn stop(mut self) -> usize {
        self.begin_to_stop().end().await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        assert!(
            self.running.is_none() || std::thread::panicking(),
            "the test leaks its gateway: end with gateway.stop().await"
        );
    }
}

/// A gateway that drains.
pub struct Stopping {
    task: JoinHandle<usize>,
}

impl Stopping {
    /// Waits for the end; returns how many tasks had to be aborted.
    pub async fn end(self) -> usize {
        in_time("the drain", self.task).await.unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Setup {
    /// Sets one key, `"section.key"`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let (section, key) = key.split_once('.').expect("section.key");
        let section = self
            .table
            .entry(section)
            .or_insert_with(|| Table::new().into());
        let section = section.as_table_mut().expect("a section");
        section.insert(key.to_owned(), value.into());
        self
    }

    /// Changes the whole `gateway.toml` at will.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Table)) -> Self {
        change(&mut self.table);
        self
    }

    /// One more element of an array of tables such as `[[sockets]]`.
    #[must_use]
    pub fn element(mut self, array: &str, element: Table) -> Self {
        let list = self
            .table
            .entry(array)
            .or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().expect("an array").push(element.into());
        self
    }

    /// One more socket route.
    #[must_use]
    pub fn socket(self, path: &str) -> Self {
        self.element("sockets", toml::toml! { path = path })
    }

    /// One more setting of the first socket route, [`NOTIFICATIONS`].
    #[must_use]
    pub fn socket_setting(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.table["sockets"][0]
            .as_table_mut()
            .unwrap()
            .insert(key.to_owned(), value.into());
        self
    }

    /// A frontend server; Django then answers the paths it is given.
    #[must_use]
    pub fn frontend(self, frontend: &Server) -> Self {
        self.set("frontend.upstream", frontend.url())
    }

    /// One more upstream at a path.
    #[must_use]
    pub fn upstream(self, path: &str, upstream: &Server) -> Self {
        let upstream = upstream.url();
        self.element(
            "upstreams",
            toml::toml! {
                path = path
                upstream = upstream
            },
        )
    }

    /// A file beside `gateway.toml`.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Starts it in this process.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Gateway> {
        let caller = std::panic::Location::caller();
        async move {
            match self.try_start().await {
                Ok(gateway) => gateway,
                Err(error) => panic!("{caller}: {error}"),
            }
        }
    }

    /// Starts it in this process, or says why it does not start.
    pub async fn try_start(self) -> Result<Gateway, String> {
        let (folder, file) = self.write();
        let text = std::fs::read_to_string(&file).unwrap();
        let environment = Environment::from([("GATEPOST_SECRET", SECRET)]);
        let config = load::parse(&text, &file, &environment).map_err(|e| e.to_string())?;
        let gateway = app::Gateway::bind(config);
        let gateway = gateway.map_err(|e| format!("{e}: {e:?}"))?;
        let again = file.clone();
        let gateway = gateway.reloading_from(app::ConfigSource::new(file, move || {
            let text = std::fs::read_to_string(&again).unwrap();
            load::parse(&text, &again, &environment)
        }));
        let addresses = gateway.addresses().clone();
        let (shutdown, signal) = oneshot::channel();
        let task = tokio::spawn(gateway.run(async { drop(signal.await) }));
        Ok(Gateway {
            internal: self.internal(addresses.internal),
            tls: trusting(folder.path()),
            addresses,
            folder,
            running: Some(Running { shutdown, task }),
        })
    }

    /// Starts the real binary as a process of its own.
    pub async fn spawn(self) -> Process {
        Process::start(self).await
    }

    /// The text of `gateway.toml`.
    pub fn text(&self) -> String {
        toml::to_string(&self.table).unwrap()
    }

    /// Where the internal listener is, once its TCP address is known.
    pub(super) fn internal(&self, tcp: Option<SocketAddr>) -> Internal {
        if let Some(address) = tcp {
            return Internal::Tcp(address);
        }
        let place = self.table["server"]["internal"].as_str().unwrap();
        Internal::Unix(place.trim_start_matches("unix:").into())
    }

    /// Writes everything into a folder; returns it and the path of `gateway.toml`.
    pub fn write(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = self.write_into(folder.path());
        (folder, file)
    }

    /// Writes everything into this folder; returns the path of `gateway.toml`.
    pub fn write_into(&self, folder: &Path) -> PathBuf {
        for (path, content) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let file = folder.join("gateway.toml");
        std::fs::write(&file, self.text()).unwrap();
        file
    }
}

/// A client that trusts the local CA made beside `gateway.toml` and nothing else.
pub fn trusting(folder: &Path) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = folder.join("certs").join(CA_FILE);
    if let Ok(ca) = CertificateDer::from_pem_file(ca) {
        roots.add(ca).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The local CA's certificate.
const CA_FILE: &str = "ca.pem";
