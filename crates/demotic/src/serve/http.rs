//! HTTP/1.1 with a bound on everything: one request a connection, a fixed number of workers, a queue that
//! refuses with 503 once it is full, deadlines for each part of an exchange, and no byte of a body read
//! before it is asked for.
//!
//! Not by `tiny_http`: version 0.12 starts a thread for every connection, reads header lines of any length
//! without a deadline, and allocates whatever length an unread body claims.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

/// Connections that are answered at a time.
const WORKERS: usize = 8;
/// Connections that wait for a worker; further ones are refused.
const WAITING: usize = 64;
/// Refusals that wait to be said; further connections are closed without a word.
const REFUSALS: usize = 64;
/// Longest request line with its headers.
const HEAD_BYTES: usize = 16 << 10;
/// Most headers.
const HEADERS: usize = 64;
/// For the head of a request to arrive.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For its body.
const BODY_TIME: Duration = Duration::from_secs(20);
/// For the answer to be taken.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// For a refusal, all of it.
const REFUSAL_TIME: Duration = Duration::from_millis(500);
/// What is still read of a request that was answered early: closed at once, the system would throw the answer
/// away.
const DRAINED_BYTES: usize = 1 << 20;
/// For what is being answered when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a request says before its body.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    headers: Vec<(String, String)>,
    body_bytes: usize,
}

impl Head {
    /// The value of a header, by its name in lower case; the first of several.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value of the query as it stands: none of ours needs an escape.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let mut pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// A number of the query.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.query(name)?.parse().ok()
    }

    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Answer> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let end = match request.parse(bytes) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Answer::text(431, "too many headers"));
            }
            Err(_) => return Err(Answer::text(400, "not a request of HTTP/1.1")),
        };
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request
                .headers
                .iter()
                .map(|h| (h.name.to_ascii_lowercase(), text(h.value)))
                .collect(),
            body_bytes: 0,
        };
        let count = |name: &str| {
            head.headers
                .iter()
                .filter(|(known, _)| known == name)
                .count()
        };
        // Where two readers could disagree on who is asked or where a request ends, there is no answer.
        if count("host") != 1 || count("content-length") > 1 || count("transfer-encoding") > 0 {
            return Err(Answer::text(
                400,
                "expected one Host, at most one Content-Length and no Transfer-Encoding",
            ));
        }
        if let Some(length) = head.header("content-length") {
            head.body_bytes = length
                .parse()
                .map_err(|_no_number| Answer::text(400, "Content-Length is no number"))?;
        }
        Ok(Some((head, end)))
    }
}

/// A request whose head was read.
pub(crate) struct Request<'a> {
    pub(crate) head: Head,
    stream: &'a TcpStream,
    /// What came with the head.
    begun: Vec<u8>,
    is_read: bool,
}

