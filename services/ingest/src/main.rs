//! `regreen-ingest`: the service as a process of its own.

use std::process::ExitCode;

use regreen_ingest::process;

fn main() -> ExitCode {
    process::main()
}
