//! A child that the kernel ends with its parent: our own program asks for that, makes sure that this is still its
//! parent, and becomes the other one. Linux ties the request to the parent's *thread*: spawn from one that stays.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Arguments of the subcommand `child`, which every program that calls [`command`] has.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Process id of the parent.
    #[arg(long)]
    parent: u32,
    /// The program with its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

/// A child of ours that the kernel ends with us; the program and its arguments are yet to be added.
///
/// # Errors
/// When nobody knows where our own program is.
pub fn command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child").arg("--parent").arg(std::process::id().to_string()).arg("--");
    Ok(command)
}

/// Becomes the program.
///
/// # Errors
/// When the parent has ended, or the program can't be run.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the request was made.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(options.parent) {
        return Err(io::Error::other("the parent has ended"));
    }
    let error = Command::new(&options.command[0]).args(&options.command[1..]).exec();
    Err(io::Error::new(error.kind(), format!("can't become {}: {error}", options.command[0])))
}
