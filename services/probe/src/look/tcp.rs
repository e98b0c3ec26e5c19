//! Connect, and close.

use regreen_schemas::view::Check;
use tokio::{net::TcpStream, time::Instant};

use super::{Failed, Found};

pub async fn look(check: &Check, address: &str) -> Result<Found, Failed> {
    let began = Instant::now();
    TcpStream::connect(address).await?;
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(Found::measured(check, ms, format!("{ms:.0} ms")))
}
