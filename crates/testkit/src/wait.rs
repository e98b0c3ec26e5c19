//! Waiting for a condition instead of sleeping, with the last state in the failure.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Asks until the answer is `Ok`, at most for `max`.
///
/// # Panics
/// When the time is over, with the last `Err`.
pub async fn wait_for<T, E: Debug>(
    what: &str,
    max: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(last) if began.elapsed() > max => panic!("waited {max:?} for {what}; last seen: {last:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
