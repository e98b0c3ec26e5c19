//! A question on the terminal.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

/// Whether the person at the terminal says yes. `nobody` says what to do where there is none.
pub fn yes(question: &str, nobody: &'static str) -> anyhow::Result<bool> {
    anyhow::ensure!(std::io::stdin().is_terminal(), nobody);
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("no answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
