//! A scripted HTTP/1.1 server on TCP or a Unix socket that keeps every request as it came.
//!
//! `Django` and `Frontend` are this with habits; a further upstream is this as it is. Rules are
//! looked through from the newest to the oldest, and a request without a rule is echoed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{Answer, Content, End};
use super::wire::{Body, Head, Wire};
use super::{PATIENCE, eventually_some};

type Conn = Either<TcpStream, UnixStream>;
type Rule = Arc<dyn Fn(&Received) -> Option<Answer> + Send + Sync>;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Request line and fields.
    pub head: Head,
    /// The body so far; `body.complete` says whether it ended.
    pub body: Body,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

/// The scripted server.
pub struct Server {
    place: Place,
    state: Arc<State>,
    listening: Mutex<Option<DropGuard>>,
    /// Keeps the port ours while nobody listens.
    reserved: Mutex<Option<TcpSocket>>,
}

enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    /// Fields of every answer.
    always: Mutex<Vec<(String, String)>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    under_way: Mutex<HashMap<String, Load>>,
}

#[derive(Default)]
struct Load {
    now: usize,
    peak: usize,
}

impl Received {
    /// `GET`, …
    pub fn method(&self) -> String {
        self.word(0)
    }

    /// Path and query.
    pub fn target(&self) -> String {
        self.word(1)
    }

    /// The target without its query.
    pub fn path(&self) -> String {
        self.target()
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// The value of a field; panics if it came twice.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.header(name)
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.head.all(name)
    }

    /// The last cookie of this name, as Django picks it.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let line = self.all("cookie").join("; ");
        line.split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .rfind(|(cookie, _)| *cookie == name)
            .map(|(_, value)| value.to_owned())
    }

    fn word(&self, index: usize) -> String {
        let line = self.head.first_line();
        line.split(' ').nth(index).unwrap_or_default().to_owned()
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let place = Place::Tcp(socket.local_addr().unwrap());
        let server = Self::at(place);
        *server.reserved.lock().unwrap() = Some(socket);
        server.listen();
        server
    }

    /// Listens on a Unix socket.
    pub async fn on_unix_socket(path: &Path) -> Self {
        let server = Self::at(Place::Unix(path.to_owned()));
        server.listen();
        server
    }

    /// Has a port, at which every connection is refused until [`Server::listen`].
    pub async fn not_listening() -> Self {
        let server = Self::start().await;
        server.refuse().await;
        server
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            state: Arc::default(),
            listening: Mutex::default(),
            reserved: Mutex::default(),
        }
    }

    /// Every answer has this field from now on.
    pub fn always_says(&self, name: &str, value: &str) {
        let mut always = self.state.always.lock().unwrap();
        always.retain(|(other, _)| other != name);
        always.push((name.to_owned(), value.to_owned()));
    }

    /// As `gateway.toml` names it: `http://127.0.0.1:port` or `unix:/path`.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}"),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// `127.0.0.1:port`; panics on a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(_) => panic!("a Unix socket has no address"),
        }
    }

    /// From now on refuses new connections and has ended the old ones, as a stopped server does.
    pub async fn refuse(&self) {
        drop(self.listening.lock().unwrap().take());
        match &self.place {
            Place::Tcp(address) => {
                let socket = reserve(*address).await;
                *self.reserved.lock().unwrap() = Some(socket);
            }
            Place::Unix(path) => drop(std::fs::remove_file(path)),
        }
    }

    /// Listens (again), at the same place.
    pub fn listen(&self) {
        let stop = CancellationToken::new();
        let state = Arc::clone(&self.state);
        match &self.place {
            Place::Tcp(_) => {
                let socket = self.reserved.lock().unwrap().take().unwrap();
                let listener = socket.listen(1024).unwrap();
                tokio::spawn(stop.clone().run_until_cancelled_owned(accept_tcp(
                    listener,
                    state,
                    stop.clone(),
                )));
            }
            Place::Unix(path) => {
                let listener = UnixListener::bind(path).unwrap();
                tokio::spawn(stop.clone().run_until_cancelled_owned(accept_unix(
                    listener,
                    state,
                    stop.clone(),
                )));
            }
        }
        *self.listening.lock().unwrap() = Some(stop.drop_guard());
    }

    /// Answers this path so, whatever its query.
    pub fn answers(&self, path: &str, answer: Answer) {
        let path = path.to_owned();
        self.rule(move |request| (request.path() == path).then(|| answer.clone()));
    }

    /// Answers this path with each of these once, then with the last one.
    pub fn answers_in_turn(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let path = path.to_owned();
        let answers: Vec<_> = answers.into_iter().collect();
        let turn = AtomicUsize::new(0);
        self.rule(move |request| {
            (request.path() == path).then(|| {
                let turn = turn.fetch_add(1, Ordering::SeqCst);
                answers[turn.min(answers.len() - 1)].clone()
            })
        });
    }

    /// Answers everything so.
    pub fn answers_everything(&self, answer: Answer) {
        self.rule(move |_| Some(answer.clone()));
    }

    /// Answers what this function has an answer for.
    pub fn rule(&self, rule: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static) {
        self.state.rules.lock().unwrap().push(Arc::new(rule));
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Every request to this path so far.
    pub fn requests_to(&self, path: &str) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        requests
    }

    /// The one request to this path; panics if there is none or more.
    #[track_caller]
    pub fn only_request_to(&self, path: &str) -> Received {
        let mut requests = self.requests_to(path);
        assert_eq!(requests.len(), 1, "requests to {path}: {requests:#?}");
        requests.remove(0)
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many requests to this path are under way: until the kernel has taken all of their answers.
    pub fn under_way(&self, path: &str) -> usize {
        let under_way = self.state.under_way.lock().unwrap();
        under_way.get(path).map_or(0, |load| load.now)
    }

    /// How many requests to this path were under way at once, at most.
    pub fn peak(&self, path: &str) -> usize {
        let under_way = self.state.under_way.lock().unwrap();
        under_way.get(path).map_or(0, |load| load.peak)
    }
}

