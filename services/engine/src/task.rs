//! A task that ends with its owner: an engine that steps down leaves nobody behind who works for it.

use tokio::task::JoinHandle;

/// The task; aborted when dropped.
#[derive(Debug)]
pub struct Owned<T>(JoinHandle<T>);

impl<T: Send + 'static> Owned<T> {
    /// Starts it.
    pub fn spawn(task: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// What it came to. Cancel-safe.
    ///
    /// # Panics
    /// When the task did.
    pub async fn join(&mut self) -> T {
        (&mut self.0).await.expect("invariant: our tasks do not panic")
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
