//! `regreen`: arguments in, one command, an exit code out. 0: fine; 1: looked, and it is not; 2: could not do it.

mod apply;
mod approve;
mod args;
mod ask;
mod asks;
mod check;
mod checks;
mod client;
mod drill;
mod evidence;
mod explain;
#[cfg(test)]
mod fixture;
mod inventory;
mod new;
mod operate;
mod out;
mod programs;
mod reconcile;
mod rehearse;
mod settle;
mod show;
mod status;
mod top;
mod up;
mod users;
mod verdicts;
mod wrong;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    regreen_kit::init_tls();
    let args = args::Args::parse();
    match args.run() {
        Ok(code) => code,
        Err(error) => {
            out::error(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
