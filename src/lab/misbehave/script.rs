//! A script: steps of when and then, read from TOML into types that cannot be wrong.

use std::net::IpAddr;

use super::act::Act;
use super::document::{Fault, Table};
use crate::lab::exchange::{Request, Transport};
use crate::lab::reading::Reading;

/// What is done about requests: the first step that matches one decides; a request that no step matches is answered honestly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// In their order.
    pub steps: Vec<Step>,
}

/// When what is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which requests.
    pub when: When,
    /// What is done about them.
    pub then: Act,
}

/// Which requests a step is for. What is `None` matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// By what it came.
    pub transport: Option<Transport>,
    /// What it asks for.
    pub kind: Kind,
    /// The event of an announce.
    pub event: Option<Event>,
    /// From which family, 4 or 6.
    pub family: Option<AddressFamily>,
    /// The path of its URL, whole.
    pub path: Option<String>,
    /// Which of those that all of this matches.
    pub which: Which,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// An announce; what a step is for that does not say.
    #[default]
    Announce,
    /// A scrape.
    Scrape,
    /// A connect (BEP 15).
    Connect,
    /// Anything.
    Any,
}

/// The event of an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A regular announce.
    None,
    /// The first of a session.
    Started,
    /// The file is whole.
    Completed,
    /// The last of a session.
    Stopped,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4, also mapped into IPv6.
    V4,
    /// IPv6.
    V6,
}

/// Which of the requests that match. Each step counts for itself, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// The nth only.
    Nth(u32),
    /// The first n.
    First(u32),
    /// All after the first n.
    After(u32),
    /// Each nth: 2 is the second, the fourth and so on.
    Every(u32),
}

/// Steps of a script at most.
const MOST_STEPS: usize = 64;
/// The largest number of a request.
const LARGEST: u32 = 1_000_000;

impl Script {
    /// Reads a script that is a file of its own: `[[step]]` and nothing else.
    ///
    /// # Errors
    /// Names file, line and key of what is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Script, Fault> {
        let mut document = Table::of_document(file, text)?;
        let script = Script::read(&mut document)?;
        document.end()?;
        if script.steps.is_empty() {
            return Err(document.fault_here("no [[step]]: a script has one at least"));
        }
        Ok(script)
    }

    pub(super) fn read(document: &mut Table) -> Result<Script, Fault> {
        let tables = document.tables("step")?;
        if tables.len() > MOST_STEPS {
            return Err(document.fault_here(format!("more than {MOST_STEPS} steps")));
        }
        let steps = tables
            .into_iter()
            .map(Step::read)
            .collect::<Result<_, _>>()?;
        Ok(Script { steps })
    }
}

impl Step {
    fn read(mut table: Table) -> Result<Step, Fault> {
        let when = When::read(table.table("when")?)?;
        let has_act = table.line_of("then").is_some();
        let then = table.table("then")?;
        table.end()?;
        if !has_act || then.is_empty() {
            return Err(table.fault(table.line(), "then", "missing: what is to be done"));
        }
        let then = Act::read(then, &when)?;
        Ok(Step { when, then })
    }
}

impl When {
    fn read(mut table: Table) -> Result<When, Fault> {
        let transport = [
            ("http", Transport::Http),
            ("https", Transport::Https),
            ("udp", Transport::Udp),
        ];
        let kind = [
            ("announce", Kind::Announce),
            ("scrape", Kind::Scrape),
            ("connect", Kind::Connect),
            ("any", Kind::Any),
        ];
        let event = [
            ("none", Event::None),
            ("started", Event::Started),
            ("completed", Event::Completed),
            ("stopped", Event::Stopped),
        ];
        let family = [("v4", AddressFamily::V4), ("v6", AddressFamily::V6)];
        let when = When {
            transport: table.choice("transport", &transport)?,
            kind: table.choice("kind", &kind)?.unwrap_or_default(),
            event: table.choice("event", &event)?,
            family: table.choice("family", &family)?,
            path: table.text("path")?,
            which: Which::read(&mut table)?,
        };
        table.end()?;
        if when.event.is_some() && when.kind != Kind::Announce {
            return Err(table.fault(table.line(), "event", "only announces have one"));
        }
        if when.kind == Kind::Connect && when.transport.is_some_and(|by| by != Transport::Udp) {
            return Err(table.fault(table.line(), "kind", "connects come over udp only"));
        }
        if when.path.is_some() && when.transport == Some(Transport::Udp) {
            return Err(table.fault(table.line(), "path", "only HTTP has one"));
        }
        Ok(when)
    }

    /// Whether it can be a request over UDP only.
    pub(super) fn is_of_udp(&self) -> bool {
        self.transport == Some(Transport::Udp) || self.kind == Kind::Connect
    }

    /// Whether it can be a request over HTTP only.
    pub(super) fn is_of_http(&self) -> bool {
        self.path.is_some() || matches!(self.transport, Some(Transport::Http | Transport::Https))
    }

    /// Whether a request is one of these, its number left aside.
    pub(super) fn matches(&self, request: &Request, reading: &Reading, path: &[u8]) -> bool {
        let kind = match reading {
            Reading::Announce(_) => Kind::Announce,
            Reading::Scrape(_) => Kind::Scrape,
            Reading::Connect(_) => Kind::Connect,
            Reading::Other => Kind::Any,
        };
        let event = match reading {
            Reading::Announce(announce) => Event::named(&announce.event),
            _ => None,
        };
        let family = AddressFamily::of(request.client.ip());
        self.transport.is_none_or(|by| by == request.transport)
            && (self.kind == Kind::Any || self.kind == kind)
            && self.event.is_none_or(|wanted| event == Some(wanted))
            && self.family.is_none_or(|wanted| wanted == family)
            && self
                .path
                .as_ref()
                .is_none_or(|wanted| wanted.as_bytes() == path)
    }
}

impl Event {
    fn named(name: &str) -> Option<Event> {
        match name {
            "" | "empty" => Some(Event::None),
            "started" => Some(Event::Started),
            "completed" => Some(Event::Completed),
            "stopped" => Some(Event::Stopped),
            _ => None,
        }
    }
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> AddressFamily {
        match address.to_canonical() {
            IpAddr::V4(_) => AddressFamily::V4,
            IpAddr::V6(_) => AddressFamily::V6,
        }
    }
}

impl Which {
    fn read(table: &mut Table) -> Result<Which, Fault> {
        let range = 1..=LARGEST;
        let mut said = Vec::new();
        for (key, which) in [
            ("nth", Which::Nth as fn(u32) -> Which),
            ("first", Which::First),
            ("after", Which::After),
            ("every", Which::Every),
        ] {
            let line = table.line_of(key);
            if let Some(number) = table.count(key, range.clone())? {
                said.push((line.unwrap_or_default(), key, which(number)));
            }
        }
        match said.as_slice() {
            [] => Ok(Which::All),
            [(_, _, which)] => Ok(*which),
            [(_, first, _), (line, second, _), ..] => {
                let message = format!("beside `{first}`: only one of nth, first, after, every");
                Err(table.fault(*line, second, message))
            }
        }
    }

    /// Whether the request with this number, from 1, is one.
    pub fn has(self, number: u32) -> bool {
        match self {
            Which::All => true,
            Which::Nth(nth) => number == nth,
            Which::First(most) => number <= most,
            Which::After(most) => number > most,
            Which::Every(each) => number.is_multiple_of(each),
        }
    }
}
