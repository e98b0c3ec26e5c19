//! `regreen-engine`: the service as a process of its own.

use std::process::ExitCode;

use regreen_engine::process;

fn main() -> ExitCode {
    process::main()
}
