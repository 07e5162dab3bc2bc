//! Asks the running tracker's API: one connection for each request, the reply read whole and with bounds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::http_reply::Head;

/// The longest reply that is read.
const MAX_REPLY: u64 = 4 << 20;
/// How long a reply, or a part of it, is waited for; forgetting walks all peers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API at an address.
pub(super) struct Api<'a> {
    pub address: SocketAddr,
    pub token: &'a str,
}

impl Api<'_> {
    /// What is read at a path.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send("GET", path, "")
    }

    /// Sends something; null where the reply has no body.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send("POST", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (address, token, length) = (self.address, self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut reply = Vec::new();
        // One request for each connection is answered, so the reply ends with it.
        stream.take(MAX_REPLY + 1).read_to_end(&mut reply)?;
        ensure!(
            reply.len() as u64 <= MAX_REPLY,
            "the reply is longer than {MAX_REPLY} bytes"
        );
        read(&reply)
    }
}

/// The body of a reply; a refusal is an error with its reason.
fn read(reply: &[u8]) -> anyhow::Result<Value> {
    let head = Head::read(reply)?.context("the reply is cut off")?;
    let status = head.status;
    let told: Option<Value> = serde_json::from_slice(&head.body(reply, true).bytes).ok();
    match (status, told) {
        (204, _) => Ok(Value::Null),
        (200..300, Some(told)) => Ok(told),
        (401, _) => bail!("the token is not admitted"),
        (_, Some(told)) => match told.get("error").and_then(Value::as_str) {
            Some(reason) => bail!("{reason}"),
            None => bail!("status {status}"),
        },
        (404, None) => {
            bail!("it has no such API: is it a retracker of this version, with its pages on?")
        }
        (_, None) => bail!("status {status}, and no JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O26
    #[test]
    fn replies_are_read_and_refusals_say_why() {
        let reply = |text: &str| read(text.as_bytes());
        let told = reply("HTTP/1.1 200 OK\r\n\r\n{\"peers\":7}").unwrap();
        assert_eq!(told["peers"], 7);
        assert_eq!(
            reply("HTTP/1.1 204 No Content\r\n\r\n").unwrap(),
            Value::Null
        );
        for (text, why) in [
            ("", "cut off"),
            ("SSH-2.0\r\n\r\n", "no HTTP reply"),
            (
                "HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":\"x\"}",
                "token",
            ),
            (
                "HTTP/1.1 404 Not Found\r\n\r\n{\"error\":\"there are no other sites\"}",
                "no other sites",
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\nnothing", "no such API"),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "no JSON"),
        ] {
            let error = format!("{:#}", reply(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
