//! The rows of `demotic bench`: loss and gradient of the CRF layer, and the kernels of the networks.

use std::cell::OnceCell;
use std::rc::Rc;

use demotic_core::check::kernels::{Case, Impl, Pass, Work, kernels};
use demotic_core::device::Chosen;
use demotic_crf::workload::{Task, Way, Workload, tasks, ways};

/// What is timed.
pub(super) enum Row {
    /// Loss and gradient of the CRF layer.
    Crf(Way, Task),
    /// A kernel of the networks, and what its check said: it is checked once for all its rows.
    Net(Rc<(Case, OnceCell<Result<(), String>>)>, (Impl, Pass)),
}

impl Row {
    /// Every row of a device.
    pub(super) fn all(chosen: &Chosen) -> Vec<Self> {
        let device = &chosen.device;
        let crf = ways(device)
            .into_iter()
            .flat_map(|way| tasks().map(move |task| (way, task)))
            .filter(|(way, task)| task.is_timed(*way, device))
            .map(|(way, task)| Self::Crf(way, task));
        let net = kernels().into_iter().flat_map(|case| {
            let (ways, case) = (case.ways(device), Rc::new((case, OnceCell::new())));
            ways.into_iter()
                .map(move |way| Self::Net(Rc::clone(&case), way))
        });
        crf.chain(net).collect()
    }

    /// `op/impl/device/case`, as the criterion benches name their rows.
    pub(super) fn label(&self, device: &str) -> String {
        match self {
            Self::Crf(way, task) => {
                format!("{}/{}/{device}/{}", task.op(), way.name, task.name())
            }
            Self::Net(net, way) => net.0.label(*way, device),
        }
    }

    /// Bytes that it must move, and multiply-adds; 0 where they are no measure.
    pub(super) fn size(&self) -> [usize; 2] {
        match self {
            Self::Crf(_, task) => [task.bytes(), task.fmas()],
            Self::Net(net, (_, pass)) => {
                let (bytes, multiply_adds) = (net.0.bytes(*pass), net.0.multiply_adds(*pass));
                [bytes.unwrap_or_default(), multiply_adds]
            }
        }
    }

    /// Checks it; what runs it once.
    pub(super) fn checked(&self, chosen: &Chosen) -> Result<Box<dyn Fn()>, String> {
        let device = &chosen.device;
        match self {
            Self::Crf(way, task) => {
                let work = Workload::new(*task, *way, device);
                work.verify(*task)?;
                Ok(Box::new(move || work.run()))
            }
            Self::Net(net, way) => {
                let (case, verdict) = &**net;
                verdict.get_or_init(|| case.verify(device)).clone()?;
                let work = Work::new(case, *way, device);
                Ok(Box::new(move || work.run()))
            }
        }
    }
}
