//! Devices of other machines: `remote:ID@HOST:PORT`, where `demotic lend` runs ([`super::lend`]).
//!
//! The connection is Burn's remote backend over QUIC (iroh): encrypted, the server known by its id, the
//! client by a token. It goes to the address that was named and nowhere else: no relay, no look-up, no port
//! opened in a router.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Remote, backend_extension};
use burn::remote::{ConnectError, EndpointId, IrohHost, RemoteHost};
use burn::server::{BURN_REMOTE_ALPN, CustomOpRegistry};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use iroh::endpoint::{Builder, PortmapperConfig, QuicTransportConfig, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode, TransportAddr};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::listed::Chosen;
use crate::error::{Error, caught};
use crate::number::Whole;
use crate::ops;

/// Begins the name of such a device.
pub(super) const PREFIX: &str = "remote:";
/// Holds the token of the machines that are asked.
pub const TOKEN_VARIABLE: &str = "DEMOTIC_TOKEN";
/// How long a machine may take to answer when it is first asked.
const ANSWER_SECS: u64 = 30;
/// How long a machine that is asked whether it is still there may take.
const CHECK_SECS: u64 = 20;
/// How long it may then take to say that it is there.
const CONNECT_SECS: u64 = 5;
/// How long saying good-bye may take.
const CLOSE_SECS: u64 = 3;
/// Values that a greeting takes: its text, a byte a value, and zeros.
const GREETING_VALUES: usize = 8192;
/// The name that a greeting travels by: it stays the same in every version, so that each understands the
/// other as far as that.
const GREETING: &str = "demotic_greeting";

/// What a server says of itself before anything is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// Version of this program.
    pub(super) version: String,
    /// Version of what travels between the machines.
    pub(super) build: String,
    /// By number.
    pub(super) devices: Vec<Lent>,
}

/// A device that a server lends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Its name over there, such as `wgpu:0`.
    pub name: String,
    /// What a person reads.
    pub description: String,
    /// As [`demotic_crf::runtime_name`] names it over there.
    pub runtime: String,
    /// Whether a processor stands behind a GPU's interface.
    pub(crate) is_software: bool,
    /// As of [`Chosen`].
    pub(crate) is_tuned: bool,
}

impl Greeting {
    /// The greeting of this build.
    pub(super) fn new(devices: Vec<Lent>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            build: build(),
            devices,
        }
    }

    /// Answers clients that greet.
    ///
    /// # Errors
    /// [`Error::Config`] for more devices than a greeting has room for.
    pub(super) fn answer<B: BackendIr>(
        &self,
        registry: &mut CustomOpRegistry<B>,
    ) -> Result<(), Error> {
        let text = serde_json::to_string(self).expect("a greeting is JSON");
        if text.len() > GREETING_VALUES {
            return Err(Error::Config(vec![format!(
                "device: {} devices are more than can be lent at once",
                self.devices.len()
            )]));
        }
        let mut values: Vec<f32> = text.bytes().map(f32::from).collect();
        values.resize(GREETING_VALUES, 0.0);
        registry.register(GREETING, move |handles, ir, device| {
            let data = TensorData::new(values.clone(), [GREETING_VALUES]);
            let tensor = B::float_from_data(data, device);
            handles.register_float_tensor::<B>(&ir.outputs[0].id, tensor);
        });
        Ok(())
    }

    /// From the values of an answer.
    fn read(values: &[f32]) -> Option<Self> {
        let bytes: Vec<u8> = values
            .iter()
            .map(|value| value.to_u8())
            .take_while(|byte| *byte != 0)
            .collect();
        serde_json::from_slice(&bytes).ok()
    }
}

/// A number of what travels between the machines, from the code that says so: builds whose numbers differ
/// might not understand each other.
fn build() -> String {
    let mut sum = crc32fast::Hasher::new();
    for text in [ops::remote::SOURCE, demotic_crf::remote::SOURCE] {
        sum.update(text.as_bytes());
    }
    format!("{:08x}", sum.finalize())
}