/// A bound socket that does not listen: connecting is refused, and the port stays ours.
async fn reserve(address: SocketAddr) -> TcpSocket {
    // The listener goes when the runtime polls its cancelled task.
    eventually_some(PATIENCE, async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).is_ok().then_some(socket)
    })
    .await
}

async fn accept_tcp(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        converse_until(&stop, Either::Left(stream), &state);
    }
}

async fn accept_unix(listener: UnixListener, state: Arc<State>, stop: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        converse_until(&stop, Either::Right(stream), &state);
    }
}

fn converse_until(stop: &CancellationToken, stream: Conn, state: &Arc<State>) {
    let number = state.connections.fetch_add(1, Ordering::SeqCst);
    let conversation = converse(Wire::new(stream), Arc::clone(state), number);
    tokio::spawn(stop.clone().run_until_cancelled_owned(conversation));
}

async fn converse(mut wire: Wire<Conn>, state: Arc<State>, connection: usize) {
    while let Some(head) = wire.head().await {
        let framing = head.request_framing();
        let mut request = Received {
            head,
            connection,
            ..Received::default()
        };
        let index = state.receive(&request);
        let mut answer = state.answer(&request);
        if answer.waits_for_body {
            request.body = wire.body(framing).await;
            state.received.lock().unwrap()[index] = request.clone();
        } else {
            answer.end = End::Close;
        }
        if let Content::OfRequest(content) = &answer.content {
            answer = content(&request);
        }
        answer
            .headers
            .extend_from_slice(&state.always.lock().unwrap());
        let _load = state.load(request.path());
        if let Some(gate) = &answer.gate {
            gate.pass().await;
        }
        if let Content::WebSocketEcho(protocol) = &answer.content {
            return echo_frames(wire, &request, protocol.as_deref()).await;
        }
        if say(&mut wire, &request, &answer).await.is_err() {
            return;
        }
        match answer.end {
            End::KeepAlive => {}
            End::Close => return,
            End::Hang => std::future::pending().await,
            End::Reset => return reset(wire.stream),
        }
    }
}

