//! `demotic serve` as its clients meet it: the real binary, asked over plain TCP, also by those who mean no
//! good.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use image::{Rgba, RgbaImage};
use serde_json::Value;

use crate::support::{Place, TINY, photo_like, png, png_that_claims};

/// A server that is killed with the value, if it is still there.
struct Serving {
    child: Child,
    address: String,
    port: u16,
}

/// What came back.
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

impl Serving {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--device", "flex"], arguments].concat();
        let mut child = place
            .command(&arguments)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let address = line.trim().to_owned();
        let host = address
            .strip_prefix("http://")
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_else(|| {
                let mut err = String::new();
                child
                    .stderr
                    .take()
                    .expect("a pipe")
                    .read_to_string(&mut err)
                    .expect("text");
                panic!("no address but `{line}`: {err}")
            });
        let port = host
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        Self {
            port: port.expect("a port"),
            child,
            address,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .expect("a time");
        stream
    }

    /// Sends bytes as they are and reads to the end.
    fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut stream = self.connect();
        // A server that answers early may close before all is sent.
        let _ = stream.write_all(bytes);
        reply(stream)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n{headers}\r\n",
            self.port,
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
            .expect("an answer")
    }

    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", b"")
    }

    fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.ask(
            "POST",
            path,
            "Content-Type: application/octet-stream\r\n",
            body,
        )
    }

    #[cfg(target_os = "linux")]
    fn peak_memory_mib(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a line");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            >> 10
    }

    #[cfg(unix)]
    fn interrupt(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
        let status = self.child.wait().expect("it ends");
        (status, started.elapsed())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reply(mut stream: TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    Some(Reply {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head,
        body: bytes.split_off(end + 4),
    })
}

/// A face in black on white.
fn doodle(side: u32) -> RgbaImage {
    let middle = side as f32 / 2.0;
    RgbaImage::from_fn(side, side, |x, y| {
        let at = |cx: f32, cy: f32| (x as f32 - cx).hypot(y as f32 - cy);
        let is_ink = (at(middle, middle) - 0.4 * side as f32).abs() < side as f32 / 40.0
            || at(0.7 * middle, 0.8 * middle) < side as f32 / 20.0
            || at(1.3 * middle, 0.8 * middle) < side as f32 / 20.0;
        Rgba(if is_ink { [0, 0, 0, 255] } else { [255; 4] })
    })
}

#[test]
fn the_page_is_whole_and_asks_nobody_else() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--port", "0"]);
    assert!(
        serving.address.starts_with("http://127.0.0.1:"),
        "{}",
        serving.address
    );
    // Bound to 127.0.0.1 and to no other address, not even to another one of this machine's own.
    #[cfg(target_os = "linux")]
    assert!(TcpStream::connect(("127.0.0.2", serving.port)).is_err());
    let page = serving.get("/");
    assert_eq!(page.status, 200);
    for line in [
        "Content-Security-Policy: default-src 'none'",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
    ] {
        assert!(page.head.contains(line), "{}", page.head);
    }
    let text = page.text();
    let outside = text.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !outside.contains("http://") && !outside.contains("https://") && !outside.contains("//cdn")
    );
    assert!(!text.contains("NONCE"), "the nonce is filled in");
    assert_ne!(
        page.head,
        serving.get("/").head,
        "and is another every time"
    );
    let head = serving.ask("HEAD", "/", "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(serving.get("/favicon.ico").status, 404);
    assert_eq!(serving.get("/api/styles").status, 405);
    assert_eq!(serving.get("/api/stats").status, 404);
}

