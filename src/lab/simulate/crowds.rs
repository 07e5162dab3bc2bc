//! The named crowds: what is compared when somebody asks how the policies do, each as the options that make it.

use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Command, FromArgMatches};

use super::crowd_options::CrowdOptions;
use super::plan::Plan;

/// A crowd with a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub name: &'static str,
    /// What it is, in a line.
    pub meaning: &'static str,
    /// How it differs from the default, as on the command line.
    pub options: &'static str,
}

/// Stands for all crowds on the command line.
const EVERY: &str = "all";

const fn crowd(name: &'static str, options: &'static str, meaning: &'static str) -> Crowd {
    Crowd {
        name,
        meaning,
        options,
    }
}

/// All of them, in the order of the table in docs/LOCALITY.md.
#[rustfmt::skip]
pub(super) const CROWDS: &[Crowd] = &[
    crowd("waiting", "", "all are there and wait for the seeder; they leave when they are done"),
    crowd("waiting-50", "--libtorrent=0", "the same with simple clients that ask for 50"),
    crowd("minute", "--arrival=60", "all come within a minute"),
    crowd("ten-minutes-leave", "--arrival=600", "within ten minutes, and leave when they are done"),
    crowd("ten-minutes-stay", "--arrival=600 --stay=1800", "within ten minutes, and seed for half an hour"),
    crowd("mixed-clients", "--arrival=600 --libtorrent=50", "half of the clients are simple, and come within ten minutes"),
    crowd("hour", "--arrival=3600", "within an hour"),
    crowd("hour-slow-seeder", "--arrival=3600 --seeder-rate=100", "within an hour, and the seeder is no faster than the others"),
    crowd("tiny-zones", "--zones=60 --sizes=2,3,4,5,6,7,8,9,10 --arrival=600", "60 zones of two to ten"),
    crowd("large-zones", "--zones=3 --peers=250", "three zones of 250, waiting"),
    crowd("large-zones-minute", "--zones=3 --peers=250 --arrival=60", "three zones of 250 within a minute"),
    crowd("large-among-small", "--sizes=400,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10 --arrival=600", "a zone of 400 among twenty of ten"),
    crowd("tree", "--zones=3 --peers=250 --parts=5 --tree --arrival=600", "three zones of 250 with five zones below each"),
    crowd("mixed-lines", "--arrival=600 --mixed", "lines of which the fastest are eight times the slowest"),
    crowd("fast-at-home", "--arrival=600 --local=1000", "lines that are ten times as fast inside a zone"),
    crowd("abort", "--arrival=600 --abort=20", "a fifth gives up, half of them without a word"),
    crowd("outsiders", "--arrival=600 --outsiders=200", "200 peers beside the zones"),
    crowd("unreachable", "--arrival=600 --unreachable=30", "three in ten cannot be connected to"),
    crowd("stall", "--arrival=600 --fault-every=200 --fault=stall", "every 200 s the best importer of each zone stalls"),
    crowd("vanish", "--arrival=600 --fault-every=200 --fault=vanish", "every 200 s it vanishes without a word"),
    crowd("leave", "--arrival=600 --fault-every=200 --fault=leave", "every 200 s it leaves"),
    crowd("fakes-10", "--arrival=600 --fakes=10", "ten of each fifty are fakes"),
    crowd("fakes-20", "--arrival=600 --fakes=20", "twenty of each fifty are fakes"),
    crowd("fakes-of-one", "--arrival=600 --fakes=20 --fake-addresses=1", "twenty of each fifty are fakes, all on one line"),
    crowd("seeds-at-home", "--arrival=600 --seeds=5", "five of each fifty have the file already"),
    crowd("dht", "--arrival=600 --dht=10", "a tenth of all attempts to connect go to addresses of the DHT"),
    crowd("pex", "--arrival=600 --pex=50", "half of the clients tell each other their neighbours"),
];

/// Reads names of crowds, and lists them in the help.
pub(super) fn names() -> PossibleValuesParser {
    let every = PossibleValue::new(EVERY).help("every one of these");
    let named = CROWDS.iter().map(|crowd| {
        let text = format!("{} ({})", crowd.meaning, crowd.options);
        PossibleValue::new(crowd.name).help(text.trim_end_matches(" ()").to_owned())
    });
    PossibleValuesParser::new(named.chain([every]))
}

/// The crowds of these names, in the order of the names.
pub(super) fn named(names: &[String]) -> Vec<Crowd> {
    let of_name = |name: &String| -> Vec<Crowd> {
        let is_meant = |crowd: &&Crowd| name == EVERY || name == crowd.name;
        CROWDS.iter().filter(is_meant).copied().collect()
    };
    names.iter().flat_map(of_name).collect()
}

impl Crowd {
    /// What is simulated.
    ///
    /// # Errors
    /// An option that does not exist; a test holds that there is none.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let command = CrowdOptions::augment_args(Command::new("crowd").no_binary_name(true));
        let options = command
            .try_get_matches_from(self.options.split_whitespace())
            .and_then(|matches| CrowdOptions::from_arg_matches(&matches))
            .with_context(|| format!("the crowd {}", self.name))?;
        let mut plan = Plan::default();
        options.apply(&mut plan);
        Ok(plan)
    }
}
