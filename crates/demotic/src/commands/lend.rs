//! `demotic lend`: this machine's devices, for other machines to compute on.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Result;
use demotic_core::device::lend::{Asked, Lending, Visit};
use demotic_core::device::{self, Chosen, TOKEN_VARIABLE};
use demotic_core::panic_line;
use serde_json::json;

use crate::cli::LendArgs;
use crate::failure::input;
use crate::options::warn_of_software;
use crate::output::{bytes, duration, say};
use crate::progress::stop_requests;

/// Fewest letters of a token: what is shorter may be guessed.
const TOKEN_LETTERS_MIN: usize = 16;
/// Begins the names of the threads that compute for clients.
const SESSION: &str = "burn-remote-session";
/// Bytes of a token that is drawn here.
const TOKEN_BYTES: usize = 16;

pub(crate) fn run(args: &LendArgs) -> Result<()> {
    let listen: SocketAddr = args.listen.parse().map_err(|_no_address| {
        input(format!(
            "--listen: expected ADDR:PORT, an address of this machine such as 192.168.1.7:7501, 0.0.0.0:7501 for all of them, or port 0 \
             for any that is free; got `{}`",
            args.listen
        ))
    })?;
    let token = token()?;
    let chosen = device::open_all(&args.device.device)?;
    warn_of_software(&chosen);
    let stop = stop_requests()?;
    let report = |visit: Visit| {
        // Nobody may read it.
        let _ = writeln!(std::io::stderr(), "{}", line(&visit));
    };
    let identity = args.identity.as_deref();
    let lending = Lending::new(&chosen, listen, &token, identity, args.count, report)?;
    tell_of_failures();
    say(&offer(&lending, &chosen, &token, args.json))?;
    let _ = writeln!(std::io::stderr(), "lending; Ctrl-C ends");
    // The sender lives in the handler, as long as the process.
    let _ = stop.recv();
    lending.finish();
    Ok(())
}

/// Says why a client's work ends here: Burn ends its session, and tells nobody.
fn tell_of_failures() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.starts_with(SESSION)) {
            let why = panic_line(info.payload());
            let _ = writeln!(std::io::stderr(), "what a client sent failed here: {why}");
        }
        others(info);
    }));
}

/// What lets clients in: the one that is set, or a new one.
fn token() -> Result<String> {
    let set = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
    if set.is_empty() {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
        let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        return Ok(digits.map(digit).collect());
    }
    if set.len() < TOKEN_LETTERS_MIN {
        return Err(input(format!(
            "{TOKEN_VARIABLE}: expected {TOKEN_LETTERS_MIN} letters or more, got {}; unset it, and a token is drawn",
            set.len()
        )));
    }
    Ok(set)
}

/// How to reach the devices.
fn offer(lending: &Lending, chosen: &[Chosen], token: &str, as_json: bool) -> String {
    let names = lending.names();
    let of = |number: usize| {
        let names = names.iter();
        names
            .map(|name| match number {
                0 => name.clone(),
                number => format!("{name}:{number}"),
            })
            .collect::<Vec<_>>()
    };
    if as_json {
        let devices: Vec<_> = chosen
            .iter()
            .enumerate()
            .map(|(number, one)| json!({"description": one.description, "names": of(number)}))
            .collect();
        return format!("{}\n", json!({"token": token, "devices": devices}));
    }
    let mut lines = vec![
        "On the other machine:".to_owned(),
        format!("  export {TOKEN_VARIABLE}={token}"),
    ];
    for (number, one) in chosen.iter().enumerate() {
        for name in of(number) {
            lines.push(format!("  --device {name}    {}", one.description));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A visit in words.
fn line(visit: &Visit) -> String {
    match visit {
        Visit::Came { client, from } => format!("{client}  came from {from}"),
        Visit::Took { client, device } => format!("{client}  takes device {device}"),
        Visit::Refused { client } => format!("{client}  refused: its token is another"),
        Visit::Left {
            client,
            secs,
            received_bytes,
            sent_bytes,
            received,
            sent,
            asked,
            reason,
        } => format!(
            "{client}  left after {}: {} came in {received} datagrams, {} went in {sent}{} ({reason})",
            duration(*secs),
            bytes(*received_bytes),
            bytes(*sent_bytes),
            asked.as_ref().map_or_else(String::new, counted),
        ),
    }
}

/// What was asked for, behind a comma.
fn counted(asked: &Asked) -> String {
    let Asked {
        operations,
        groups,
        new_groups,
        answers,
        moved,
        missed,
    } = asked;
    let missed = match missed {
        0 => String::new(),
        missed => format!(", {missed} not counted"),
    };
    format!(
        "; asked for {operations} operations, {groups} groups of them ({new_groups} new), {answers} answers, {moved} tensors moved{missed}"
    )
}