#[backend_extension(Remote)]
trait Greet: Backend {
    /// The answer of the machine that holds a tensor.
    fn greet(held: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Greet for Remote {
    fn greet(held: FloatTensor<Self>) -> FloatTensor<Self> {
        let answer = (Shape::new([GREETING_VALUES]), DType::F32);
        let [answer] = demotic_crf::remote::send(GREETING, [held], [answer], vec![]);
        answer
    }
}

/// `ID@HOST:PORT[:N]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    id: EndpointId,
    host: String,
    port: u16,
    number: usize,
}

impl Place {
    /// Reads a device's whole name.
    fn parse(asked: &str) -> Result<Self, Error> {
        let bad = |what: &str| {
            Error::Config(vec![format!(
                "device: {what}; expected remote:ID@HOST:PORT or remote:ID@HOST:PORT:N, as `demotic lend` on the other machine prints \
                 it; got `{asked}`"
            )])
        };
        let rest = asked.strip_prefix(PREFIX).unwrap_or(asked);
        let (id, rest) = rest
            .split_once('@')
            .ok_or_else(|| bad("no `@` between id and address"))?;
        let id = id
            .parse()
            .map_err(|_no_id| bad("the id is not the 64 letters and digits that it should be"))?;
        let (host, numbers) = match rest.strip_prefix('[') {
            Some(rest) => rest
                .split_once("]:")
                .ok_or_else(|| bad("no port after the address"))?,
            None => rest
                .split_once(':')
                .ok_or_else(|| bad("no port after the host"))?,
        };
        let (port, number) = numbers.split_once(':').unwrap_or((numbers, "0"));
        let port: u16 = port
            .parse()
            .map_err(|_no_number| bad("the port is no number from 1 to 65535"))?;
        if host.is_empty() || port == 0 {
            return Err(bad("no host, or port 0"));
        }
        Ok(Self {
            id,
            host: host.to_owned(),
            port,
            number: number
                .parse()
                .map_err(|_no_number| bad("the device's number is none"))?,
        })
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found = found.map_err(|e| {
            Error::Device(format!(
                "no machine of the name `{}` is known here: {e}",
                self.host
            ))
        })?;
        Ok(found.collect())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        write!(
            f,
            "{PREFIX}{}@{host}:{}:{}",
            self.id, self.port, self.number
        )
    }
}

/// An endpoint that keeps to the addresses it is given.
pub(super) fn builder() -> Builder {
    // Batches of datagrams that some network cards cut wrongly: Burn goes without them, too.
    let transport = QuicTransportConfig::builder()
        .enable_segmentation_offload(false)
        .build();
    Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .portmapper_config(PortmapperConfig::Disabled)
        .transport_config(transport)
}

/// What drives an endpoint.
///
/// # Errors
/// [`Error::Device`].
pub(super) fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("demotic-network")
        .enable_all()
        .build()
        .map_err(|e| Error::Device(format!("cannot start the network's threads: {e}")))
}

/// This process among others: its endpoint, and the devices it has opened there.
struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
    opened: Mutex<Vec<Opened>>,
}

static CLIENT: Mutex<Option<Arc<Client>>> = Mutex::new(None);

fn existing() -> Option<Arc<Client>> {
    let client = CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
    client.clone()
}

fn client() -> Result<Arc<Client>, Error> {
    let mut client = CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = &*client {
        return Ok(Arc::clone(client));
    }
    let runtime = runtime()?;
    let endpoint = runtime
        .block_on(builder().bind())
        .map_err(|e| Error::Device(format!("cannot open a port to other machines: {e}")))?;
    let new = Arc::new(Client {
        runtime,
        endpoint,
        opened: Mutex::default(),
    });
    *client = Some(Arc::clone(&new));
    Ok(new)
}

/// Waits for what another machine was asked.
///
/// # Panics
/// If this process has opened no device of another machine.
pub(super) fn waited<T>(coming: impl Future<Output = T>) -> T {
    let client = existing().expect("who was asked is known");
    client.runtime.block_on(coming)
}

/// Runs something that waits for another machine, on a thread that is left behind where it waits too long.
fn within<T: Send + 'static>(secs: u64, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (ended, waiting) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more where it took too long.
        let _ = ended.send(work());
    });
    waiting.recv_timeout(Duration::from_secs(secs)).ok()
}

/// Opens a device of another machine by its name.
///
/// # Errors
/// [`Error::Config`] for a name that is none, a token that is missing or wrong, a number beyond the devices
/// there are; [`Error::Device`] where nothing answers in 30 s, or another version does.
pub(super) fn open(asked: &str) -> Result<Chosen, Error> {
    let (place, lent, device) = greeted(asked, &token(asked)?)?;
    let count = lent.devices.len();
    let lent = lent.devices.into_iter().nth(place.number).ok_or_else(|| {
        Error::Device(format!(
            "`{asked}` opens, but tells of {count} device(s) only; start `demotic lend` there anew"
        ))
    })?;
    let far = demotic_crf::remote::Far {
        runtime: lent.runtime,
        is_software: lent.is_software,
    };
    demotic_crf::remote::register(&device, far);
    let name = place.to_string();
    let description = format!("{name}: there {}", lent.description);
    let client = client()?;
    let mut opened = client.opened.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.iter().all(|other| other.device != device) {
        let device = device.clone();
        opened.push(Opened { place, device });
    }
    Ok(Chosen {
        device,
        name,
        description,
        is_software: lent.is_software,
        is_tuned: lent.is_tuned,
    })
}

