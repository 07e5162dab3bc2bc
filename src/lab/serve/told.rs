//! The times in answers. The tracker's core counts in virtual seconds, clients wait in real ones: whatever tells a client to wait is
//! translated on its way out, so that an interval of 1,800 virtual seconds is one of 30 real ones at sixty times the speed.

use crate::lab::bencode::Value;
use crate::lab::exchange::Transport;

/// Bytes of a reply to an announce over UDP before its peers (BEP 15): action, transaction, interval, leechers, seeders.
const UDP_ANNOUNCE: usize = 20;

/// How times are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Virtual seconds in a real one; at least 1.
    pub speed: f64,
    /// The `min interval` to tell; none: the tracker's own.
    pub min_interval: Option<u32>,
}

impl Told {
    /// The answer with its times as the client is to be told them. What has none stays as it is.
    pub(super) fn translate(&self, transport: Transport, answer: Vec<u8>) -> Vec<u8> {
        match transport {
            Transport::Http | Transport::Https => self.http(&answer).unwrap_or(answer),
            Transport::Udp => self.udp(answer),
        }
    }

    /// Real time for virtual; never none at all.
    pub(super) fn real(&self, virtual_time: i64) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "seconds or minutes of one interval"
        )]
        let real = (virtual_time as f64 / self.speed).round() as i64;
        if virtual_time > 0 { real.max(1) } else { real }
    }

    /// The `min interval` in real time: the one that is wanted, or else rounded down, as the tracker does. Nine tenths of 5 s are 4 s at
    /// any speed.
    fn real_min(&self, virtual_time: i64) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "seconds of one interval"
        )]
        let real = (virtual_time as f64 / self.speed).floor() as i64;
        self.min_interval.map_or(real, i64::from)
    }

    /// A reply over HTTP, head and body.
    fn http(&self, answer: &[u8]) -> Option<Vec<u8>> {
        const END: &[u8] = b"\r\n\r\n";
        const LENGTH: &[u8] = b"Content-Length: ";
        let head = memchr::memmem::find(answer, END)? + END.len();
        let (head, body) = answer.split_at_checked(head)?;
        let mut translated = Vec::with_capacity(body.len());
        let mut copied = 0;
        let read = Value::read(body)?;
        let interval = read.get("interval").and_then(Value::integer);
        // A failure has none, but a `min interval`.
        let longest = interval.map_or(i64::MAX, |interval| self.real(interval));
        for entry in read.entries() {
            let Some(number) = entry.value.integer() else {
                continue;
            };
            let number = match entry.key {
                b"min interval" => self.real_min(number).min(longest).max(1),
                b"interval" | b"retry in" => self.real(number),
                _ => continue,
            };
            translated.extend_from_slice(body.get(copied..entry.place.start)?);
            translated.extend_from_slice(format!("i{number}e").as_bytes());
            copied = entry.place.end;
        }
        translated.extend_from_slice(body.get(copied..)?);
        let length = memchr::memmem::find(head, LENGTH)? + LENGTH.len();
        let (before, behind) = head.split_at_checked(length)?;
        let digits = behind.iter().take_while(|byte| byte.is_ascii_digit());
        let behind = behind.get(digits.count()..)?;
        let length = translated.len().to_string();
        Some([before, length.as_bytes(), behind, &translated].concat())
    }

    fn udp(&self, mut answer: Vec<u8>) -> Vec<u8> {
        if answer.len() >= UDP_ANNOUNCE
            && answer.starts_with(&1_u32.to_be_bytes())
            && let Some(interval) = answer.get_mut(8..).and_then(<[u8]>::first_chunk_mut::<4>)
        {
            let real = self.real(i64::from(u32::from_be_bytes(*interval)));
            *interval = u32::try_from(real).unwrap_or(u32::MAX).to_be_bytes();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: Told = Told {
        speed: 60.0,
        min_interval: None,
    };

    /// O19: what a client is told to wait is real time, in both protocols, and at least a second.
    #[test]
    fn intervals_are_told_in_real_time() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\nd8:completei1800e8:intervali1800e12:min intervali40e5:peers0:e";
        let told = TOLD.translate(Transport::Http, reply.to_vec());
        assert_eq!(
            told.escape_ascii().to_string(),
            "HTTP/1.1 200 OK\\r\\nContent-Length: 59\\r\\n\\r\\nd8:completei1800e8:intervali30e12:min intervali1e5:peers0:e"
        );
        let datagram = [1_u32, 7, 1_800, 0, 0].map(u32::to_be_bytes).concat();
        let told = TOLD.translate(Transport::Udp, datagram);
        assert_eq!(told, [1_u32, 7, 30, 0, 0].map(u32::to_be_bytes).concat());
    }

    /// O19
    #[test]
    fn a_min_interval_that_was_asked_for_is_told_as_it_is() {
        let told = Told {
            speed: 1.0,
            min_interval: Some(3),
        };
        let reply =
            b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nd8:intervali5e12:min intervali4ee";
        let told = told.translate(Transport::Http, reply.to_vec());
        assert!(told.ends_with(b"d8:intervali5e12:min intervali3ee"));
    }

    #[test]
    fn a_min_interval_is_rounded_down_at_any_speed() {
        let told = Told {
            speed: 10.0,
            min_interval: None,
        };
        let reply =
            b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nd8:intervali50e12:min intervali45ee";
        let told = told.translate(Transport::Http, reply.to_vec());
        assert!(told.ends_with(b"d8:intervali5e12:min intervali4ee"));
    }

    /// O19: nine tenths of a second are none, and none is no time to wait.
    #[test]
    fn a_min_interval_is_a_second_at_least_and_no_more_than_the_interval() {
        let told = |min_interval, body: &str| {
            let told = Told {
                speed: 1.0,
                min_interval,
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let answer = told.translate(Transport::Http, (head + body).into_bytes());
            let (_, body) = str::from_utf8(&answer)
                .unwrap()
                .split_once("\r\n\r\n")
                .unwrap();
            body.to_owned()
        };
        assert_eq!(
            told(None, "d8:intervali1e12:min intervali0ee"),
            "d8:intervali1e12:min intervali1ee"
        );
        assert_eq!(
            told(Some(7), "d8:intervali5e12:min intervali4ee"),
            "d8:intervali5e12:min intervali5ee"
        );
        assert_eq!(
            told(Some(7), "d14:failure reason2:no12:min intervali4ee"),
            "d14:failure reason2:no12:min intervali7ee"
        );
    }

    #[test]
    fn what_tells_no_time_stays_as_it_is() {
        for reply in [
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n"[..],
            b"",
        ] {
            assert_eq!(TOLD.translate(Transport::Http, reply.to_vec()), reply);
        }
        let connected = [0; 16].to_vec();
        assert_eq!(TOLD.translate(Transport::Udp, connected.clone()), connected);
    }
}
