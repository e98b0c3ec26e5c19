//! `regreen`: arguments in, one command, an exit code out. 0: fine; 1: looked, and it is not; 2: could not do it.

mod args;
mod check;
mod child;
mod client;
mod drill;
mod explain;
mod operate;
mod out;
mod programs;
mod reconcile;
mod settle;
mod show;
mod up;
mod users;

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
