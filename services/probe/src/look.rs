//! One look: HTTP or TCP, bounded. And the sight of the vantage itself.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use regreen_schemas::view::{Check, Kind};
use tokio::{net::TcpStream, sync::watch, time::timeout};

/// How often the reference addresses are tried.
const SIGHT_INTERVAL: Duration = Duration::from_secs(2);
/// How long each of them may take.
const SIGHT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a probe sees by.
pub trait Eye: Send + Sync + 'static {
    /// Looks once: well, or why not. Bounded by the check's timeout.
    fn look<'a>(&'a self, check: &'a Check) -> BoxFuture<'a, Result<(), Arc<str>>>;
}

/// Looks by HTTP and TCP.
#[derive(Clone, Debug)]
pub struct Looker {
    http: reqwest::Client,
}

impl Looker {
    /// A looker; each look opens its own connection, so that a look is a look.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http })
    }

    async fn look(&self, check: &Check) -> Result<(), Arc<str>> {
        match &check.kind {
            Kind::Tcp { address } => match TcpStream::connect(address.as_ref()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.kind().to_string().into()),
            },
            Kind::Http { url, accept } => match self.http.get(url.as_ref()).send().await {
                Ok(response) => {
                    let status = response.status();
                    let well = if accept.is_empty() {
                        status.is_success()
                    } else {
                        accept.contains(&status.as_u16())
                    };
                    if well { Ok(()) } else { Err(status.as_str().into()) }
                }
                Err(error) if error.is_connect() => Err("no connection".into()),
                Err(error) => Err(error.without_url().to_string().into()),
            },
        }
    }
}

impl Eye for Looker {
    fn look<'a>(&'a self, check: &'a Check) -> BoxFuture<'a, Result<(), Arc<str>>> {
        Box::pin(async {
            timeout(check.timeout.to_std(), self.look(check))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {}", check.timeout).into()))
        })
    }
}

/// Whether this vantage sees anything: any reference address answers, or there is none to ask.
pub fn follow_sight(reference: Vec<String>) -> watch::Receiver<bool> {
    let (tell, sighted) = watch::channel(reference.is_empty());
    if !reference.is_empty() {
        tokio::spawn(async move {
            while !tell.is_closed() {
                let mut any = false;
                for address in &reference {
                    any =
                        any || matches!(timeout(SIGHT_TIMEOUT, TcpStream::connect(address)).await, Ok(Ok(_)));
                }
                tell.send_replace(any);
                tokio::time::sleep(SIGHT_INTERVAL).await;
            }
        });
    }
    sighted
}
