//! The example of retracker.ini(5), the same in every language.

/// A small configuration, which a test reads.
pub(super) const EXAMPLE: &str = "[TRACKER]\n\
    port = 8080\n\
    admin_networks = 127.0.0.0/8 ::1 192.0.2.10\n\
    \n\
    [ZONES]\n\
    city/north/house-7 = 10.7.0.0/24 2001:db8:7::/48\n\
    city/north/house-8 = 10.8.0.0/24\n\
    other-city = 10.64.0.0/12\n\
    \n\
    [LOGGING]\n\
    level = WARNING\n";
