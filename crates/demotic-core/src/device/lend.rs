//! This machine's devices, lent to others: the server behind `demotic lend`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use burn::backend::DispatchDevice;
use burn::server::telemetry::{
    DrainStatus, TelemetryEvent, TelemetryProbe, TelemetrySubscription, TransferPhase,
};
use burn::server::{
    AuthorizationRequest, BURN_REMOTE_ALPN, ClientId, IrohIdentity, PeerAuthorizer, RemoteServer,
    TokenAuthorizer,
};
use burn::tensor::Device;
use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, DynProtocolHandler, ProtocolHandler, Router};
use iroh::{EndpointId, SecretKey};
use tokio::runtime::Runtime;

use super::listed::Chosen;
use super::remote::{Greeting, Lent, builder, runtime};
use crate::error::Error;
use crate::ops;

/// How long it may take to send the clients word that it is over.
const CLOSE_SECS: u64 = 5;
/// Events that wait to be counted, at most.
const EVENTS_MAX: usize = 1 << 16;
/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_millis(2);

/// What clients asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Operations that came one by one, and tensors that were given back.
    pub operations: u64,
    /// Groups of operations that came by their number.
    pub groups: u64,
    /// Those that came whole, to have a number from then on.
    pub new_groups: u64,
    /// Answers that a client may wait for: values read back, and the end of all work.
    pub answers: u64,
    /// Tensors that went from one device to another.
    pub moved: u64,
    /// What came too fast to be counted.
    pub missed: u64,
}

impl Asked {
    fn count(&mut self, event: &TelemetryEvent) {
        match event {
            TelemetryEvent::Op { .. } | TelemetryEvent::TensorDropped { .. } => {
                self.operations += 1;
            }
            TelemetryEvent::GraphExecuted { .. } => self.groups += 1,
            TelemetryEvent::GraphRegistered { .. } => self.new_groups += 1,
            TelemetryEvent::Read { .. } | TelemetryEvent::Sync { .. } => self.answers += 1,
            TelemetryEvent::Transfer {
                phase: TransferPhase::Completed,
                ..
            } => self.moved += 1,
            _ => {}
        }
    }

    /// What was asked for since.
    fn since(self, before: Self) -> Self {
        Self {
            operations: self.operations - before.operations,
            groups: self.groups - before.groups,
            new_groups: self.new_groups - before.new_groups,
            answers: self.answers - before.answers,
            moved: self.moved - before.moved,
            missed: self.missed - before.missed,
        }
    }
}

/// What all clients asked for so far, counted on a thread of its own.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<Asked>>);

impl Tally {
    fn all(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts until nobody tells any more.
    fn follow(&self, mut events: TelemetrySubscription) {
        let tally = self.clone();
        thread::spawn(move || {
            let mut come = Vec::new();
            loop {
                let status = events.drain_into(&mut come);
                let mut all = tally.all();
                for event in come.drain(..) {
                    all.count(&event);
                }
                match status {
                    DrainStatus::Open { lagged } => all.missed += lagged,
                    DrainStatus::Closed => return,
                }
                drop(all);
                thread::sleep(COUNT_EVERY);
            }
        });
    }
}

/// Something that a client did.
#[derive(Clone, Debug)]
pub enum Visit {
    /// It reached this machine.
    Came {
        /// The beginning of its id.
        client: String,
        /// Where it is, as far as that is known.
        from: String,
    },
    /// It was let at a device.
    Took {
        /// The beginning of its id.
        client: String,
        /// The device's number here.
        device: u32,
    },
    /// It had a wrong token, or none.
    Refused {
        /// The beginning of its id.
        client: String,
    },
    /// Its connection ended.
    Left {
        /// The beginning of its id.
        client: String,
        /// How long it was here.
        secs: f64,
        /// Bytes that came from it, headers of the transport included.
        received_bytes: u64,
        /// Bytes that went to it.
        sent_bytes: u64,
        /// Datagrams that came from it.
        received: u64,
        /// Datagrams that went to it.
        sent: u64,
        /// What it asked for, and whoever else was here meanwhile; none where that is not counted.
        asked: Option<Asked>,
        /// Why it ended.
        reason: String,
    },
}

/// Learns of visits; called from the network's threads.
type OnVisit = Arc<dyn Fn(Visit) + Send + Sync>;

/// Devices that are lent until this is dropped.
pub struct Lending {
    runtime: Runtime,
    router: Router,
    id: EndpointId,
    addresses: Vec<SocketAddr>,
}

impl Lending {
    /// Lends devices of one backend at an address, port 0 for one that is free, to whoever has the token.
    ///
    /// `identity`: a file that keeps the id over restarts, made where it is absent; without it the id is
    /// another at each start. `is_counted`: what clients ask for is counted, which costs a little.
    ///
    /// # Errors
    /// [`Error::Config`] for devices of several backends, of another machine or an empty token;
    /// [`Error::Input`] for an address that this machine does not have, or a port in use; [`Error::Io`].
    pub fn new(
        chosen: &[Chosen],
        listen: SocketAddr,
        token: &str,
        identity: Option<&Path>,
        is_counted: bool,
        on_visit: impl Fn(Visit) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::greeting_as(
            &greeting(chosen),
            chosen,
            listen,
            token,
            identity,
            is_counted,
            Arc::new(on_visit),
        )
    }

