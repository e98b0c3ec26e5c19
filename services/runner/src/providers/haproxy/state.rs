//! How a server is: its row of `show servers state`, and its sessions by `show stat`. Columns are found by the header:
//! versions add some.

use super::{
    params::Server,
    place::Place,
    runtime::{ask, words},
};
use crate::rest::Wrong;

/// What is administratively said of a server: a mask of several reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin(u32);

impl Admin {
    /// By `set server … state maint`, or by `disabled`.
    const FORCED_MAINT: u32 = 0x01;
    /// By the server that it tracks.
    const INHERITED_MAINT: u32 = 0x02;
    /// By `set server … state drain`.
    const FORCED_DRAIN: u32 = 0x08;
    /// By the server that it tracks.
    const INHERITED_DRAIN: u32 = 0x10;
    /// Its name has no address.
    const NO_ADDRESS: u32 = 0x20;

    fn any(self, mask: u32) -> bool {
        self.0 & mask != 0
    }

    /// Whether somebody said `maint`.
    pub fn maint(self) -> bool {
        self.any(Self::FORCED_MAINT)
    }

    /// Whether somebody said `drain`.
    pub fn drain(self) -> bool {
        self.any(Self::FORCED_DRAIN)
    }

    /// What all reasons come to.
    pub fn word(self) -> &'static str {
        if self.any(Self::FORCED_MAINT | Self::INHERITED_MAINT | Self::NO_ADDRESS) {
            "maint"
        } else if self.any(Self::FORCED_DRAIN | Self::INHERITED_DRAIN) {
            "drain"
        } else {
            "ready"
        }
    }
}

/// A row of `show servers state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub admin: Admin,
    /// What the balancer would send it to, if it were ready.
    pub health: &'static str,
    pub weight: u32,
}

/// A server's row.
///
/// # Errors
/// When it can't be read, or there is no such server.
pub async fn row(place: &Place, server: &Server) -> Result<Row, Wrong> {
    let answer =
        ask(place, &format!("show servers state {}", server.backend)).await.map_err(Wrong::of_read)?;
    let table = Table::of_states(&answer)?;
    let cells = table.row(&[("be_name", &server.backend), ("srv_name", &server.name)])?;
    let number = |name: &str| table.number(&cells, name);
    Ok(Row {
        admin: Admin(number("srv_admin_state")?),
        health: health(number("srv_op_state")?),
        weight: number("srv_uweight")?,
    })
}

/// Whether there is such a server.
///
/// # Errors
/// When that can't be read.
pub async fn there(place: &Place, server: &Server) -> Result<bool, Wrong> {
    let answer =
        ask(place, &format!("show servers state {}", server.backend)).await.map_err(Wrong::of_read)?;
    let settings = settings(&answer)?;
    Ok(settings.iter().any(|[backend, name, ..]| *backend == server.backend && *name == server.name))
}

/// Sessions that a server has, and those that wait for it.
///
/// # Errors
/// When they can't be read, or there is no such server.
pub async fn sessions(place: &Place, server: &Server) -> Result<u32, Wrong> {
    // 4 is servers, -1 is all of them.
    let answer = ask(place, &format!("show stat {} 4 -1", server.backend)).await.map_err(Wrong::of_read)?;
    let table = Table::of_statistics(&answer)?;
    let cells = table.row(&[("pxname", &server.backend), ("svname", &server.name)])?;
    Ok(table.number(&cells, "scur")? + table.number(&cells, "qcur")?)
}

/// What was said of a server, as a reload must find it again: backend, server, address, port, why it is out, weight.
pub type Setting = [String; 6];

const SETTINGS: [&str; 6] = ["be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state", "srv_uweight"];

/// What was said of all servers, by a table of `show servers state`.
///
/// # Errors
/// When it is no such table.
pub fn settings(table: &str) -> Result<Vec<Setting>, Wrong> {
    let table = Table::of_states(table)?;
    let mut columns = [0; SETTINGS.len()];
    for (column, name) in columns.iter_mut().zip(SETTINGS) {
        *column = table.column(name)?;
    }
    let cell = |row: &[&str], at: usize| row.get(at).copied().unwrap_or_default().to_owned();
    Ok(table.rows.iter().map(|row| columns.map(|at| cell(row, at))).collect())
}

