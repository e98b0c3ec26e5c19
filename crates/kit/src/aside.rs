//! Work that takes long, beside the threads that drive everything else.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs it on a thread for such work and returns what it came to. On a runtime of one thread there is nobody to be
/// held up but itself, and the order of events shall not depend on another thread: there it runs at once.
///
/// # Panics
/// When the work does.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down: nobody waits any more.
            Err(_) => std::future::pending().await,
        },
    }
}
