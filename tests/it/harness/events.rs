//! A client of event streams: reads them as WHATWG's `EventSource` does, but comes back only where a test does.

use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::browser::{Ask, Browser, Link, Page};
use super::in_time;

/// A response that goes on.
pub struct Events {
    pub headers: HeaderMap,
    body: Incoming,
    /// Kept: without its connection the response ends.
    _link: Link,
    text: String,
}

/// What stands between two blank lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    pub name: Option<String>,
    /// `None` where there is no data line: nothing is dispatched then.
    pub data: Option<String>,
    pub retry: Option<u64>,
    /// Whether there is a comment.
    pub comment: bool,
}

impl Events {
    /// Asks for events; panics where they are refused.
    pub async fn of(browser: &Browser, path: &str) -> Self {
        let asked = asking(browser, path);
        match Self::begin(browser, Version::HTTP_11, asked).await {
            Ok(events) => events,
            Err(page) => panic!("no events, but {page:?}"),
        }
    }

    /// Sends a request that may be answered with a stream.
    pub async fn begin(browser: &Browser, version: Version, ask: Ask<'_>) -> Result<Self, Page> {
        let ask = match version {
            Version::HTTP_2 => ask.over_http2(),
            _ => ask,
        };
        let mut link = browser.connect(version).await;
        let response: Response<Incoming> = link.send(ask.finish()).await.unwrap();
        if response.status() != StatusCode::OK {
            return Err(Page::of(response).await.unwrap());
        }
        let (head, body) = response.into_parts();
        Ok(Self {
            headers: head.headers,
            body,
            _link: link,
            text: String::new(),
        })
    }

    /// A field of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// The next block, or the end.
    #[track_caller]
    pub fn block(&mut self) -> impl Future<Output = Option<Event>> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let block = in_time("an event", self.until("\n\n")).await;
            let block = block.unwrap_or_else(|error| panic!("{caller}: {error}"))?;
            Some(Event::parse(&block))
        }
    }

    /// The next line, or the end.
    pub async fn line(&mut self) -> Option<String> {
        in_time("a line", self.until("\n")).await.unwrap()
    }

    /// The next event that a page hears of, or the end.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<Event>> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                let block = in_time("an event", self.until("\n\n")).await;
                let block = block.unwrap_or_else(|error| panic!("{caller}: {error}"))?;
                let event = Event::parse(&block);
                if event.data.is_some() {
                    return Some(event);
                }
            }
        }
    }

    /// The data of the next event that a page hears of.
    #[track_caller]
    pub fn data(&mut self) -> impl Future<Output = String> + '_ {
        let next = self.next();
        async move { next.await.expect("no end").data.unwrap() }
    }

    async fn until(&mut self, end: &str) -> hyper::Result<Option<String>> {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                let mut block = std::mem::replace(&mut self.text, rest);
                block.truncate(at);
                return Ok(Some(block));
            }
            let Some(frame) = self.body.frame().await else {
                assert_eq!(self.text, "", "it ends in the middle");
                return Ok(None);
            };
            let data = frame?.into_data().unwrap_or_default();
            self.text += std::str::from_utf8(&data).unwrap();
        }
    }
}

/// A request as `EventSource` sends it.
pub fn asking<'a>(browser: &'a Browser, path: &str) -> Ask<'a> {
    browser
        .ask(Method::GET, path)
        .header("accept", "text/event-stream")
        .header("sec-fetch-site", "same-origin")
}

impl Event {
    fn parse(block: &str) -> Self {
        let mut event = Self::default();
        for line in block.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "" => event.comment = true,
                "id" => event.id = Some(value),
                "event" => event.name = Some(value),
                "retry" => event.retry = Some(value.parse().unwrap()),
                "data" => match &mut event.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(&value);
                    }
                    None => event.data = Some(value),
                },
                other => panic!("an unknown field {other:?}"),
            }
        }
        event
    }
}