/// The devices that a machine lends, by number. `asked`: `remote:ID@HOST:PORT`.
///
/// # Errors
/// As of [`super::open`].
pub fn lent(asked: &str) -> Result<Vec<Lent>, Error> {
    greeted(asked, &token(asked)?).map(|(_, greeting, _)| greeting.devices)
}

/// The token that this process was given.
fn token(asked: &str) -> Result<String, Error> {
    Place::parse(asked)?;
    let token = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
    if token.is_empty() {
        return Err(Error::Config(vec![format!(
            "device: `{asked}` needs the token that `demotic lend` printed there, in the environment variable {TOKEN_VARIABLE}"
        )]));
    }
    Ok(token)
}

/// Opens a device and greets its machine, which has to be of this build.
pub(super) fn greeted(asked: &str, token: &str) -> Result<(Place, Greeting, Device), Error> {
    let place = Place::parse(asked)?;
    let client = client()?;
    let mut host = IrohHost::new(place.id).with_endpoint(client.endpoint.clone());
    for address in place.addresses()? {
        host = host.with_address(address);
    }
    let host = RemoteHost::iroh(host).with_credential(token);
    let number = place.number;
    let answer = within(ANSWER_SECS, move || {
        let device = Device::remote_options(&host).device_index(number).init()?;
        let greeting = greet(&device);
        Ok::<_, ConnectError>((device, greeting))
    });
    let (device, greeting) = match answer {
        Some(answer) => answer.map_err(|e| refused(asked, e))?,
        None => {
            return Err(Error::Device(format!(
                "`{asked}` did not answer in {ANSWER_SECS} s; is `demotic lend` running there, and does a firewall let UDP port {} \
                 through?",
                place.port
            )));
        }
    };
    let own = Greeting::new(vec![]);
    let greeting = greeting.ok_or_else(|| {
        Error::Device(format!(
            "`{asked}` answers, but not as demotic {} does: another program, or another version; start `demotic lend` of this \
             version there",
            own.version
        ))
    })?;
    if (&greeting.version, &greeting.build) != (&own.version, &own.build) {
        return Err(Error::Device(format!(
            "`{asked}` runs demotic {} (build {}), this is demotic {} (build {}): both machines need the same; build it there from \
             the same source",
            greeting.version, greeting.build, own.version, own.build
        )));
    }
    Ok((place, greeting, device))
}

/// What the machine of a device says; none where it does not understand, or says nothing sensible.
fn greet(device: &Device) -> Option<Greeting> {
    let answer = caught(|| {
        let held = Tensor::<1>::zeros([1], device);
        let answer = <Dispatch as Greet>::greet(held.into_dispatch());
        Tensor::<1>::from_dispatch(answer).try_into_data()
    });
    let values: Vec<f32> = answer.ok()?.ok()?.try_into_vec().ok()?;
    Greeting::read(&values)
}

/// Why a connection did not come about, in a user's words.
fn refused(asked: &str, error: ConnectError) -> Error {
    match error {
        ConnectError::Unauthorized => Error::Config(vec![format!(
            "device: `{asked}` refuses the token in {TOKEN_VARIABLE}; expected the one that `demotic lend` printed when it was \
             started there last"
        )]),
        ConnectError::NoSuchDevice { device_count } => Error::Config(vec![format!(
            "device: `{asked}` lends {device_count} device(s), numbered from 0; there is none of this number"
        )]),
        ConnectError::IncompatibleProtocol {
            client_version,
            server_version,
        } => Error::Device(format!(
            "`{asked}` speaks version {server_version} of Burn's remote protocol, demotic {} speaks {client_version}: both machines \
             need the same demotic",
            env!("CARGO_PKG_VERSION")
        )),
        ConnectError::Unreachable { .. } => Error::Device(format!(
            "`{asked}` is not reached: nothing that has this id answers there; is `demotic lend` running, is this the line that it \
             printed last, and does a firewall let UDP through? ({error})"
        )),
        other => Error::Device(format!("`{asked}`: {other}")),
    }
}

/// A device of another machine that this process computes on.
#[derive(Clone, Debug)]
struct Opened {
    place: Place,
    device: Device,
}

impl Opened {
    /// Whether what it is asked comes back.
    fn answers(&self) -> bool {
        let device = self.device.clone();
        let answer = within(CHECK_SECS, move || {
            caught(|| Tensor::<1>::zeros([1], &device).try_into_data())
        });
        matches!(answer, Some(Ok(Ok(_))))
    }

