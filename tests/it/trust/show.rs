//! The page for phones: it has the certificate, nothing of the key, and is there only while the command runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::Person;

/// `gatepost trust --show` that serves; killed when dropped.
struct Show {
    child: Child,
    said: Vec<String>,
    port: u16,
}

impl Show {
    fn start(person: &Person) -> Self {
        let mut child = person
            .gatepost(&["--show"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        for line in stdout.lines() {
            said.push(line.unwrap());
            if said.last().unwrap().contains("Ctrl-C ends it") {
                break;
            }
        }
        let url = said
            .iter()
            .find_map(|line| line.split_once("open http://"))
            .unwrap()
            .1;
        let port = url.trim_end_matches('/').rsplit_once(':').unwrap().1;
        Self {
            port: port.parse().unwrap(),
            child,
            said,
        }
    }

    /// The answer to a request, head and body.
    fn ask(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: 192.0.2.7\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.ask("GET", path)).into_owned()
    }

    fn stop(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        // Nothing is left of one that was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_has_the_steps_and_the_file_is_the_certificate_alone() {
    let person = Person::new();
    let show = Show::start(&person);
    let (ca, page) = (person.ca(), show.get("/"));
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for part in [
        "iPhone",
        "Android",
        "<svg",
        "/gatepost-local-ca.crt",
        &ca.fingerprint(),
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        show.said
            .iter()
            .any(|line| line.contains(&ca.fingerprint()))
    );

    let answer = show.ask("GET", "/gatepost-local-ca.crt");
    let body = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert_eq!(&answer[body..], ca.der());
    let head = String::from_utf8_lossy(&answer[..body]).to_lowercase();
    assert!(
        head.contains("content-type: application/x-x509-ca-cert"),
        "{head}"
    );
}

#[test]
fn nothing_else_is_served_the_key_least_of_all() {
    let person = Person::new();
    let show = Show::start(&person);
    for path in [
        "/ca.key",
        "/certs/ca.key",
        "/../certs/ca.key",
        "/leaf.pem",
        "/gateway.toml",
        "/%2e%2e/certs/ca.key",
    ] {
        let answer = show.get(path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("PRIVATE"), "{path}: {answer}");
    }
    let posted = String::from_utf8_lossy(&show.ask("POST", "/")).into_owned();
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
}

#[test]
fn it_is_served_while_the_command_runs_and_no_longer() {
    let person = Person::new();
    let show = Show::start(&person);
    let port = show.port;
    assert_eq!(show.stop(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn where_a_gateway_has_the_port_it_says_so_and_takes_another() {
    let person = Person::new();
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("[server]\nhttps = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:{port}\"\n");
    std::fs::write(person.folder.path().join("gateway.toml"), config).unwrap();
    let show = Show::start(&person);
    assert_ne!(show.port, port);
    let said = show.said.join("\n");
    assert!(
        said.contains(&format!("Port {port} of server.http is taken")),
        "{said}"
    );
    assert!(
        said.contains("for this machine alone: phones reach it with `lan = true`"),
        "{said}"
    );
}