    fn greeting_as(
        greeting: &Greeting,
        chosen: &[Chosen],
        listen: SocketAddr,
        token: &str,
        identity: Option<&Path>,
        is_counted: bool,
        on_visit: OnVisit,
    ) -> Result<Self, Error> {
        let identity = match identity {
            None => IrohIdentity::random(),
            Some(path) => IrohIdentity::load_or_create(path)
                .map_err(Error::io("read or make the file of the id", path))?,
        };
        let mut server =
            server(chosen, greeting)?.with_authorizer(doorkeeper(token, Arc::clone(&on_visit))?);
        let tally = is_counted.then(Tally::default);
        if let Some(tally) = &tally {
            let (probe, events) = TelemetryProbe::channel(EVENTS_MAX);
            tally.follow(events);
            server = server.with_telemetry(probe);
        }
        let runtime = runtime()?;
        let endpoint = runtime
            .block_on(async {
                builder()
                    .secret_key(SecretKey::from_bytes(&identity.to_bytes()))
                    .alpns(vec![BURN_REMOTE_ALPN.to_vec()])
                    .clear_ip_transports()
                    .bind_addr(listen)
                    .map_err(|e| e.to_string())?
                    .bind()
                    .await
                    .map_err(|e| format!("{e:#}"))
            })
            .map_err(|e| {
                Error::Input(format!(
                    "cannot listen at {listen}: {e}; expected an address of this machine with a UDP port that is free, such as \
                     0.0.0.0:0"
                ))
            })?;
        let addresses = endpoint.bound_sockets();
        let protocol = server
            .into_protocol(&endpoint)
            .map_err(|e| Error::Config(vec![format!("device: {e}")]))?;
        let watched = Watched {
            protocol: protocol.into(),
            tally,
            on_visit,
        };
        let router = {
            let _here = runtime.enter();
            Router::builder(endpoint)
                .accept(BURN_REMOTE_ALPN, watched)
                .spawn()
        };
        Ok(Self {
            runtime,
            router,
            id: identity.id(),
            addresses,
        })
    }

    /// Names of the device of a number for `--device` on other machines, one for each address of this one
    /// that others may reach; the one of its own network first.
    pub fn names(&self) -> Vec<String> {
        let own = |address: &SocketAddr| match address.ip() {
            ip if !ip.is_unspecified() => vec![*address],
            IpAddr::V4(_) => outward()
                .into_iter()
                .chain([IpAddr::from([127, 0, 0, 1])])
                .map(|ip| SocketAddr::new(ip, address.port()))
                .collect(),
            IpAddr::V6(_) => vec![SocketAddr::new(
                std::net::Ipv6Addr::LOCALHOST.into(),
                address.port(),
            )],
        };
        let names = self.addresses.iter().flat_map(own);
        names
            .map(|address| format!("remote:{}@{address}", self.id))
            .collect()
    }

    /// Ends all sessions and gives the port back.
    pub fn finish(self) {
        let closing = async {
            tokio::time::timeout(Duration::from_secs(CLOSE_SECS), self.router.shutdown()).await
        };
        // A client that does not answer finds out by itself.
        let _ = self.runtime.block_on(closing);
        self.runtime.shutdown_background();
    }
}

/// This machine's address in the network that leads outwards; nothing is sent to find it.
fn outward() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// What clients are sent about the devices.
fn greeting(chosen: &[Chosen]) -> Greeting {
    // A client that cannot ask what a device lacks sends it tensor operations.
    let runs = |device: &Device| match ops::lacking(device) {
        Some(_) => "other".to_owned(),
        None => demotic_crf::runtime_name(device),
    };
    let lent = chosen.iter().map(|one| Lent {
        name: one.name.clone(),
        description: one.description.clone(),
        runtime: runs(&one.device),
        is_software: one.is_software,
        is_tuned: one.is_tuned,
    });
    Greeting::new(lent.collect())
}

/// A server of devices of one backend, with the operations that their clients send.
fn server(chosen: &[Chosen], greeting: &Greeting) -> Result<RemoteServer, Error> {
    let refused = |what: String| Err(Error::Config(vec![format!("device: {what}")]));
    let devices = chosen.iter().map(|one| one.device.clone().inner());
    let server = RemoteServer::new(devices);
    let mut backends = chosen.iter().map(|one| one.device.clone().inner());
    let first = backends.next().map(|device| device.as_dispatch().clone());
    match first {
        Some(DispatchDevice::Flex(_)) => {
            let mut registry = ops::remote::on_flex();
            greeting.answer(&mut registry)?;
            Ok(server.with_custom_ops(registry))
        }
        #[cfg(feature = "wgpu")]
        Some(DispatchDevice::Cube(_)) => {
            let mut registry = ops::remote::on_cube();
            greeting.answer(&mut registry)?;
            Ok(server.with_custom_ops(registry))
        }
        Some(DispatchDevice::Remote(_)) => {
            refused("a device of another machine is not lent on; run `demotic lend` there".into())
        }
        _ => refused(format!(
            "`{}` cannot be lent; expected flex, or devices of wgpu, cuda or rocm",
            chosen.first().map_or("", |one| one.name.as_str())
        )),
    }
}

/// Lets clients with the token in, and reports them.
fn doorkeeper(token: &str, on_visit: OnVisit) -> Result<impl PeerAuthorizer + use<>, Error> {
    let tokens = TokenAuthorizer::new(token)
        .map_err(|_empty| Error::Config(vec!["the token is empty".into()]))?;
    Ok(move |request: AuthorizationRequest<'_>| {
        let (client, device) = (named(request.client), request.device_index);
        let answer = tokens.authorize(request);
        on_visit(match answer {
            Ok(()) => Visit::Took { client, device },
            Err(_) => Visit::Refused { client },
        });
        answer
    })
}

