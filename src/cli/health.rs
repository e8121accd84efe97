//! `signalbox health`

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::Args;

use super::Outcome;
use crate::tls;

/// Flags of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Which address to ask, http:// or https://; /readyz asks for the databases as well. The
    /// certificate is not looked at: it is for the name that others call the server by
    #[arg(
        long,
        env = "SIGNALBOX_HEALTH_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/healthz"
    )]
    url: String,
}

/// How long connecting, and then each part of the answer, may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What an answer begins with, up to its status.
const STATUS_LINE_BYTES: usize = "HTTP/1.1 200".len();

/// Asks a server whether it is well; the exit code says so.
pub fn run(args: HealthArgs) -> Outcome {
    let status = status_of(&args.url).map_err(|fault| format!("{}: {fault}", args.url))?;
    if status == "200" {
        return Ok(());
    }
    Err(format!("{} answered {status}", args.url).into())
}

fn status_of(url: &str) -> Result<String, String> {
    let form = "is not of the form http://HOST:PORT/PATH";
    let (scheme, place) = url.split_once("://").ok_or(form)?;
    let is_tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(form.to_owned()),
    };
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let addresses = authority.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut fault = "has no address".to_owned();
    for address in addresses {
        let request =
            format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let answer = TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            if is_tls {
                exchange(tls::unverified(stream, address.ip()), request.as_bytes())
            } else {
                exchange(stream, request.as_bytes())
            }
        });
        match answer {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line).into_owned();
                let status = line.strip_prefix("HTTP/1.1 ");
                return status.map(str::to_owned).ok_or_else(|| "does not speak HTTP".to_owned());
            }
            Err(error) => fault = error.to_string(),
        }
    }
    Err(fault)
}

fn exchange(
    mut stream: impl Read + Write,
    request: &[u8],
) -> std::io::Result<[u8; STATUS_LINE_BYTES]> {
    stream.write_all(request)?;
    let mut line = [0; STATUS_LINE_BYTES];
    stream.read_exact(&mut line)?;
    Ok(line)
}
