//! The bench's own installation: certificate, upstream, and the servers to compare, each with a
//! generated configuration in a temporary directory and an address of its own.

use std::fs;
use std::io::{self, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::{Certificate, HOST, KeyExchange};
use crate::compressed::LIST;
use crate::fleet::Target;
use crate::process::{LOAD_CORE, Process, SERVER_CORE, free_address};
use crate::publisher::SECRET;
use crate::upstream;

/// The socket route.
const SOCKETS: &str = "/ws/bench/";
/// Where the files are, at every server: `1k`, `100k` and `10m`.
pub(crate) const FILES: &str = "/files/";
/// Where servers under test listen: addresses that nothing else uses.
const SERVERS: &str = "127.0.0.77";
const UPSTREAMS: &str = "127.0.0.78";

/// What the command line asks for.
pub(crate) struct Plan {
    pub(crate) gateway: PathBuf,
    pub(crate) sockets: usize,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) only: Vec<String>,
}

impl Plan {
    /// Whether any of `names` is asked for.
    pub(crate) fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }
}

/// Everything a measurement starts from.
pub(crate) struct Lab {
    pub(crate) plan: Plan,
    pub(crate) certificate: Certificate,
    pub(crate) upstream: SocketAddr,
    directory: TempDir,
    _upstream: Process,
}

/// A server under test.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// Where it speaks TLS.
    pub(crate) address: SocketAddr,
    /// Its control socket: the internal listener, or the limit program's orders.
    pub(crate) control: SocketAddr,
}