fn named(client: ClientId) -> String {
    match client {
        ClientId::Iroh(id) => id.fmt_short().to_string(),
        ClientId::WebSocket(address) => address.to_string(),
    }
}

/// Burn's protocol, with an eye on who comes and goes.
struct Watched {
    protocol: Box<dyn DynProtocolHandler>,
    tally: Option<Tally>,
    on_visit: OnVisit,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl ProtocolHandler for Watched {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let client = connection.remote_id().fmt_short().to_string();
        let from = connection
            .paths()
            .iter()
            .next()
            .map_or_else(String::new, |path| path.remote_addr().to_string());
        (self.on_visit)(Visit::Came {
            client: client.clone(),
            from,
        });
        let began = Instant::now();
        let before = self.tally.as_ref().map(|tally| *tally.all());
        let result = self.protocol.accept(connection.clone()).await;
        if self.tally.is_some() {
            // What it asked for last is counted by then.
            tokio::time::sleep(2 * COUNT_EVERY).await;
        }
        let (stats, reason) = (connection.stats(), connection.close_reason());
        (self.on_visit)(Visit::Left {
            client,
            secs: began.elapsed().as_secs_f64(),
            received_bytes: stats.udp_rx.bytes,
            sent_bytes: stats.udp_tx.bytes,
            received: stats.udp_rx.datagrams,
            sent: stats.udp_tx.datagrams,
            asked: self
                .tally
                .as_ref()
                .zip(before)
                .map(|(tally, before)| tally.all().since(before)),
            reason: reason.map_or_else(String::new, |reason| reason.to_string()),
        });
        result
    }

    async fn shutdown(&self) {
        self.protocol.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::remote::greeted;
    use super::*;

    const TOKEN: &str = "a token of sixteen letters";

    fn lending(greeting: &Greeting) -> Lending {
        let (chosen, local) = ([Chosen::flex()], SocketAddr::from(([127, 0, 0, 1], 0)));
        let nobody: OnVisit = Arc::new(|_| {});
        Lending::greeting_as(greeting, &chosen, local, TOKEN, None, false, nobody)
            .expect("loopback has a free port")
    }

    #[test]
    fn a_machine_of_another_version_or_build_is_refused_and_both_are_named() {
        let own = greeting(&[Chosen::flex()]);
        let older = Greeting {
            version: "0.0.9".into(),
            ..own.clone()
        };
        let other = Greeting {
            build: "12345678".into(),
            ..own.clone()
        };
        for (greeting, named) in [(older, "demotic 0.0.9"), (other, "(build 12345678)")] {
            let lending = lending(&greeting);
            let error = greeted(&lending.names()[0], TOKEN).expect_err("another one");
            let error = error.to_string();
            assert!(error.contains(named), "{error}");
            assert!(
                error.contains(&format!("this is demotic {} (build", own.version)),
                "{error}"
            );
            lending.finish();
        }
        let lending = lending(&own);
        let (_, answer, _) = greeted(&lending.names()[0], TOKEN).expect("the same");
        assert_eq!(answer, own);
        lending.finish();
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let refused = Lending::new(&[Chosen::flex()], elsewhere, TOKEN, None, false, |_| {});
        let error = refused
            .map(|_| ())
            .expect_err("not this machine's")
            .to_string();
        assert!(error.contains("cannot listen at 192.0.2.1:0"), "{error}");
    }
}
