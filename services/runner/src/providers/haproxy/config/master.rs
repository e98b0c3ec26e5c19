//! The master process: it loads a configuration by beginning a new worker, and keeps the old one when that does not go
//! well. HAProxy 2.6 answers `reload` before the outcome, so that is counted: reloads, and those that failed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{
    place::Place,
    runtime::{ask, say, words},
};
use crate::rest::{Class, Wrong};

/// Between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(100);

/// `show proc`, as far as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes {
    reloads: u32,
    /// Those that failed since the last one that did not.
    failed: u32,
    /// The one that serves; none while it is only just begun.
    worker: Option<u32>,
}

/// How the processes are.
///
/// # Errors
/// When the master does not say. Nothing has changed then.
pub async fn processes(master: &Place) -> Result<Processes, Wrong> {
    let said = ask(master, "show proc").await.map_err(Wrong::of_read)?;
    read(&said).ok_or_else(|| {
        let words = words(&said);
        Wrong::permanent(format!("`show proc` counts no failed reloads (HAProxy 2.6 or newer does): {words}"))
    })
}

/// Loads the configuration anew. Whose processes they were before must be known. The new worker.
///
/// # Errors
/// Unless it is unknown, the old worker serves on.
pub async fn reload(master: &Place, before: Processes, end: Instant) -> Result<u32, Wrong> {
    let said = match say(master, "reload").await {
        Ok(said) => words(&said),
        Err(wrong) if wrong.class == Class::Unknown => wrong.reason,
        Err(wrong) => return Err(wrong),
    };
    let mut last = said.clone();
    loop {
        // While the master begins anew it may not answer.
        match processes(master).await {
            Ok(now) if now.reloads > before.reloads && now.failed > 0 => {
                return Err(Wrong::permanent(format!("HAProxy's reload failed, its log says why {said}")));
            }
            Ok(Processes { worker: Some(worker), reloads, .. })
                if reloads > before.reloads && before.worker != Some(worker) =>
            {
                return Ok(worker);
            }
            Ok(_) => {}
            Err(wrong) => last = wrong.reason,
        }
        if Instant::now() + PAUSE >= end {
            return Err(Wrong::unknown(format!(
                "whether HAProxy has reloaded is not to be seen in time: {last}"
            )));
        }
        sleep(PAUSE).await;
    }
}

/// A table in parts, each below its name: `# workers`.
fn read(said: &str) -> Option<Processes> {
    let (mut counted, mut worker, mut part) = (None, None, "");
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            part = name;
        }
        let cells: Vec<&str> = line.split_whitespace().collect();
        match cells[..] {
            [_, "master", reloads, "[failed:", failed, ..] => {
                counted = Some((reloads.parse().ok()?, failed.trim_end_matches(']').parse().ok()?));
            }
            [pid, "worker", ..] if part == "workers" => worker = worker.or(pid.parse().ok()),
            _ => {}
        }
    }
    let (reloads, failed) = counted?;
    Some(Processes { reloads, failed, worker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reloads_and_the_serving_worker_are_read() {
        let text = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
            23136           master          3 [failed: 1]   0d00h00m37s     2.6.12-1+deb12u4\n\
            # workers\n25918           worker          0               0d00h00m02s     2.6.12-1+deb12u4\n\
            # old workers\n25468           worker          1               0d00h00m09s     2.6.12-1+deb12u4\n# programs\n";
        assert_eq!(read(text), Some(Processes { reloads: 3, failed: 1, worker: Some(25918) }));
        assert_eq!(read(&text.replace(" [failed: 1]", "")), None);
        assert_eq!(read("Unknown command\n"), None);
    }
}