impl Request<'_> {
    /// Reads the body.
    ///
    /// # Errors
    /// The answer to give where it is longer than `most` bytes, or does not arrive.
    pub(crate) fn body(&mut self, most: usize) -> Result<Vec<u8>, Answer> {
        let length = self.head.body_bytes;
        if length > most {
            return Err(Answer::text(
                413,
                format!("{length} bytes; at most {most} are taken"),
            ));
        }
        let deadline = Instant::now() + BODY_TIME;
        let mut body = std::mem::take(&mut self.begun);
        body.truncate(length);
        let mut buffer = [0; 16 << 10];
        while body.len() < length {
            let room = buffer.len().min(length - body.len());
            match read(self.stream, &mut buffer[..room], deadline) {
                Ok(0) | Err(_) => {
                    return Err(Answer::text(408, "the request was not sent whole in time"));
                }
                Ok(count) => body.extend(&buffer[..count]),
            }
        }
        self.is_read = true;
        Ok(body)
    }
}

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    kind: &'static str,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn new(kind: &'static str, body: Vec<u8>) -> Self {
        Self {
            status: 200,
            kind,
            body,
            headers: Vec::new(),
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new("application/json", value.to_string().into_bytes())
    }

    /// A line for a person, mostly on what is wrong.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push('\n');
        let answer = Self::new("text/plain; charset=utf-8", text.into_bytes());
        Self { status, ..answer }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn send(&self, stream: &TcpStream, is_head: bool, deadline: Instant) -> io::Result<()> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n",
            self.status,
            reason(self.status),
            self.kind,
            self.body.len()
        )
        .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        if !is_head {
            bytes.extend(&self.body);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            stream.set_write_timeout(Some(left(deadline)?))?;
            match (&*stream).write(&rest[..rest.len().min(64 << 10)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// A server at work.
pub(crate) struct Running {
    busy: Arc<AtomicUsize>,
}

impl Running {
    /// Lets answers that are on their way arrive; the process is expected to end after that.
    pub(crate) fn finish(&self) {
        let until = Instant::now() + FAREWELL;
        while self.busy.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Answers what connects, from now on.
///
/// # Errors
/// Where the system has no thread.
pub(crate) fn start(
    listener: TcpListener,
    answer: impl Fn(&mut Request<'_>) -> Answer + Send + Sync + 'static,
) -> io::Result<Running> {
    let busy = Arc::new(AtomicUsize::new(0));
    let answer = Arc::new(answer);
    let (hand_on, waiting) = sync_channel::<TcpStream>(WAITING);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..WORKERS {
        let (waiting, answer, busy) = (waiting.clone(), answer.clone(), busy.clone());
        spawn("worker", move || {
            while let Some(stream) = next(&waiting) {
                busy.fetch_add(1, Ordering::SeqCst);
                exchange(&stream, &*answer);
                busy.fetch_sub(1, Ordering::SeqCst);
            }
        })?;
    }
    let (refuse, refused) = sync_channel::<TcpStream>(REFUSALS);
    spawn("refusals", move || turn_away(&refused))?;
    spawn("connections", move || accept(&listener, &hand_on, &refuse))?;
    Ok(Running { busy })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}

fn next(waiting: &Mutex<Receiver<TcpStream>>) -> Option<TcpStream> {
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

fn accept(listener: &TcpListener, hand_on: &SyncSender<TcpStream>, refuse: &SyncSender<TcpStream>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(TrySendError::Full(stream)) = hand_on.try_send(stream) {
                    // Where even refusals queue up, the connection is closed.
                    let _ = refuse.try_send(stream);
                }
            }
            // A client that went away, or too many open files: neither ends the server.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn exchange(stream: &TcpStream, answer: &(impl Fn(&mut Request<'_>) -> Answer + ?Sized)) {
    let _ = stream.set_nodelay(true);
    let (reply, is_head, is_read) = match head(stream, Instant::now() + HEAD_TIME) {
        Ok(Some((head, begun))) => {
            let (is_head, has_body) = (head.method == "HEAD", head.body_bytes > 0);
            let mut request = Request {
                head,
                stream,
                begun,
                is_read: !has_body,
            };
            let reply = panic::catch_unwind(AssertUnwindSafe(|| answer(&mut request)));
            let reply = reply.unwrap_or_else(|payload| {
                let what = demotic_core::panic_message(&*payload);
                Answer::text(
                    500,
                    format!("this is a bug in demotic, please report it: {what}"),
                )
            });
            (reply, is_head, request.is_read)
        }
        Ok(None) => return,
        Err(refusal) => (refusal, false, false),
    };
    if reply
        .send(stream, is_head, Instant::now() + ANSWER_TIME)
        .is_ok()
    {
        let time = if is_read {
            Duration::from_millis(100)
        } else {
            REFUSAL_TIME
        };
        drain(stream, Instant::now() + time);
    }
}

/// The head of a request and what came behind it; none where nothing was asked.
fn head(stream: &TcpStream, deadline: Instant) -> Result<Option<(Head, Vec<u8>)>, Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4 << 10];
    loop {
        match read(stream, &mut buffer, deadline) {
            Ok(0) => return Ok(None),
            Ok(count) => bytes.extend(&buffer[..count]),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                return Err(Answer::text(408, "no whole request came in time"));
            }
            Err(_) => return Ok(None),
        }
        if let Some((head, end)) = Head::parse(&bytes)? {
            return Ok(Some((head, bytes.split_off(end))));
        }
        if bytes.len() > HEAD_BYTES {
            return Err(Answer::text(
                431,
                format!("headers of more than {HEAD_BYTES} bytes"),
            ));
        }
    }
}

/// Says that there are too many. A refusal waits for nobody: connections stay open a while, so that it
/// arrives, beside each other.
fn turn_away(refused: &Receiver<TcpStream>) {
    let busy = Answer::text(503, "too many requests at once; try again").with("Retry-After", "1");
    let mut leaving: VecDeque<(TcpStream, Instant)> = VecDeque::new();
    loop {
        let next = if leaving.is_empty() {
            refused.recv().map_err(RecvTimeoutError::from)
        } else {
            refused.recv_timeout(REFUSAL_TIME)
        };
        match next {
            Ok(stream) => {
                let until = Instant::now() + REFUSAL_TIME;
                if busy.send(&stream, false, until).is_ok() {
                    let _ = stream.shutdown(Shutdown::Write);
                    leaving.push_back((stream, until));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while leaving.len() > REFUSALS || leaving.front().is_some_and(|(_, until)| *until <= now) {
            if let Some((stream, _)) = leaving.pop_front() {
                drain(&stream, now + Duration::from_millis(1));
            }
        }
    }
}

fn drain(stream: &TcpStream, deadline: Instant) {
    let _ = stream.shutdown(Shutdown::Write);
    let mut buffer = [0; 16 << 10];
    let mut drained = 0;
    while drained < DRAINED_BYTES {
        match read(stream, &mut buffer, deadline) {
            Ok(0) | Err(_) => return,
            Ok(count) => drained += count,
        }
    }
}

/// Time that is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

fn read(stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match (&*stream).read(buffer) {
            // What a timeout is called depends on the system.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_refused_where_two_readers_could_disagree() {
        let parse = |text: &str| {
            Head::parse(text.as_bytes())
                .map(|found| found.map(|(head, end)| (head, text.len() - end)))
        };
        let (head, rest) =
            parse("POST /a?run=2&kind=x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                .expect("a request")
                .expect("a whole one");
        assert_eq!(
            (
                head.path.as_str(),
                head.number("run"),
                head.query("kind"),
                rest
            ),
            ("/a", Some(2), Some("x"), 3)
        );
        assert_eq!(
            (
                head.body_bytes,
                head.number::<u32>("kind"),
                head.query("none")
            ),
            (3, None, None)
        );
        assert!(
            parse("GET / HTTP/1.1\r\nHost: a\r\n")
                .expect("so far so good")
                .is_none()
        );
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "\u{1}\u{2}\r\n\r\n",
        ] {
            assert_eq!(parse(bad).map(drop).expect_err(bad).status, 400, "{bad}");
        }
    }
}
