//! `regreen-notifier`: the service as a process of its own.

use std::process::ExitCode;

use regreen_notifier::process;

fn main() -> ExitCode {
    process::main()
}
