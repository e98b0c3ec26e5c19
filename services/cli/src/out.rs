//! Data on stdout, everything else on stderr; tables for people, JSON for programs.

use std::io::Write as _;

use comfy_table::{Table, presets::NOTHING};
use regreen_schemas::Span;
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

/// A length of time for a glance: `0.4s`, `12s`, `5m12s`, `3h5m`, `2d4h`. Less than nothing, by clocks that differ, is
/// nothing.
pub fn age(span: Span) -> String {
    let millis = span.0.max(0);
    let (seconds, minutes, hours) = (millis / 1000, millis / 60_000, millis / 3_600_000);
    match () {
        () if millis < 1000 => format!("0.{}s", millis / 100),
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m{}s", seconds % 60),
        () if hours < 24 => format!("{hours}h{}m", minutes % 60),
        () => format!("{}d{}h", hours / 24, hours % 24),
    }
}

/// Text from outside, as one line for a terminal: a label must not move its cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_for_a_glance() {
        for (millis, text) in [
            (-5, "0.0s"),
            (450, "0.4s"),
            (12_999, "12s"),
            (312_000, "5m12s"),
            (11_100_000, "3h5m"),
            (187_200_000, "2d4h"),
        ] {
            assert_eq!(age(Span(millis)), text);
        }
    }

    #[test]
    fn a_label_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