fn reset(stream: Conn) {
    if let Either::Left(stream) = &stream {
        SockRef::from(stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }
    drop(stream);
}

async fn say(wire: &mut Wire<Conn>, request: &Received, answer: &Answer) -> std::io::Result<()> {
    let head = |framing: &str| head_of(answer, framing);
    match &answer.content {
        Content::Raw(bytes) => wire.send(bytes).await,
        Content::Whole(body) => whole(wire, request, answer, body.clone()).await,
        Content::Huge(size) => whole(wire, request, answer, vec![b'x'; *size]).await,
        Content::Echo => whole(wire, request, answer, echo_of(request)).await,
        Content::Short { declared, sent } => {
            wire.send(head(&format!("Content-Length: {declared}\r\n")))
                .await?;
            wire.send(sent).await
        }
        Content::UntilClose(body) => {
            wire.send(head("")).await?;
            wire.send(body).await
        }
        Content::Trickle { pieces, pause } => {
            let length: usize = pieces.iter().map(Vec::len).sum();
            wire.send(head(&format!("Content-Length: {length}\r\n")))
                .await?;
            for piece in pieces {
                wire.send(piece).await?;
                tokio::time::sleep(*pause).await;
            }
            Ok(())
        }
        Content::Chunks { pieces, whole } => {
            wire.send(head("Transfer-Encoding: chunked\r\n")).await?;
            for piece in pieces {
                let line = format!("{:x}\r\n", piece.len());
                wire.send([line.as_bytes(), piece, b"\r\n"].concat())
                    .await?;
            }
            wire.send(if *whole { "0\r\n\r\n" } else { "" }).await
        }
        Content::OfRequest(_) | Content::WebSocketEcho(_) => Ok(()),
    }
}

async fn whole(
    wire: &mut Wire<Conn>,
    request: &Received,
    answer: &Answer,
    body: Vec<u8>,
) -> std::io::Result<()> {
    let framing = match answer.status {
        204 | 304 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let mut bytes = head_of(answer, &framing).into_bytes();
    if request.method() != "HEAD" && !matches!(answer.status, 204 | 304) {
        bytes.extend(body);
    }
    wire.send(bytes).await
}

fn head_of(answer: &Answer, framing: &str) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n{framing}", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.end == End::Close {
        head += "Connection: close\r\n";
    }
    head + "\r\n"
}

fn echo_of(request: &Received) -> Vec<u8> {
    serde_json::json!({
        "method": request.method(),
        "target": request.target(),
        "headers": request.head.fields(),
        "body": String::from_utf8_lossy(&request.body.bytes),
    })
    .to_string()
    .into_bytes()
}

async fn echo_frames(mut wire: Wire<Conn>, request: &Received, protocol: Option<&str>) {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let protocol =
        protocol.map_or_else(String::new, |p| format!("Sec-WebSocket-Protocol: {p}\r\n"));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    );
    if wire.send(head).await.is_err() {
        return;
    }
    let Wire { stream, ahead } = wire;
    let mut socket = WebSocketStream::from_partially_read(stream, ahead, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

impl State {
    fn receive(&self, request: &Received) -> usize {
        let mut received = self.received.lock().unwrap();
        received.push(request.clone());
        received.len() - 1
    }

    fn answer(&self, request: &Received) -> Answer {
        let rules = self.rules.lock().unwrap().clone();
        rules
            .iter()
            .rev()
            .find_map(|rule| rule(request))
            .unwrap_or_else(Answer::echo)
    }

    fn load(self: &Arc<Self>, path: String) -> UnderWay {
        let mut under_way = self.under_way.lock().unwrap();
        let load = under_way.entry(path.clone()).or_default();
        load.now += 1;
        load.peak = load.peak.max(load.now);
        UnderWay {
            state: Arc::clone(self),
            path,
        }
    }
}

struct UnderWay {
    state: Arc<State>,
    path: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(load) = self.state.under_way.lock().unwrap().get_mut(&self.path) {
            load.now -= 1;
        }
    }
}
