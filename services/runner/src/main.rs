//! `regreen-runner`: the service as a process of its own.

use std::process::ExitCode;

use regreen_runner::process;

fn main() -> ExitCode {
    process::main()
}
