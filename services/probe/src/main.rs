//! `regreen-probe`: the service as a process of its own.

use std::process::ExitCode;

use regreen_probe::process;

fn main() -> ExitCode {
    process::main()
}