#[test]
fn a_doodle_comes_back_in_every_style_as_translate_writes_it() {
    let place = Place::new();
    let picture = png(&doodle(160));
    place.write("doodle.png", &picture);
    let serving = Serving::start(&place, &["--port", "0"]);
    let about = serving.get("/api/about").json();
    let styles: Vec<&str> = about["runs"][0]["networks"]["styles"]
        .as_array()
        .expect("styles")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(styles.len(), 6, "{about:#}");
    let all = serving.post("/api/styles", &picture);
    assert_eq!(all.status, 200, "{}", all.text());
    let all = all.json();
    assert!(all["hint"].is_null(), "a drawing needs none");
    let photo = serving.post("/api/styles", &png(&photo_like(256))).json();
    let hint = photo["hint"].as_str().expect("a photograph has one");
    assert!(hint.starts_with("a photograph, as it seems"), "{hint}");
    assert_eq!(
        (&all["width_px"], &all["height_px"]),
        (&160.into(), &160.into())
    );
    assert_eq!(all["opinion"]["labels"].as_array().map(Vec::len), Some(256));
    for (i, style) in styles.iter().enumerate() {
        let one = &all["styles"][i];
        assert_eq!(one["name"].as_str(), Some(*style));
        let shares = one["opinion"]["styles"].as_array().expect("shares");
        let sum: f64 = shares.iter().filter_map(Value::as_f64).sum();
        assert!((sum - 100.0).abs() < 6.0, "rounded shares: {one}");
        assert!(
            one["picture"]
                .as_str()
                .is_some_and(|url| url.starts_with("data:image/png;base64,"))
        );
    }
    let out = [
        "--device",
        "flex",
        "--out",
        "out",
        "--to",
        "twemoji",
        "doodle.png",
    ];
    place.run(&[&["translate"], &out[..]].concat()).done();
    let twemoji = styles
        .iter()
        .position(|style| *style == "twemoji")
        .expect("a style");
    let full = serving.post(&format!("/api/picture?style={twemoji}"), &picture);
    assert_eq!(full.status, 200);
    assert!(full.head.contains("Content-Type: image/png"));
    assert!(
        full.body == place.read("out/doodle.png"),
        "the bytes that translate writes"
    );
    // The styles of one request share the encoder's work: the same picture.
    let url = all["styles"][twemoji]["picture"]
        .as_str()
        .expect("a picture");
    let coded = url.split_once(',').expect("a data address").1;
    let shown = base64::engine::general_purpose::STANDARD
        .decode(coded)
        .expect("base64");
    let [shown, full] =
        [&shown, &full.body].map(|bytes| image::load_from_memory(bytes).expect("PNG").into_rgb8());
    let apart = shown
        .iter()
        .zip(full.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(apart <= Some(1), "{apart:?} of 255 apart");
    assert_eq!(serving.post("/api/picture?style=6", &picture).status, 400);
    assert_eq!(serving.post("/api/styles?run=1", &picture).status, 404);
}

#[test]
fn a_phrase_recalls_ideas_and_a_drawing_of_each() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--port", "0"]);
    for phrase in ["so tired", "好累"] {
        let answer = serving.post("/api/phrase", phrase.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["is_known"], true, "{phrase}");
        let ideas = answer["ideas"].as_array().expect("ideas");
        assert!((1..=5).contains(&ideas.len()));
        assert!(ideas.iter().all(|idea| idea["name"].is_string()));
        let url = ideas[0]["picture"].as_str().expect("a picture");
        let coded = url.split_once(',').expect("a data address").1;
        let png = base64::engine::general_purpose::STANDARD
            .decode(coded)
            .expect("base64");
        // It can be translated as it is.
        assert_eq!(serving.post("/api/styles", &png).status, 200);
    }
    for nonsense in ["qzxv", "asdf qwer", "quantum chromodynamics"] {
        let unknown = serving.post("/api/phrase", nonsense.as_bytes()).json();
        assert_eq!(unknown["is_known"], false, "{nonsense}");
    }
    for (bad, status) in [(&b"\xff"[..], 400), (b" ", 400), (&[b'a'; 900], 413)] {
        assert_eq!(serving.post("/api/phrase", bad).status, status);
    }
    assert_eq!(serving.ask("POST", "/api/phrase", "", b"tired").status, 415);
}

#[test]
fn other_pages_and_other_names_are_refused() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--port", "0"]);
    let picture = png(&doodle(16));
    let own = format!(
        "Origin: http://127.0.0.1:{}\r\nSec-Fetch-Site: same-origin\r\n",
        serving.port
    );
    let answered = serving.ask("GET", "/api/about", &own, b"");
    assert_eq!(answered.status, 200);
    let head = answered.head.to_ascii_lowercase();
    assert!(!head.contains("access-control"), "{head}");
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let content = "Content-Type: application/octet-stream\r\n";
        for reply in [
            serving.ask(
                "POST",
                "/api/styles",
                &format!("{content}{headers}"),
                &picture,
            ),
            serving.ask("GET", "/api/about", headers, b""),
            serving.ask("OPTIONS", "/api/styles", headers, b""),
        ] {
            assert_eq!(reply.status, 403, "{headers}: {}", reply.text());
            assert!(
                !reply.head.to_ascii_lowercase().contains("access-control"),
                "{}",
                reply.head
            );
        }
    }
    // What a form of another page could send without asking first.
    assert_eq!(
        serving
            .ask(
                "POST",
                "/api/styles",
                "Content-Type: text/plain\r\n",
                &picture
            )
            .status,
        415
    );
    assert_eq!(serving.ask("OPTIONS", "/api/styles", "", b"").status, 405);
    for (host, status) in [
        (format!("localhost:{}", serving.port), 200),
        ("[::1]".to_owned(), 200),
        (format!("evil.example:{}", serving.port), 403),
        ("127.0.0.1.evil.example".to_owned(), 403),
        ("192.168.0.1".to_owned(), 403),
    ] {
        let reply = serving.raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(reply.map(|reply| reply.status), Some(status), "{host}");
    }
}

