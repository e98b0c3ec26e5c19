//! Data on stdout, everything else on stderr; tables for people, JSON for programs.

use std::io::Write as _;

use comfy_table::{Table, presets::NOTHING};
use regreen_schemas::Timestamp;
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

/// A moment in UTC.
pub fn time(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0)
        .map_or_else(|| at.0.to_string(), |at| at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string())
}
