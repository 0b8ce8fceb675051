//! `demotic serve`: a page in the browser to draw on and to watch training, from this program alone.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, ToSocketAddrs};

use anyhow::Result;

use crate::cli::ServeArgs;
use crate::failure::input;
use crate::output::say;
use crate::progress::stop_requests;
use crate::serve::Site;
use crate::serve::guard::Guard;

pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    let (listener, guard) = match &args.listen {
        Some(asked) => open_to_others(asked)?,
        None => (bound(("127.0.0.1", args.port), args.port)?, Guard::local()),
    };
    let site = Site::open(guard, &args.run, args.checkpoint, &args.device.device)?;
    let (runs, device) = (
        args.run.iter().map(|run| run.display().to_string()),
        site.device.clone(),
    );
    let runs = runs.collect::<Vec<_>>().join(", ");
    let address = site.address(listener.local_addr()?);
    let stop = stop_requests()?;
    let running = site.start(listener)?;
    say(&format!("{address}\n"))?;
    // Nobody may read it.
    let _ = writeln!(
        std::io::stderr(),
        "serving {runs} on {device}; open the address in a browser, Ctrl-C ends"
    );
    // The sender lives in the handler, as long as the process.
    let _ = stop.recv();
    running.finish();
    Ok(())
}

fn open_to_others(asked: &str) -> Result<(TcpListener, Guard)> {
    let bad = || {
        input(format!(
            "--listen: expected ADDR:PORT, an address of this machine such as 192.168.1.7:7500, or 0.0.0.0:7500 for all of them; \
             got `{asked}`"
        ))
    };
    let (host, port) = asked.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_no_port| bad())?;
    let addresses: Vec<_> = asked.to_socket_addrs().map_err(|_unknown| bad())?.collect();
    Ok((bound(addresses.as_slice(), port)?, Guard::open(host)?))
}

fn bound(address: impl ToSocketAddrs, port: u16) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => input(format!(
            "port {port} is in use, perhaps by another `demotic serve`; give another port, or 0 for any that is free"
        )),
        ErrorKind::PermissionDenied => input(format!(
            "port {port} may not be used by this user; give one above 1023, or 0 for any that is free"
        )),
        ErrorKind::AddrNotAvailable => input(
            "--listen: this machine has no such address; give one of its own, or 0.0.0.0 for all of them",
        ),
        _ => anyhow::anyhow!("cannot listen on port {port}: {e}"),
    })
}