    /// Whether its `demotic lend` takes connections.
    fn is_lent(&self, client: &Client) -> bool {
        let Ok(addresses) = self.place.addresses() else {
            return false;
        };
        let addresses = addresses.into_iter().map(TransportAddr::Ip);
        let there = EndpointAddr::from_parts(self.place.id, addresses);
        let connecting = async {
            let limit = Duration::from_secs(CONNECT_SECS);
            tokio::time::timeout(limit, client.endpoint.connect(there, BURN_REMOTE_ALPN)).await
        };
        matches!(client.runtime.block_on(connecting), Ok(Ok(_)))
    }
}

/// What became of the machines that this process computes on, where one of their devices does not answer any
/// more.
fn loss() -> Option<String> {
    let client = existing()?;
    let opened = client
        .opened
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let answers: Vec<bool> = thread::scope(|scope| {
        let asked = opened.iter().map(|one| scope.spawn(move || one.answers()));
        let asked: Vec<_> = asked.collect();
        let answers = asked.into_iter().map(|one| one.join().unwrap_or(false));
        answers.collect()
    });
    let silent: Vec<&Opened> = opened
        .iter()
        .zip(answers)
        .filter_map(|(one, answers)| (!answers).then_some(one))
        .collect();
    // One that is gone takes sessions on others along: they wait for its tensors.
    let gone = silent.iter().find(|one| !one.is_lent(&client));
    match (gone, silent.first()) {
        (Some(gone), _) => Some(format!(
            "`{}` no longer answers: its `demotic lend` ended, or the network did",
            gone.place
        )),
        (None, Some(ended)) => Some(format!(
            "`{}` gave up what it was asked to compute; its `demotic lend`, which still runs, says why",
            ended.place
        )),
        (None, None) => None,
    }
}

/// Work on devices that may be lost: a panic or an error is an error that names the machine where one does
/// not answer any more, and stays what it is where all do.
///
/// # Errors
/// The work's own; [`Error::Device`] naming the machine.
pub fn attended<T, E: From<Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return Ok(value),
        failure => failure,
    };
    match (loss(), failure) {
        (Some(loss), _) => Err(Error::Device(format!(
            "{loss}; a training run goes on from its last checkpoint with `demotic train --resume --out RUN`, and `--device` names \
             another device or leaves this one out"
        ))
        .into()),
        (None, Ok(result)) => result,
        (None, Err(panic)) => resume_unwind(panic),
    }
}

/// Tells the other machines that this process is done with them.
pub fn leave() {
    let Some(client) = existing() else { return };
    let closing = async {
        tokio::time::timeout(Duration::from_secs(CLOSE_SECS), client.endpoint.close()).await
    };
    // Those that do not answer find out by themselves.
    let _ = client.runtime.block_on(closing);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";

    #[test]
    fn a_place_is_read_and_written() {
        for (asked, written) in [
            (
                format!("remote:{ID}@there:7501"),
                format!("remote:{ID}@there:7501:0"),
            ),
            (
                format!("remote:{ID}@10.0.0.2:9:3"),
                format!("remote:{ID}@10.0.0.2:9:3"),
            ),
            (
                format!("remote:{ID}@[::1]:9:1"),
                format!("remote:{ID}@[::1]:9:1"),
            ),
        ] {
            let place = Place::parse(&asked).expect("a place");
            assert_eq!(place.to_string(), written);
            assert_eq!(Place::parse(&written).expect("a place"), place);
        }
        for wrong in [
            "remote:",
            "remote:there:7501",
            "remote:abc@there:7501",
            &format!("remote:{ID}@there"),
            &format!("remote:{ID}@there:x"),
            &format!("remote:{ID}@there:0"),
            &format!("remote:{ID}@there:7501:x"),
            &format!("remote:{ID}@:7501"),
        ] {
            let error = Place::parse(wrong).expect_err("no place").to_string();
            assert!(error.contains("expected remote:ID@HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn a_greeting_is_read_from_its_values_and_nothing_else_is() {
        let greeting = Greeting::new(vec![Lent {
            name: "flex".into(),
            description: "flex (2 threads)".into(),
            runtime: "flex".into(),
            is_software: false,
            is_tuned: false,
        }]);
        let text = serde_json::to_string(&greeting).expect("JSON");
        let mut values: Vec<f32> = text.bytes().map(f32::from).collect();
        values.resize(GREETING_VALUES, 0.0);
        assert_eq!(Greeting::read(&values), Some(greeting));
        for garbage in [vec![], vec![0.0; 8], vec![f32::NAN; 8], vec![300.0; 8]] {
            assert_eq!(Greeting::read(&garbage), None, "{garbage:?}");
        }
    }
}
