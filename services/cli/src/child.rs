//! `regreen child`: asks the kernel to die with its parent, makes sure that this is still its parent, and becomes
//! the program. Linux ties the request to the parent's *thread*: `up` spawns from its main thread alone.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Process id of the parent.
    #[arg(long)]
    parent: u32,
    /// The program with its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the request was made.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    anyhow::ensure!(parent == Some(options.parent), "the parent has ended");
    let error = Command::new(&options.command[0]).args(&options.command[1..]).exec();
    Err(anyhow::Error::new(error).context(format!("can't become {}", options.command[0])))
}
