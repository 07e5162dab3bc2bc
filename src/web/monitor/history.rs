//! The past of some figures, for the charts: ring buffers of samples over an hour, a day and a month, and their form on disk.

use std::collections::VecDeque;

/// Figures kept per sample.
const SERIES: usize = 6;

/// The figures of one moment, in the order of [`NAMES`]; NaN for one that is unknown.
pub(super) type Values = [f32; SERIES];

/// The names of the figures in JSON.
const NAMES: [&str; SERIES] = [
    "announces_http",
    "announces_udp",
    "peers",
    "seeders",
    "torrents",
    "local_share",
];

/// Samples in each ring buffer.
const CAPACITY: usize = 720;

/// Seconds between samples of the ring buffers: one hour, 24 hours and 30 days in 720 steps.
const STEPS: [u64; 3] = [5, 120, 3_600];

/// Which ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Hour,
    Day,
    Month,
}

impl Range {
    /// The ring buffer of this name; the hour for any other.
    pub(crate) fn from_name(name: &str) -> Range {
        match name {
            "day" => Range::Day,
            "month" => Range::Month,
            _ => Range::Hour,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct RingBuffer {
    step: u64,
    /// Start of the step and the means over it, oldest first.
    samples: VecDeque<(u64, Values)>,
    /// The step under way: its start, the sums, and how many of each.
    open: (u64, [f64; SERIES], [u32; SERIES]),
}

impl RingBuffer {
    fn new(step: u64) -> RingBuffer {
        RingBuffer {
            step,
            samples: VecDeque::new(),
            open: (0, [0.0; SERIES], [0; SERIES]),
        }
    }

    fn record(&mut self, at: u64, values: &Values) {
        let begun = at - at % self.step;
        if begun != self.open.0 {
            self.close();
            self.open = (begun, [0.0; SERIES], [0; SERIES]);
        }
        let (_, sums, counts) = &mut self.open;
        for ((sum, count), value) in sums.iter_mut().zip(counts).zip(values) {
            if value.is_finite() {
                *sum += f64::from(*value);
                *count += 1;
            }
        }
    }

    fn close(&mut self) {
        let (begun, sums, counts) = self.open;
        if counts.iter().all(|count| *count == 0) {
            return;
        }
        let mut values = [f32::NAN; SERIES];
        for (value, (sum, count)) in values.iter_mut().zip(sums.into_iter().zip(counts)) {
            if count > 0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a chart is not that precise"
                )]
                let mean = (sum / f64::from(count)) as f32;
                *value = mean;
            }
        }
        // The clock of the system may have been set back: a chart's time only goes forward.
        while self.samples.back().is_some_and(|(last, _)| *last >= begun) {
            self.samples.pop_back();
        }
        self.samples.push_back((begun, values));
        while self.samples.len() > CAPACITY {
            self.samples.pop_front();
        }
    }
}

/// All ring buffers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct History {
    buffers: [RingBuffer; 3],
}

/// One chart's data as uPlot takes it: times, and a row per figure; a gap where nothing was sampled.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct Chart {
    /// Seconds between two samples.
    step: u64,
    /// Unix time of each sample.
    time: Vec<u64>,
    /// Values by name.
    series: std::collections::BTreeMap<&'static str, Vec<Option<f32>>>,
}

impl Default for History {
    fn default() -> History {
        History {
            buffers: STEPS.map(RingBuffer::new),
        }
    }
}

impl History {
    /// Puts the figures of the moment `at` (Unix time) into every ring buffer.
    pub(super) fn record(&mut self, at: u64, values: &Values) {
        for buffer in &mut self.buffers {
            buffer.record(at, values);
        }
    }

    /// The data of one ring buffer that is not older than it is long.
    pub(crate) fn chart(&self, range: Range, now: u64) -> Chart {
        let [hour, day, month] = &self.buffers;
        let buffer = match range {
            Range::Hour => hour,
            Range::Day => day,
            Range::Month => month,
        };
        let mut chart = Chart {
            step: buffer.step,
            ..Chart::default()
        };
        let oldest = now.saturating_sub(buffer.step * CAPACITY as u64);
        let mut rows: [Vec<Option<f32>>; SERIES] = Default::default();
        for (at, values) in buffer.samples.iter().filter(|(at, _)| *at >= oldest) {
            if let Some(gap) = chart.time.last().map(|last| last + buffer.step)
                && gap < *at
            {
                chart.time.push(gap);
                rows.iter_mut().for_each(|row| row.push(None));
            }
            chart.time.push(*at);
            for (row, value) in rows.iter_mut().zip(values) {
                row.push(Some(*value).filter(|value| value.is_finite()));
            }
        }
        chart.series = NAMES.into_iter().zip(rows).collect();
        chart
    }