/// A table of `show servers state` with other cells in the row of one server, if it has one.
///
/// # Errors
/// When it is no such table.
pub fn moved(table: &str, server: &Server, cells: &[(&str, String)]) -> Result<String, Wrong> {
    let read = Table::of_states(table)?;
    let (backend, name) = (read.column("be_name")?, read.column("srv_name")?);
    let mut lines: Vec<String> = table.lines().map(ToOwned::to_owned).collect();
    for line in &mut lines {
        let mut row: Vec<&str> = line.split(' ').collect();
        if row.get(backend) != Some(&server.backend.as_str()) || row.get(name) != Some(&server.name.as_str())
        {
            continue;
        }
        for (column, cell) in cells {
            let at = read.column(column)?;
            if let Some(old) = row.get_mut(at) {
                *old = cell;
            }
        }
        *line = row.join(" ");
    }
    Ok(lines.join("\n") + "\n")
}

fn health(state: u32) -> &'static str {
    match state {
        0 => "stopped",
        1 => "starting",
        3 => "stopping",
        _ => "running",
    }
}

/// A table of HAProxy: a line of names, then rows.
struct Table<'a> {
    names: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Table<'a> {
    /// Below the number of its format, in words.
    fn of_states(answer: &'a str) -> Result<Self, Wrong> {
        let (first, rest) = answer.split_once('\n').unwrap_or((answer, ""));
        if first.parse::<u32>().is_err() {
            return Err(Wrong::permanent(words(answer)));
        }
        Self::read(rest, |line| line.split(' ').collect())
    }

    /// Quoted columns (with commas in them) come after all that are read here.
    fn of_statistics(answer: &'a str) -> Result<Self, Wrong> {
        Self::read(answer, |line| line.split(',').collect())
    }

    fn read(text: &'a str, cells: fn(&'a str) -> Vec<&'a str>) -> Result<Self, Wrong> {
        let mut lines = text.lines();
        let names = lines.next().and_then(|line| line.strip_prefix("# "));
        let names = names.ok_or_else(|| Wrong::permanent(words(text)))?;
        Ok(Self { names: cells(names), rows: lines.filter(|line| !line.is_empty()).map(cells).collect() })
    }

    fn column(&self, name: &str) -> Result<usize, Wrong> {
        let found = self.names.iter().position(|known| *known == name);
        found.ok_or_else(|| {
            Wrong::permanent(format!("this HAProxy has no column `{name}`: 2.6 or newer is needed"))
        })
    }

    /// The row with these cells.
    fn row(&self, wanted: &[(&str, &str)]) -> Result<Vec<&'a str>, Wrong> {
        let columns: Vec<(usize, &str)> = wanted
            .iter()
            .map(|(name, cell)| Ok((self.column(name)?, *cell)))
            .collect::<Result<_, Wrong>>()?;
        let is = |row: &&Vec<&str>| columns.iter().all(|(at, cell)| row.get(*at) == Some(cell));
        self.rows.iter().find(is).cloned().ok_or_else(|| {
            let name = wanted.iter().map(|(_, cell)| *cell).collect::<Vec<_>>().join("/");
            Wrong::permanent(format!("HAProxy has no server {name}"))
        })
    }

    fn number(&self, row: &[&str], name: &str) -> Result<u32, Wrong> {
        let cell = row.get(self.column(name)?).copied().unwrap_or_default();
        cell.parse()
            .map_err(|_| Wrong::permanent(format!("HAProxy says `{cell}` for `{name}`, which is no number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_reasons_come_to_one_state() {
        let table = [
            (0x00, "ready"),
            (0x01, "maint"),
            // `disabled` in the configuration, and taken back since.
            (0x04, "ready"),
            (0x05, "maint"),
            (0x08, "drain"),
            (0x10, "drain"),
            (0x18, "drain"),
            (0x02, "maint"),
            (0x0a, "maint"),
            (0x20, "maint"),
            (0x40, "ready"),
        ];
        for (mask, word) in table {
            assert_eq!(Admin(mask).word(), word, "{mask:#x}");
        }
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let text = "1\n# be_name extra srv_name srv_uweight\napp x a1 7\napp x a2 8\n";
        let table = Table::of_states(text).expect("a table");
        let row = table.row(&[("be_name", "app"), ("srv_name", "a2")]).expect("a row");
        assert_eq!(table.number(&row, "srv_uweight").ok(), Some(8));
        let gone = table.row(&[("be_name", "app"), ("srv_name", "a3")]).expect_err("none");
        assert_eq!(gone.reason, "HAProxy has no server app/a3");
        assert!(table.column("srv_op_state").expect_err("none").reason.contains("srv_op_state"));
        let free = Table::of_states("Can't find backend.\n").map(|_| ()).expect_err("free text");
        assert_eq!(free.reason, "Can't find backend.");
    }
}
