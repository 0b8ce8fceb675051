//! Devices of another machine, over loopback: real processes on both ends.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::resume::assert_same_run;
use crate::support::{Place, Said};

/// The longest that a person may be left without a word: docs/machines.md.
const LIMIT: Duration = Duration::from_mins(1);
const TOKEN: &str = "0123456789abcdef-of-the-tests";
/// Steps enough for something to happen in the middle of them.
const LONG: [&str; 8] = [
    "--set",
    "train.batch=6",
    "--steps",
    "2000",
    "--set",
    "train.checkpoint_steps=10",
    "--set",
    "train.sample_steps=1000",
];

/// `demotic lend` on loopback; killed with the value, if it is still there.
struct Lender {
    child: Child,
    /// For `--device`.
    name: String,
    heard: Arc<Mutex<String>>,
}

impl Lender {
    fn start(place: &Place) -> Self {
        let arguments = [
            "lend",
            "--device",
            "flex",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ];
        Self::of(place.command(&arguments))
    }

    /// The same with `--count`.
    fn counting(place: &Place) -> Self {
        let arguments = "lend --device flex --listen 127.0.0.1:0 --json --count";
        let arguments: Vec<&str> = arguments.split(' ').collect();
        Self::of(place.command(&arguments))
    }

    /// What it said once a client had left, and the number that it gave before some words; it had missed
    /// nothing.
    fn counted(&self) -> (String, impl Fn(&str) -> u64) {
        self.says("tensors moved", 1);
        let heard = self.heard.lock().expect("nobody panics with it").clone();
        assert!(!heard.contains("not counted"), "{heard}");
        let text = heard.clone();
        let number = move |behind: &str| -> u64 {
            let (before, _) = text.split_once(behind).expect("it is reported");
            let word = before.rsplit(' ').next().expect("a word");
            word.trim_start_matches('(').parse().expect("a number")
        };
        (heard, number)
    }

