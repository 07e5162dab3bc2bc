//! How pieces get from peer to peer: who is unchoked, how a line is divided, and what crosses into a zone.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers, zones and links are given out by the simulation itself"
)]

use super::Simulation;
use crate::tracker::Event;

impl Simulation<'_> {
    /// Takes back what was asked of a peer that sends nothing, so that it is asked of others.
    pub(super) fn time_out_requests(&mut self, peer: usize) {
        let mut late = Vec::new();
        for link in &mut self.peers[peer].links {
            late.extend(link.time_out(self.now).map(|piece| (link.to, piece)));
        }
        for (other, piece) in late {
            self.peers[other].give_up(piece);
        }
    }

    pub(super) fn choose(&mut self, peer: usize) {
        let client = &self.peers[peer];
        let links = client.links.iter();
        let wants = links.map(|link| client.has.interest(&self.peers[link.to].has));
        let wants: Vec<bool> = wants.collect();
        let stopped = self.peers[peer].choose(self.now, &wants, &mut self.rng);
        for (other, piece) in stopped {
            self.peers[other].give_up(piece);
        }
    }

    /// Sends what the line carries in a second, in equal parts to all who are unchoked and want something. What one cannot take is
    /// for those after it.
    pub(super) fn upload(&mut self, peer: usize) {
        let mut open = Vec::new();
        for at in 0..self.peers[peer].links.len() {
            if self.peers[peer].links[at].takes_requests() && self.ask(peer, at).is_some() {
                open.push(at);
            }
        }
        let mut line = self.peers[peer].upload_rate();
        for (before, &at) in open.iter().enumerate() {
            let other = self.peers[peer].links[at].to;
            let percent = self.line_percent(peer, other);
            let part = line / (open.len() - before) as u64;
            let bytes = (part * percent / 100).min(self.peers[other].room);
            let mut left = bytes;
            while left > 0
                && let Some(piece) = self.ask(peer, at)
            {
                left -= self.send(peer, at, piece, left);
            }
            line = line.saturating_sub((bytes - left) * 100 / percent);
        }
    }

    /// What the line carries to a peer, in percent of what it carries to strangers.
    fn line_percent(&self, peer: usize, other: usize) -> u64 {
        let [one, two] = [peer, other].map(|peer| self.peers[peer].profile.zone);
        if one.is_some() && one == two {
            self.plan.lines.local_percent
        } else {
            100
        }
    }

    /// The piece on its way over a link, or a new one.
    fn ask(&mut self, peer: usize, at: usize) -> Option<usize> {
        let link = &self.peers[peer].links[at];
        if link.piece.is_some() {
            return link.piece;
        }
        let other = link.to;
        let [uploader, downloader] = self.peers.get_disjoint_mut([peer, other]).ok()?;
        let piece = downloader.ask(&uploader.has, &mut self.rng);
        uploader.links[at].begin(piece, self.now);
        piece
    }

    /// Sends at most so many bytes of a piece, and returns how many.
    pub(super) fn send(&mut self, peer: usize, at: usize, piece: usize, bytes: u64) -> u64 {
        let other = self.peers[peer].links[at].to;
        let (sent, is_whole) = self.peers[other].take(peer, piece, bytes);
        self.stuck_for = 0;
        self.peers[peer].links[at].note_sent(sent, self.now);
        if let Some(zone) = self.peers[other].profile.zone
            && self.peers[peer].profile.zone != Some(zone)
        {
            self.imported[zone] += sent;
            self.peers[other].imported += sent;
        }
        if is_whole {
            self.peers[peer].links[at].piece = None;
            for link in 0..self.peers[other].links.len() {
                let neighbour = self.peers[other].links[link].to;
                self.peers[neighbour].see(piece);
            }
            if self.peers[other].has.is_complete() {
                self.completed.push(other);
            }
        }
        sent
    }

    /// Those whose download has become complete tell the tracker, and part from others that have everything.
    pub(super) fn finish_downloads(&mut self) -> anyhow::Result<()> {
        for peer in std::mem::take(&mut self.completed) {
            self.peers[peer].done = Some(self.now + 1);
            self.downloading -= 1;
            let links = self.peers[peer].links.iter().map(|link| link.to);
            let seeds: Vec<usize> = links
                .filter(|&other| self.peers[other].has.is_complete())
                .collect();
            for other in seeds {
                self.cut(peer, other);
            }
            self.announce(peer, Event::Completed)?;
        }
        Ok(())
    }
}
