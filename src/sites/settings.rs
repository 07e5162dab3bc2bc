//! What an operator says about the other sites.

use std::path::PathBuf;

use super::engine_url::EngineUrl;
use super::name::SiteName;
use crate::secret::Secret;

/// Engines at most.
pub const MAX_ENGINES: usize = 3;

/// The network of trackers, and this one's place in it. There is no default: without engines the part is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What this tracker is called (`name`); no other of the network may be called so.
    pub name: SiteName,
    /// The engines (`engines`), the nearest first; one to [`MAX_ENGINES`], more are not used.
    pub engines: Vec<EngineUrl>,
    /// Which network of trackers (`network`): several can use one engine. Default `retracker`.
    pub network: SiteName,
    /// Whom the engine knows this tracker as (`user`); `None` for its default user.
    pub user: Option<String>,
    /// The password (from `password_file`); `None` where the engine asks for none.
    pub password: Option<Secret>,
    /// Certificates in PEM that the certificate of an engine must be signed by (`ca_file`). Needed for `rediss://`, for which the
    /// system's certificates are not taken.
    pub ca_file: Option<PathBuf>,
    /// Whether entries of the blocklist are told to the others, and taken from them (`blocklist = shared | local`). Default yes.
    pub share_blocklist: bool,
}

impl Settings {
    /// The settings of a tracker that is called `name` and uses these engines, everything else by default.
    pub fn new(name: SiteName, network: SiteName, engines: Vec<EngineUrl>) -> Settings {
        Settings {
            name,
            engines,
            network,
            user: None,
            password: None,
            ca_file: None,
            share_blocklist: true,
        }
    }
}