    /// By a command that lends.
    fn of(mut lend: Command) -> Self {
        let mut child = lend
            .env("DEMOTIC_TOKEN", TOKEN)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let offer: Value = serde_json::from_str(&line).unwrap_or_else(|e| {
            let mut err = String::new();
            let pipe = child.stderr.as_mut().expect("a pipe");
            pipe.read_to_string(&mut err).expect("text");
            panic!("{e}: no offer but `{line}`: {err}")
        });
        let name = offer["devices"][0]["names"][0].as_str().expect("a name");
        let heard = Arc::new(Mutex::new(String::new()));
        let (reported, err) = (Arc::clone(&heard), child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let mut reported = reported.lock().expect("nobody panics with it");
                reported.push_str(&line);
                reported.push('\n');
            }
        });
        Self {
            name: name.to_owned(),
            child,
            heard,
        }
    }

    /// Waits until it said something so many times.
    #[track_caller]
    fn says(&self, what: &str, times: usize) {
        let patience = Instant::now() + LIMIT;
        loop {
            let heard = self.heard.lock().expect("nobody panics with it").clone();
            if heard.matches(what).count() >= times {
                return;
            }
            assert!(Instant::now() < patience, "`{what}` never came: {heard}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

fn command(place: &Place, token: &str, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command.env("DEMOTIC_TOKEN", token);
    command
}

fn run(place: &Place, arguments: &[&str]) -> Said {
    crate::support::said(command(place, TOKEN, arguments))
}

fn train(place: &Place, device: &str, arguments: &[&str]) -> Said {
    let own = ["train", "tiny.toml", "--device", device];
    run(place, &[&own[..], arguments].concat())
}

/// The id in a device's name.
fn id(name: &str) -> &str {
    let (id, _) = name.split_once('@').expect("an id");
    id
}

/// A training on a lender that has saved a checkpoint.
fn begun(place: &Place, lender: &Lender, out: &str) -> Child {
    begun_on(place, &lender.name, out)
}

/// A training that has saved a checkpoint; its six pictures a step divide over two devices and three.
fn begun_on(place: &Place, device: &str, out: &str) -> Child {
    let own = ["train", "tiny.toml", "--device", device, "--out", out];
    let child = command(place, TOKEN, &[&own[..], &LONG].concat())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let patience = Instant::now() + LIMIT;
    while !place
        .path(&format!("{out}/checkpoints/step-00000010.safetensors"))
        .exists()
    {
        assert!(Instant::now() < patience, "no checkpoint came");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// What a training says that is to end by itself.
fn end(child: Child) -> Said {
    let began = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The run goes on where it is told to.
fn goes_on(place: &Place, out: &str, device: &str) {
    let resumed = run(
        place,
        &[
            "train", "--resume", "--out", out, "--device", device, "--steps", "400",
        ],
    );
    resumed.done();
}

#[test]
fn a_run_on_another_machine_ends_as_one_on_this_one_to_the_bit() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    train(&place, "flex", &["--out", "here"]).done();
    let far = train(&place, &lender.name, &["--out", "there"]).done();
    assert_same_run(&place, "here", "there");
    let header = place.text("there/header.json");
    for fact in [
        "remote:",
        "there flex",
        "there convolutions by own loops",
        "cpu over 3 labels",
    ] {
        assert!(header.contains(fact), "{fact}: {header}");
    }
    assert!(!far.out.contains(TOKEN) && !header.contains(TOKEN));
    lender.says("takes device 0", 1);
    lender.says("left after", 1);
}

#[test]
fn a_run_on_two_other_machines_ends_as_one_in_two_parts_to_the_bit() {
    let place = Place::of_discs();
    let (a, b) = (Lender::start(&place), Lender::start(&place));
    let two = format!("{},{}", a.name, b.name);
    train(
        &place,
        "flex",
        &["--out", "parts", "--set", "train.accumulate=2"],
    )
    .done();
    train(&place, &two, &["--out", "machines"]).done();
    for file in ["checkpoints/step-00000012.safetensors"] {
        let of = |run: &str| place.read(&format!("{run}/{file}"));
        assert!(of("parts") == of("machines"), "{file}");
    }
}

/// The last figures of a run, by key.
fn figures(place: &Place, out: &str) -> Value {
    let stats = place.text(&format!("{out}/stats.jsonl"));
    let mut records = stats.lines().map(|line| {
        let record: Value = serde_json::from_str(line).expect("JSON");
        record
    });
    records
        .rfind(|record| record.get("g_norm").is_some())
        .expect("a tick")
}

#[test]
fn this_machine_and_another_train_as_one_does_in_two_parts_to_the_bit_and_as_the_whole_batch() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let both = format!("flex,{}", lender.name);
    let in_parts = ["--set", "train.accumulate=2"];
    train(&place, &both, &["--out", "both"]).done();
    train(
        &place,
        "flex",
        &[&["--out", "parts"][..], &in_parts].concat(),
    )
    .done();
    let last = "checkpoints/step-00000012.safetensors";
    let of = |run: &str| place.read(&format!("{run}/{last}"));
    assert!(of("parts") == of("both"));

    // Mixed pictures are planned a part, so a discriminator that learns would go its own way after a step.
    let few = [
        "--steps",
        "3",
        "--set",
        "train.discriminator_rate=0",
        "--set",
        "train.batch=4",
    ];
    for (device, out) in [("flex", "whole"), (&*both, "shared")] {
        train(&place, device, &[&["--out", out][..], &few].concat()).done();
    }
    let (whole, shared) = (figures(&place, "whole"), figures(&place, "shared"));
    for key in [
        "d_real",
        "d_fake",
        "g_reconstruction",
        "g_cycle",
        "g_kl",
        "g_adversarial",
        "g_norm",
    ] {
        let of = |run: &Value| run[key].as_f64().expect("a figure");
        let (a, b) = (of(&whole), of(&shared));
        assert!(a > 0.0 && (a - b).abs() <= 1e-4 * a, "{key}: {a} {b}");
    }
}

/// A training on `first`, a machine that stays and one that dies: which one died is said, and it goes on by
/// the others.
fn goes_on_without(first: &[&str]) {
    let place = Place::of_discs();
    let (stays, dies) = (Lender::start(&place), Lender::start(&place));
    let devices = |lenders: &[&str]| [first, lenders].concat().join(",");
    let training = begun_on(&place, &devices(&[&stays.name, &dies.name]), "run");
    send("-KILL", &dies.child);
    let said = end(training);
    said.refused(1, "no longer answers");
    let (named, alive) = (id(&dies.name), id(&stays.name));
    assert!(
        said.err.contains(named) && !said.err.contains(alive),
        "{said:#?}"
    );
    goes_on(&place, "run", &devices(&[&stays.name]));
}

#[test]
fn a_helper_that_dies_is_named_and_may_be_left_out_or_replaced() {
    goes_on_without(&["flex"]);
}

#[test]
fn a_machine_that_another_waits_for_is_named_when_it_dies() {
    goes_on_without(&[]);
}

#[test]
fn translating_scoring_and_listing_work_over_it() {
    let place = Place::with_run_on_discs();
    let lender = Lender::start(&place);
    place.discs("more", 2);
    for device in ["flex", &lender.name] {
        let out = if device == "flex" { "a" } else { "b" };
        run(
            &place,
            &[
                "translate",
                "--run",
                "run",
                "--to",
                "filled",
                "--device",
                device,
                "--out",
                out,
                "more/hollow",
            ],
        )
        .done();
    }
    assert!(place.read("a/disc-00.png") == place.read("b/disc-00.png"));
    let listed = run(&place, &["devices", "--device", &lender.name]).done();
    for what in ["the CRF by own loops", "convolutions by own loops"] {
        assert!(listed.out.contains(what), "{listed:#?}");
    }
}

#[test]
fn a_wrong_token_a_missing_one_and_a_number_beyond_are_refused() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let at = |token: &str, name: &str| {
        crate::support::said(command(
            &place,
            token,
            &["train", "tiny.toml", "--device", name, "--out", "run"],
        ))
    };
    at("another-token-of-the-same-length", &lender.name)
        .refused(2, "refuses the token in DEMOTIC_TOKEN");
    lender.says("refused", 1);
    at("", &lender.name).refused(2, "needs the token");
    at(TOKEN, &format!("{}:7", lender.name)).refused(2, "lends 1 device(s)");
    assert!(!place.path("run").exists(), "nothing was begun");
}

#[test]
fn nobody_and_somebody_who_talks_nonsense_are_told_from_a_machine_in_time() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let nonsense = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = nonsense.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((count, from)) = nonsense.recv_from(&mut bytes) {
            for byte in &mut bytes[..count] {
                *byte = byte.wrapping_mul(31).wrapping_add(7);
            }
            let _ = nonsense.send_to(&bytes[..count], from);
        }
    });
    let id = id(&lender.name);
    for at in [
        format!("{id}@127.0.0.1:{port}"),
        format!("{id}@127.0.0.1:9"),
    ] {
        let began = Instant::now();
        let said = run(&place, &["devices", "--device", &at]);
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        said.refused(1, "is `demotic lend` running");
    }
    // Nonsense to the lender's port does not disturb it.
    let (_, address) = lender.name.split_once('@').expect("an address");
    let garbage = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for length in [1, 20, 600, 1400] {
        let bytes: Vec<u8> = (0..=250_u8)
            .map(|i| i.wrapping_mul(37))
            .cycle()
            .take(length)
            .collect();
        garbage.send_to(&bytes, address).expect("it is sent");
    }
    run(&place, &["devices", "--device", &lender.name]).done();
}

