//! Helper tools of the command line: each is a module with `Arguments` and `run`.

mod audited;
pub mod check;
pub mod database_view;
pub mod hash_password;
pub mod import;
pub mod token;
pub mod zones;
