//! `haproxy -c`: HAProxy itself says whether it would take a configuration.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::super::runtime::words;
use crate::rest::Wrong;

/// Longest time that it may take to read one.
const CHECK_MAX: Duration = Duration::from_secs(5);
/// Most bytes of what it says that are read.
const SAID_BYTES_MAX: u64 = 64 * 1024;
/// What stands before what is wrong; warnings are none.
const ALERT: &str = "[ALERT]";

/// Asks about a file.
///
/// # Errors
/// When it would not be taken, with HAProxy's own words, or nobody could be asked. Nothing has changed then.
pub async fn check(binary: &Path, file: &Path) -> Result<(), Wrong> {
    // Secrets of this process are none of its business, and the folder is that of a service.
    let child = Command::new(binary)
        .arg("-c")
        .arg("-f")
        .arg(file)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| {
        Wrong::permanent(format!(
            "can't start {} to check a configuration: {error}; name HAProxy's `binary` beside its `socket`",
            binary.display()
        ))
    })?;
    let heard = timeout(CHECK_MAX, async {
        let mut said = Vec::new();
        if let Some(pipe) = child.stderr.take() {
            pipe.take(SAID_BYTES_MAX).read_to_end(&mut said).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, said))
    });
    match heard.await {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, said))) if status.code().is_some() => {
            Err(Wrong::permanent(format!("HAProxy refuses the new configuration: {}", alerts(&said))))
        }
        Ok(Ok((status, _))) => Err(Wrong::not_yet(format!("`haproxy -c` did not come to an end: {status}"))),
        Ok(Err(error)) => Err(Wrong::not_yet(format!("`haproxy -c` can't be heard: {error}"))),
        Err(_) => Err(Wrong::not_yet(format!("`haproxy -c` took longer than {CHECK_MAX:?}"))),
    }
}

/// What is wrong, without process and place in front.
fn alerts(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().filter_map(|line| line.strip_prefix(ALERT));
    let told: Vec<&str> = lines.map(|line| line.split_once(": ").map_or(line, |(_, told)| told)).collect();
    words(&told.join("; "))
}
