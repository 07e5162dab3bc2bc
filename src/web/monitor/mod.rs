//! What programs watch the tracker by (`/health`, `/ready`, `/metrics`), and the samples behind the charts.

pub(super) mod health;
pub(super) mod history;
pub(super) mod prometheus;
pub(super) mod sampler;
