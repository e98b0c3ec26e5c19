//! Data on stdout, everything else on stderr; tables for people, JSON for programs.

use std::io::Write as _;

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

/// Prints a line of data. A reader that went away (`| head`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a line for the person at the terminal.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a table, or says that there is nothing.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        error("none");
        return;
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    line(&table.to_string());
}