impl Lab {
    /// Starts the upstream and makes the certificate.
    pub(crate) fn open(plan: Plan) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let certificate = Certificate::make(directory.path())?;
        let files = directory.path().join("files");
        fs::create_dir(&files)?;
        for (name, bytes) in [("1k", 1 << 10), ("100k", 100 << 10), ("10m", 10 << 20)] {
            fs::write(files.join(name), vec![b'x'; bytes])?;
        }
        let address = free_address(UPSTREAMS)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["upstream", "--listen", &address.to_string()]);
        let log = directory.path().join("upstream.log");
        let process = Process::start(&command, LOAD_CORE, address, &log)?;
        Ok(Self {
            plan,
            certificate,
            upstream: address,
            directory,
            _upstream: process,
        })
    }

    /// What a browser of this installation speaks TLS with.
    pub(crate) fn client(&self) -> io::Result<std::sync::Arc<rustls::ClientConfig>> {
        self.certificate.client(KeyExchange::Classic)
    }

    /// Where a fleet goes to reach `server`.
    pub(crate) fn target(&self, server: &Server) -> io::Result<Target> {
        Ok(Target::new(server.address, SOCKETS, self.client()?))
    }

    /// The gateway under test.
    pub(crate) fn gateway(&self) -> io::Result<Server> {
        self.gateway_at(Self::places()?, "batch_url = \"\"")
    }

    /// Where a gateway may listen that is to be started more than once.
    pub(crate) fn places() -> io::Result<[SocketAddr; 2]> {
        Ok([free_address(SERVERS)?, free_address(SERVERS)?])
    }

    /// A gateway at these places, with these lines in its `[auth]`.
    pub(crate) fn gateway_at(&self, places: [SocketAddr; 2], auth: &str) -> io::Result<Server> {
        self.gateway_of(places, &self.gateway_toml(places, auth))
    }

    /// A gateway whose `gateway.toml` differs from the others' in what `replaced` says: old, and new.
    pub(crate) fn gateway_but(&self, replaced: &[(&str, &str)]) -> io::Result<Server> {
        let places = Self::places()?;
        let mut text = self.gateway_toml(places, "batch_url = \"\"");
        for (old, new) in replaced {
            if !text.contains(old) {
                let complaint = format!("gateway.toml has no `{old}` to be replaced");
                return Err(Error::other(complaint));
            }
            text = text.replace(old, new);
        }
        self.gateway_of(places, &text)
    }

    /// Another program of this tool on the core of the load, at an address of its own.
    pub(crate) fn beside(&self, program: &str) -> io::Result<(Process, SocketAddr)> {
        let address = free_address(UPSTREAMS)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([program, "--listen", &address.to_string()]);
        let log = self.directory.path().join(format!("{program}.log"));
        Ok((Process::start(&command, LOAD_CORE, address, &log)?, address))
    }

    fn gateway_of(&self, [address, control]: [SocketAddr; 2], toml: &str) -> io::Result<Server> {
        let config = self.write("gateway.toml", toml)?;
        let mut command = Command::new(&self.plan.gateway);
        command
            .args(["run", "--log-format", "json", "--config"])
            .arg(config);
        command.env("GATEPOST_SECRET", SECRET);
        self.start(&command, [address, control], "gateway.log")
    }

    /// The limit program.
    pub(crate) fn limit(&self) -> io::Result<Server> {
        let (address, control) = (free_address(SERVERS)?, free_address(SERVERS)?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["limit", "--listen", &address.to_string()]);
        command.args(["--control", &control.to_string()]);
        command.arg("--cert").arg(&self.certificate.cert);
        command.arg("--key").arg(&self.certificate.key);
        self.start(&command, [address, control], "limit.log")
    }

    /// nginx as a plain TLS reverse proxy. Its second address does not buffer requests.
    pub(crate) fn nginx(&self) -> io::Result<Server> {
        let (address, control) = (free_address(SERVERS)?, free_address(SERVERS)?);
        let config = self.write("nginx.conf", &self.nginx_conf(address, control))?;
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(config)
            .arg("-p")
            .arg(self.directory.path());
        // Before it has read its configuration, nginx would log to /var/log.
        command
            .arg("-e")
            .arg(self.directory.path().join("nginx-start.log"));
        self.start(&command, [address, control], "nginx.log")
    }

    fn start(
        &self,
        command: &Command,
        [address, control]: [SocketAddr; 2],
        log: &str,
    ) -> io::Result<Server> {
        let log = self.directory.path().join(log);
        let process = Process::start(command, SERVER_CORE, address, &log)?;
        Ok(Server {
            process,
            address,
            control,
        })
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn gateway_toml(&self, [https, internal]: [SocketAddr; 2], auth: &str) -> String {
        let (cert, key) = (
            self.certificate.cert.display(),
            self.certificate.key.display(),
        );
        let (upstream, files) = (self.upstream, self.directory.path().join("files"));
        let (files, url) = (files.display(), upstream::AUTH);
        format!(
            r#"[server]
https = "{https}"
http = ""
hosts = ["{HOST}"]
internal = "{internal}"

[tls]
cert = "{cert}"
key = "{key}"

[django]
upstream = "http://{upstream}"
secret_env = "GATEPOST_SECRET"

[[sockets]]
path = "{SOCKETS}"

[[files]]
path = "{FILES}"
root = "{files}"

[auth]
url = "{url}"
{auth}

[limits]
body_size = "4GiB"
connections_per_user = 0
handshakes_per_address = "0/s"

[buffering]
disk = "16GiB"

[log]
level = "warn"
"#
        )
    }

    fn nginx_conf(&self, address: SocketAddr, unbuffered: SocketAddr) -> String {
        let home = self.directory.path().display();
        let (cert, key) = (
            self.certificate.cert.display(),
            self.certificate.key.display(),
        );
        let upstream = self.upstream;
        format!(
            "daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/nginx-error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    keepalive_requests 100000000;
    client_body_temp_path {home}/n1; proxy_temp_path {home}/n2; fastcgi_temp_path {home}/n3;
    uwsgi_temp_path {home}/n4; scgi_temp_path {home}/n5;
    upstream app {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    proxy_http_version 1.1;
    proxy_set_header Connection '';
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Request-ID $request_id;
    open_file_cache max=1000;
    server {{
        listen {address} ssl http2;
        location / {{ proxy_pass http://app; }}
        location {LIST} {{ gzip on; gzip_proxied any; gzip_vary on; proxy_pass http://app; }}
        location {FILES} {{ root {home}; }}
    }}
    server {{ listen {unbuffered} ssl http2; proxy_request_buffering off; location / {{ proxy_pass http://app; }} }}
}}
"
        )
    }
}

/// Whether the program at `path` is there to be run.
pub(crate) fn check_program(path: &Path, advice: &str) -> io::Result<()> {
    match Command::new(path).arg("-v").output() {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = format!("cannot run {}: {error}; {advice}", path.display());
            Err(Error::other(text))
        }
    }
}