#[test]
fn a_machine_that_dies_in_a_step_ends_the_run_with_its_checkpoint_whole() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let training = begun(&place, &lender, "run");
    send("-KILL", &lender.child);
    let said = end(training);
    said.refused(1, "no longer answers");
    assert!(said.err.contains("--resume"), "{said:#?}");
    goes_on(&place, "run", "flex");
}

#[test]
fn a_machine_that_is_ended_tells_its_clients_at_once() {
    let place = Place::of_discs();
    let mut lender = Lender::start(&place);
    let training = begun(&place, &lender, "run");
    send("-INT", &lender.child);
    let began = Instant::now();
    let code = lender.child.wait().expect("it ends").code();
    assert_eq!(code, Some(0));
    end(training).refused(1, "no longer answers");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_machine_that_hangs_ends_the_run_within_the_limit() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let training = begun(&place, &lender, "run");
    send("-STOP", &lender.child);
    end(training).refused(1, "no longer answers");
    goes_on(&place, "run", "flex");
}

#[test]
fn a_client_that_dies_leaves_the_machine_to_the_next() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let mut training = begun(&place, &lender, "run");
    training.kill().expect("it is there");
    training.wait().expect("it ends");
    goes_on(&place, "run", &lender.name);
    lender.says("left after", 2);
}