#[test]
fn what_is_too_large_or_no_request_is_refused_before_it_takes_memory() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--port", "0"]);
    serving.post("/api/styles", &png(&doodle(64)));
    #[cfg(target_os = "linux")]
    let before = serving.peak_memory_mib();
    let post = |length: &str| {
        let kind = "Content-Type: application/octet-stream";
        let head = format!(
            "POST /api/picture?style=0 HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n{length}\r\n\r\n"
        );
        serving.raw(head.as_bytes()).map(|reply| reply.status)
    };
    assert_eq!(post("Content-Length: 18446744073709551615"), Some(413));
    assert_eq!(post("Content-Length: 1000000000000"), Some(413));
    assert_eq!(post("Content-Length: 1e3"), Some(400));
    assert_eq!(post("Transfer-Encoding: chunked"), Some(400));
    assert_eq!(post("Content-Length: 0"), Some(400), "no picture");
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    assert_eq!(
        serving.raw(long.as_bytes()).map(|reply| reply.status),
        Some(431)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X: a\r\n".repeat(200)
    );
    assert_eq!(
        serving.raw(many.as_bytes()).map(|reply| reply.status),
        Some(431)
    );
    assert_eq!(
        serving.raw(b"HELO\r\n\r\n").map(|reply| reply.status),
        Some(400)
    );
    let bomb = serving.post("/api/picture?style=0", &png_that_claims(40_000, 40_000));
    assert_eq!(bomb.status, 400);
    assert!(
        bomb.text()
            .contains("40000 x 40000 pixels; at most 16 megapixels"),
        "{}",
        bomb.text()
    );
    let preview = serving.post("/api/styles", &png_that_claims(2_000, 2_000));
    assert!(
        preview.text().contains("at most 1 megapixels"),
        "{}",
        preview.text()
    );
    let words = serving.post("/api/styles", b"no picture");
    assert!(
        words.status == 400 && words.text().contains("expected a PNG, JPEG, WebP, GIF"),
        "{}",
        words.text()
    );
    #[cfg(target_os = "linux")]
    assert!(
        serving.peak_memory_mib() < before + 64,
        "{before} and {} MiB",
        serving.peak_memory_mib()
    );
    // A browser that leaves in the middle: of its request, and of the answer.
    for begun in [
        "POST /api/styles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\nContent-Type: application/octet-stream\r\n\r\nabc",
        "GET /",
    ] {
        serving.connect().write_all(begun.as_bytes()).expect("sent");
    }
    assert_eq!(serving.get("/").status, 200);
}

#[test]
fn two_hundred_requests_of_twenty_clients_at_once_are_all_answered() {
    let place = Place::with_run_on_discs();
    let runs = ["--run", "built-in", "--run", "run"];
    let serving = Serving::start(&place, &[&["--port", "0"], &runs[..]].concat());
    let picture = png(&doodle(64));
    let counts = thread::scope(|scope| {
        let client = |_| {
            scope.spawn(|| {
                // Each client's first waits for the large networks with those of the others. The rest are for
                // small ones, for time.
                let paths = ["/api/styles?run=0"].into_iter();
                paths
                    .chain(["/api/styles?run=1"; 9])
                    .map(|path| serving.post(path, &picture).status)
                    .collect::<Vec<u16>>()
            })
        };
        let clients: Vec<_> = (0..20).map(client).collect();
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for status in clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"))
        {
            *counts.entry(status).or_default() += 1;
        }
        counts
    });
    assert!(
        counts.keys().all(|status| [200, 503].contains(status)),
        "{counts:?}"
    );
    assert_eq!(counts.values().sum::<usize>(), 200);
    assert!(counts[&200] >= 20, "{counts:?}");
    #[cfg(target_os = "linux")]
    assert!(
        serving.peak_memory_mib() < 1024,
        "{} MiB",
        serving.peak_memory_mib()
    );
}

