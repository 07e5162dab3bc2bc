//! How pages are made: templates, texts in two languages, static files, tables as CSV, the query of a page.

pub(super) mod assets;
pub(super) mod client_name;
pub(super) mod csv_table;
pub(super) mod language;
pub(super) mod number;
pub(super) mod page;
pub(super) mod parameters;
pub(super) mod subscribers;
pub(super) mod templates;