#[test]
fn a_run_that_diverges_goes_back_here_and_ends_as_on_this_machine() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let burst = ["--set", "loss.reconstruction=1e30", "--set"];
    let burst = [&burst[..], &["train.rollbacks_max=2", "--out"]].concat();
    let reported = "training diverged at step 1: g_norm is inf; it went back 2 of at most 2 times";
    for (device, out) in [("flex", "here"), (&*lender.name, "there")] {
        let said = train(&place, device, &[&burst[..], &[out]].concat());
        said.refused(1, reported);
        let backs = said.out.matches("back   step 1 diverged").count();
        assert_eq!(backs, 2, "{said:#?}");
    }
    let first = |run: &str| place.read(&format!("{run}/checkpoints/step-00000000.safetensors"));
    assert!(first("here") == first("there"));
}

#[test]
fn what_a_client_asks_for_is_counted_where_that_is_wanted() {
    let place = Place::of_discs();
    let lender = Lender::counting(&place);
    train(&place, &lender.name, &["--out", "run"]).done();
    let (heard, number) = lender.counted();
    // Twelve steps, each a few groups by their number; figures are read a step later, one answer each.
    let [groups, new, answers] = [" groups of them", " new)", " answers"].map(number);
    assert!(groups >= 12 && new > 0 && answers >= 12, "{heard}");
}

#[test]
fn two_machines_move_a_few_tensors_a_step() {
    let place = Place::of_discs();
    let (a, b) = (Lender::counting(&place), Lender::start(&place));
    let two = format!("{},{}", a.name, b.name);
    train(&place, &two, &["--out", "run"]).done();
    let (heard, number) = a.counted();
    // Both networks once; then, in each of twelve steps, either one's gradients with the figures of its pass,
    // and its weights: 50, and 56 were seen. One tensor a figure and an array would be hundreds.
    let moved = number(" tensors moved");
    assert!((46..=60).contains(&moved), "{heard}");
}

#[test]
fn two_clients_at_once_are_both_served() {
    let place = Place::of_discs();
    let lender = Lender::start(&place);
    let of = |out: &str| {
        command(
            &place,
            TOKEN,
            &["train", "tiny.toml", "--device", &lender.name, "--out", out],
        )
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts")
    };
    let both = [of("one"), of("two")];
    for child in both {
        end(child).done();
    }
    assert_same_run(&place, "one", "two");
}

#[test]
fn a_machine_with_another_build_is_refused_and_both_are_named() {
    let place = Place::of_discs();
    let mut binary = std::fs::read(env!("CARGO_BIN_EXE_demotic")).expect("the binary");
    // A build's number is that of the sources of what travels, which it carries along: a letter of theirs.
    let text = b"on devices of other machines: each operation travels by name";
    let at = binary
        .windows(text.len())
        .position(|window| window == text)
        .expect("the sources are in the binary");
    binary[at] ^= 0x20;
    place.write("other", &binary);
    let path = place.path("other");
    let sent = Command::new("chmod").arg("+x").arg(&path).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let mut lend = Command::new(path);
    lend.args(["lend", "--device", "flex", "--listen", "127.0.0.1:0"])
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let lender = Lender::of(lend);
    let said = run(
        &place,
        &["train", "tiny.toml", "--device", &lender.name, "--out", "x"],
    );
    said.refused(1, "both machines need the same");
    assert_eq!(said.err.matches("(build ").count(), 2, "{said:#?}");
    assert!(!place.path("x").exists(), "nothing was begun");
}
