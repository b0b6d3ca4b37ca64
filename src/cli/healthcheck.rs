//! `telewire healthcheck`: asks the service on this machine whether it is healthy.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::CliError;
use crate::config::HealthcheckArgs;

/// Time for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(args: &HealthcheckArgs) -> Result<(), CliError> {
    let mut address = args.listen;
    // A service that listens on all addresses is reached on the loopback address.
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /-/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        // "HTTP/1.1 200"
        let mut status_line = [0; 12];
        stream.read_exact(&mut status_line).await?;
        Ok::<_, io::Error>(status_line)
    };
    let unhealthy = |reason: String| CliError::Unhealthy(address.to_string(), reason);
    match tokio::time::timeout(TIMEOUT, ask).await {
        Ok(Ok(status_line)) if status_line.ends_with(b" 200") => Ok(()),
        Ok(Ok(status_line)) => Err(unhealthy(String::from_utf8_lossy(&status_line).into_owned())),
        Ok(Err(err)) => Err(unhealthy(err.to_string())),
        Err(_) => Err(unhealthy("timed out".to_owned())),
    }
}