#[test]
fn connections_beyond_the_queue_are_refused_and_the_server_recovers() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--port", "0"]);
    // Nobody says a word: workers and queue are full of them.
    let mut silent: Vec<TcpStream> = (0..72).map(|_| serving.connect()).collect();
    // Where they came faster than the workers took theirs from the queue, some were refused: these take
    // their places.
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(50));
        silent.extend((0..16).map(|_| serving.connect()));
    }
    let started = Instant::now();
    let refused = serving.get("/");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.contains("Retry-After: 1"), "{}", refused.head);
    assert!(started.elapsed() < Duration::from_secs(4));
    drop(silent);
    let again = Instant::now();
    while serving.get("/").status != 200 {
        assert!(
            again.elapsed() < Duration::from_secs(20),
            "it answers again"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_browser_that_leaves_in_the_middle_harms_nobody() {
    let place = Place::new();
    let mut serving = Serving::start(&place, &["--port", "0"]);
    let picture = png(&doodle(256));
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {length}\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            serving.port
        )
        .into_bytes()
    };
    let page = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", serving.port);
    let whole = [head("/api/styles", picture.len()), picture.clone()].concat();
    let half = whole.len() / 2;
    // In the head, in the body, before the answer, and in the midst of it: more often than there are workers.
    for _ in 0..12 {
        for sent in [
            &head("/api/styles", 9)[..20],
            &whole[..half],
            &whole[..],
            page.as_bytes(),
        ] {
            let mut stream = serving.connect();
            // Where the queue is full, it is refused before all is sent.
            let _ = stream.write_all(sent);
        }
        let mut stream = serving.connect();
        let _ = stream.write_all(page.as_bytes());
        let mut begun = [0; 64];
        let _ = stream.read_exact(&mut begun);
    }
    thread::sleep(Duration::from_millis(500));
    let patience = Instant::now();
    let answered = loop {
        let reply = serving.post("/api/styles", &picture);
        if reply.status != 503 {
            break reply;
        }
        assert!(
            patience.elapsed() < Duration::from_mins(1),
            "it answers again"
        );
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(serving.child.try_wait().expect("a process").is_none());
    #[cfg(target_os = "linux")]
    assert!(
        serving.peak_memory_mib() < 1024,
        "{} MiB",
        serving.peak_memory_mib()
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_at_once_and_is_no_failure() {
    let place = Place::new();
    let mut serving = Serving::start(&place, &["--port", "0"]);
    let before = place.contents();
    let _silent = serving.connect();
    let (status, time) = serving.interrupt();
    assert_eq!(status.code(), Some(0));
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(before == place.contents(), "nothing is written");
}

#[test]
fn beyond_this_machine_nothing_is_answered_without_the_token() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0"]);
    let (_, token) = serving.address.split_once("/?token=").expect("a token");
    assert_eq!(token.len(), 32, "{}", serving.address);
    let wrong = "0".repeat(32);
    let (_, port) = serving.address.split_once(':').expect("a scheme");
    let (_, port) = port.split_once(':').expect("a port");
    // One host keeps its cookies whatever the port: two servers on it do not take each other's.
    let name = format!("demotic-{}", port.split('/').next().expect("a port"));
    for path in ["/", "/api/about", "/?token=", &format!("/?token={wrong}")] {
        let reply = serving.get(path);
        assert_eq!(reply.status, 403, "{path}");
        assert!(!reply.text().contains(token) && !reply.head.contains(token));
    }
    assert_eq!(
        serving
            .ask("GET", "/", &format!("Cookie: {name}={wrong}\r\n"), b"")
            .status,
        403
    );
    let entry = serving.get(&format!("/?token={token}"));
    assert_eq!(entry.status, 303);
    assert!(
        entry.head.contains("Location: /\r\n")
            && entry.head.contains(&format!(
                "Set-Cookie: {name}={token}; HttpOnly; SameSite=Lax"
            )),
        "{}",
        entry.head
    );
    let cookie = format!("Cookie: other=1; demotic-1={wrong}; {name}={token}\r\n");
    assert_eq!(serving.ask("GET", "/", &cookie, b"").status, 200);
    assert_eq!(serving.ask("GET", "/api/about", &cookie, b"").status, 200);
    let other = Serving::start(&place, &["--listen", "127.0.0.1:0"]);
    assert_ne!(
        other.address.split_once('=').map(|(_, token)| token),
        Some(token)
    );
}

#[test]
fn a_port_in_use_and_places_to_listen_that_are_none() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    place.refuses(
        &["serve", "--port", &port],
        2,
        &format!("port {port} is in use"),
    );
    let listen = format!("127.0.0.1:{port}");
    place.refuses(
        &["serve", "--listen", &listen],
        2,
        "give another port, or 0 for any that is free",
    );
    place.refuses(
        &["serve", "--port", "0", "--listen", &listen],
        2,
        "cannot be used with",
    );
}

#[test]
fn a_run_is_watched_from_its_first_figures_on() {
    let place = Place::with_run_on_discs();
    let stats = place.text("run/stats.jsonl");
    // A run that has just begun: a figure, half of the next one, no checkpoint.
    let first = stats.lines().next().expect("a line");
    place.write("young/config.toml", TINY.as_bytes());
    place.write(
        "young/stats.jsonl",
        format!("{first}\n{}", &first[..first.len() / 2]).as_bytes(),
    );
    let legend = "in samples/, style 2 is \u{65e5}\u{672c}";
    place.write(
        "young/header.json",
        format!(
            r#"{{"facts": [{{"topic": "names", "text": "{legend}"}}], "settings": [], "log_bytes": {{}}}}"#
        )
        .as_bytes(),
    );
    let serving = Serving::start(&place, &["--port", "0", "--run", "run", "--run", "young"]);
    let about = serving.get("/api/about").json();
    let runs = about["runs"].as_array().expect("runs");
    assert_eq!(
        (&runs[0]["name"], &runs[1]["name"]),
        (&"run".into(), &"young".into())
    );
    assert!(
        runs[0]["networks"]["step"] == 12 && runs[1]["networks"].is_null(),
        "{about:#}"
    );
    assert!(about["charts"].as_array().is_some_and(|charts| {
        charts
            .iter()
            .any(|chart| chart["figures"][0]["key"] == "d_real")
    }));
    assert_eq!(
        serving.post("/api/styles?run=1", &png(&doodle(16))).text(),
        "this run has no checkpoint yet\n"
    );

    let whole = serving.get("/api/stats?run=0").json();
    let records = whole["records"].as_array().expect("records");
    assert_eq!(records.len(), stats.lines().count());
    assert_eq!(
        (&whole["until"], &whole["steps"], &whole["anew"]),
        (&stats.len().into(), &12.into(), &true.into())
    );
    let ask = |part: &Value| {
        let (until, seen) = (&part["until"], part["seen"].as_str().expect("a mark"));
        serving
            .get(&format!("/api/stats?run=1&from={until}&seen={seen}"))
            .json()
    };
    let begun = serving.get("/api/stats?run=1").json();
    // Which style a number on the pictures of a film is; none where all have their names.
    assert!(begun["names"] == legend && whole["names"].is_null());
    assert_eq!(
        (begun["records"].as_array().map(Vec::len), &begun["until"]),
        (Some(1), &(first.len() + 1).into())
    );
    place.write(
        "young/stats.jsonl",
        format!("{first}\n{first}\n").as_bytes(),
    );
    let next = ask(&begun);
    assert_eq!(
        (next["records"].as_array().map(Vec::len), &next["anew"]),
        (Some(1), &false.into())
    );
    assert_eq!(ask(&next)["records"].as_array().map(Vec::len), Some(0));
    // It went back to a checkpoint: the file is another one.
    place.write("young/stats.jsonl", stats.as_bytes());
    let back = ask(&next);
    assert_eq!(
        (back["records"].as_array().map(Vec::len), &back["anew"]),
        (Some(records.len()), &true.into())
    );

    let steps = whole["samples"].as_array().expect("samples");
    assert!(steps.len() > 1 && steps[0] == 0, "{steps:?}");
    let sample = serving.get(&format!("/api/sample?run=0&kind=samples&step={}", steps[1]));
    assert!(
        sample.body
            == place.read(&format!(
                "run/samples/step-{:08}.png",
                steps[1].as_u64().expect("a step")
            ))
    );
    for path in [
        "step=../config.toml",
        "step=7&kind=../../run/config.toml",
        "step=-1",
        "",
    ] {
        let reply = serving.get(&format!("/api/sample?run=0&{path}"));
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    // A new run takes weights as they come.
    let picture = png(&doodle(16));
    assert_eq!(serving.post("/api/styles?run=0", &picture).status, 200);
}
