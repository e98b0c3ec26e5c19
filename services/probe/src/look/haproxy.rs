//! A server's state, or a backend's, by HAProxy's runtime API. Columns are found by the header: versions add some.

use regreen_schemas::{check::Status, view::Check};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use super::{Failed, Found};

/// Longest table that is read, in bytes.
const TABLE_MAX: u64 = 8 * 1024 * 1024;
/// The row of a backend as a whole.
const WHOLE: &str = "BACKEND";

pub async fn look(
    check: &Check,
    address: &str,
    backend: &str,
    server: Option<&str>,
) -> Result<Found, Failed> {
    let table = if address.starts_with('/') {
        read(UnixStream::connect(address).await?).await?
    } else {
        read(TcpStream::connect(address).await?).await?
    };
    judge(check, &table, backend, server.unwrap_or(WHOLE))
}

/// One command for a connection; HAProxy closes it after the answer.
async fn read(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<String, Failed> {
    stream.write_all(b"show stat\n").await?;
    let mut table = Vec::new();
    stream.take(TABLE_MAX + 1).read_to_end(&mut table).await?;
    if table.len() as u64 > TABLE_MAX {
        return Err(Failed::Blind(format!("a table of more than {} MiB", TABLE_MAX >> 20)));
    }
    Ok(String::from_utf8_lossy(&table).into_owned())
}

/// Judges a row. Quoted columns (with commas in them) come after all that are read here.
fn judge(check: &Check, table: &str, backend: &str, server: &str) -> Result<Found, Failed> {
    let mut lines = table.lines();
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let header: Vec<&str> =
        header.ok_or_else(|| Failed::Blind("`show stat` is not answered".into()))?.split(',').collect();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| Failed::Blind(format!("there is no column `{name}`")))
    };
    let (proxy, row) = (column("pxname")?, column("svname")?);
    let (status, sessions) = (column("status")?, column("scur")?);
    let found = lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .find(|cells| cells.get(proxy) == Some(&backend) && cells.get(row) == Some(&server));
    let Some(cells) = found else {
        return Ok(Found::down(format!("there is no server `{server}` in backend `{backend}`")));
    };
    let word = cells.get(status).copied().unwrap_or_default();
    let sessions = cells.get(sessions).and_then(|cell| cell.parse().ok()).unwrap_or(0.0);
    Ok(match word.split(' ').next().unwrap_or_default() {
        // `UP 1/3` is still up: HAProxy counts failures as we do.
        "UP" | "OPEN" | "no" => Found::measured(check, sessions, format!("{sessions} sessions")),
        "DRAIN" | "MAINT" | "NOLB" => Found::not_up(Status::Degraded, word),
        "DOWN" | "STOP" => Found::down(word),
        _ => Found::unknown(format!("status `{word}`")),
    })
}

#[cfg(test)]
mod tests {
    use regreen_schemas::view::{Bound, Kind};

    use super::*;
    use crate::look::check_of;

    /// As HAProxy 2.6 prints it, cut after a quoted column; `scur` and `status` have changed places.
    const TABLE: &str = "\
# pxname,svname,qcur,qmax,status,smax,slim,scur,check_desc,
www,FRONTEND,,,OPEN,3,262118,1,,
web,a1,0,0,UP,1,,7,\"Layer4 check passed, at last\",
web,a2,0,0,UP 1/3,1,,2,,
web,a3,0,0,DOWN 1/2,0,,0,Layer4 connection problem,
web,a4,0,0,MAINT,0,,0,,
web,a5,0,0,MAINT (via web/a4),0,,0,,
web,a6,0,0,DRAIN,0,,3,,
web,a7,0,0,no check,0,,0,,
web,a8,0,0,NOLB,0,,0,,
web,a9,0,0,WAT,0,,0,,
web,BACKEND,0,0,UP,1,26212,9,,
api,a1,0,0,DOWN,0,,0,,
api,BACKEND,0,0,DOWN,0,26212,0,,

";

    #[test]
    fn rows_are_judged_by_their_word_and_sessions() {
        let kind = Kind::Haproxy { address: "/s".into(), backend: "web".into(), server: None };
        let check = check_of(kind, Some(Bound::Above(5.0)), Some(Bound::Above(8.0)));
        let table = [
            ("web", "a1", Status::Degraded, "7 sessions"),
            ("web", "a2", Status::Up, ""),
            ("web", "a3", Status::Down, "DOWN 1/2"),
            ("web", "a4", Status::Degraded, "MAINT"),
            ("web", "a5", Status::Degraded, "MAINT (via web/a4)"),
            ("web", "a6", Status::Degraded, "DRAIN"),
            ("web", "a7", Status::Up, ""),
            ("web", "a8", Status::Degraded, "NOLB"),
            ("web", "a9", Status::Unknown, "status `WAT`"),
            ("web", WHOLE, Status::Down, "9 sessions"),
            ("www", "FRONTEND", Status::Up, ""),
            ("api", "a1", Status::Down, "DOWN"),
            ("api", WHOLE, Status::Down, "DOWN"),
            ("api", "a2", Status::Down, "there is no server `a2` in backend `api`"),
        ];
        for (backend, server, status, reason) in table {
            let found = judge(&check, TABLE, backend, server).expect("a table");
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{backend}/{server}");
        }
        for text in ["", "Permission denied\n\n", "# pxname,svname,status\n"] {
            assert!(matches!(judge(&check, text, "web", "a1"), Err(Failed::Blind(_))), "{text}");
        }
    }
}