    /// The ring buffers as bytes: a version, the number of figures, then per ring buffer its step and samples, little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&(SERIES as u64).to_le_bytes());
        for buffer in &self.buffers {
            bytes.extend_from_slice(&buffer.step.to_le_bytes());
            bytes.extend_from_slice(&(buffer.samples.len() as u64).to_le_bytes());
            for (at, values) in &buffer.samples {
                bytes.extend_from_slice(&at.to_le_bytes());
                for value in values {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Reads [`History::encode`]d bytes; nothing when they are of another version or damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<History> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != 1 || take_u64(&mut rest)? != SERIES as u64 {
            return None;
        }
        let mut history = History::default();
        for buffer in &mut history.buffers {
            if take_u64(&mut rest)? != buffer.step {
                return None;
            }
            let count = take_u64(&mut rest)?;
            if count > CAPACITY as u64 {
                return None;
            }
            for _ in 0..count {
                let at = take_u64(&mut rest)?;
                if buffer.samples.back().is_some_and(|(last, _)| *last >= at) {
                    return None;
                }
                let mut values = [0.0; SERIES];
                for value in &mut values {
                    let (first, others) = rest.split_first_chunk()?;
                    *value = f32::from_le_bytes(*first);
                    rest = others;
                }
                buffer.samples.push_back((at, values));
            }
        }
        rest.is_empty().then_some(history)
    }
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const NOON: u64 = 1_800_000_000;

    fn filled(seconds: u64) -> History {
        let mut history = History::default();
        for at in (NOON..NOON + seconds).step_by(5) {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let value = (at - NOON) as f32;
            history.record(at, &[value, f32::NAN, 2.0, 3.0, 4.0, 5.0]);
        }
        history
    }

    /// W6
    #[test]
    fn each_ring_holds_the_means_of_its_steps_and_no_more_than_its_length() {
        let history = filled(2 * 3_600);
        let hour = history.chart(Range::Hour, NOON + 2 * 3_600);
        assert_eq!((hour.time.len(), hour.step), (719, 5));
        let day = history.chart(Range::Day, NOON + 2 * 3_600);
        assert_eq!(day.time.len(), 59);
        // The first two minutes held 0, 5, …, 115.
        assert_eq!(day.series["announces_http"][0], Some(57.5));
        assert_eq!(day.series["announces_udp"][0], None);
        assert_eq!(history.chart(Range::Month, NOON).time, [NOON]);
    }

    #[test]
    fn a_time_without_samples_is_a_gap_and_the_old_are_not_shown() {
        let mut history = filled(60);
        history.record(NOON + 600, &[1.0; SERIES]);
        history.record(NOON + 605, &[1.0; SERIES]);
        let chart = history.chart(Range::Hour, NOON + 605);
        let gap = chart.time.iter().position(|at| *at == NOON + 60).unwrap();
        assert_eq!(chart.series["peers"][gap], None);
        assert_eq!(chart.time[gap + 1], NOON + 600);
        assert!(history.chart(Range::Hour, NOON + 9_999).time.is_empty());
    }

    #[test]
    fn a_clock_set_back_leaves_time_in_order() {
        let mut history = filled(60);
        for at in (NOON - 30..NOON + 10).step_by(5) {
            history.record(at, &[1.0; SERIES]);
        }
        let chart = history.chart(Range::Hour, NOON + 60);
        assert!(chart.time.is_sorted_by(|one, next| one < next));
    }

    /// W6
    #[test]
    fn rings_read_back_what_they_wrote() {
        let history = filled(4_000);
        let read = History::decode(&history.encode()).unwrap();
        for range in [Range::Hour, Range::Day, Range::Month] {
            assert_eq!(read.chart(range, NOON), history.chart(range, NOON));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_rings_or_nothing(mut bytes in any::<Vec<u8>>(), at in 0_usize..200, value in any::<u8>()) {
            prop_assert!(History::decode(&bytes).is_none() || bytes.len() > 40);
            bytes = filled(30).encode();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            if let Some(history) = History::decode(&bytes) {
                prop_assert!(history.chart(Range::Hour, NOON).time.len() <= CAPACITY);
            }
        }
    }
}
