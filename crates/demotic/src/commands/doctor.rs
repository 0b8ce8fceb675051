//! `demotic doctor`: is a device right, and how fast is it?

use anyhow::Result;

use crate::cli::DoctorArgs;
use crate::examination::{be_watched, examined, watch};
use crate::findings::Listener;
use crate::options::settings;

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    // Before a process is started for it.
    let config = settings(&args.settings)?;
    if args.watched {
        return be_watched(args, &config);
    }
    let mut listener = Listener::new(args);
    let ending = if args.device.device == "flex" {
        examined(args, &config, &mut |finding| listener.hear(finding))?;
        None
    } else {
        watch(args, &mut listener)?
    };
    listener.conclude(ending)
}
