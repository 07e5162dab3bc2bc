//! What sources are refused, by whose buckets, and who is banned for it.

use super::*;

const ADMIN: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn levels(source: &str, prefix: &str) -> Levels {
    Levels {
        source: source.parse().ok(),
        prefix: prefix.parse().ok(),
    }
}

fn limits(settings: Settings) -> Arc<Limits> {
    let exempt = std::iter::once("10.0.0.0/8".parse().unwrap()).collect();
    Arc::new(Limits::new(settings, exempt))
}

/// Of a hundred, how many are admitted at once.
fn admitted(limits: &Arc<Limits>, kind: Kind, from: &str, now: u64) -> usize {
    let mut gate = limits.gate();
    gate.set_now(at(now));
    (0..100)
        .filter(|_| gate.admit(kind, ip(from)).is_ok())
        .count()
}

fn banning() -> Settings {
    Settings {
        requests: levels("1/s 10", "off"),
        datagrams: levels("1/s 10", "off"),
        ban_after: 50,
        ban_window: at(600),
        ban_time: at(3_600),
        ..Settings::off()
    }
}

/// O8
#[test]
fn each_kind_and_level_has_its_own_buckets() {
    let limits = limits(Settings {
        connections: levels("1/s 5", "off"),
        requests: levels("1/s 10", "1/s 25"),
        datagrams: levels("off", "1/s 30"),
        ..Settings::off()
    });
    let given = |kind, from| admitted(&limits, kind, from, 1);
    assert_eq!(given(Kind::Connections, "192.0.2.1"), 5);
    assert_eq!(given(Kind::Requests, "192.0.2.1"), 10);
    assert_eq!(given(Kind::Requests, "192.0.2.2"), 10);
    // The /24 has no more.
    assert_eq!(given(Kind::Requests, "192.0.2.3"), 5);
    assert_eq!(given(Kind::Requests, "192.0.3.3"), 10);
    assert_eq!(given(Kind::Datagrams, "192.0.2.1"), 30);
    assert_eq!(given(Kind::Datagrams, "192.0.2.2"), 0);
    assert_eq!(given(Kind::UnprovedDatagrams, "192.0.2.2"), 30);
    assert_eq!(given(Kind::Logins, "192.0.2.1"), 100);
    // A /64 is one source, and a /48 the network around it.
    assert_eq!(given(Kind::Requests, "2001:db8::1"), 10);
    assert_eq!(given(Kind::Requests, "2001:db8::2"), 0);
    assert_eq!(given(Kind::Requests, "2001:db8:0:1::1"), 10);
    assert_eq!(given(Kind::Requests, "2001:db8:0:2::1"), 5);
    assert_eq!(given(Kind::Requests, "2001:db8:1::1"), 10);
    assert_eq!(given(Kind::Requests, ADMIN), 100);
    assert_eq!(given(Kind::Requests, "0.0.0.0"), 100);
}

/// O8: nobody is refused for what an administrator beside him does.
#[test]
fn who_is_exempt_takes_nothing_from_the_buckets_of_neighbours() {
    let exempt = ["2001:db8::1/128", "192.0.2.1/32"];
    let exempt = exempt.iter().map(|network| network.parse().unwrap());
    let settings = Settings {
        requests: levels("1/s 10", "1/s 10"),
        ..banning()
    };
    let limits = Arc::new(Limits::new(settings, exempt.collect()));
    let given = |from| admitted(&limits, Kind::Requests, from, 1);
    assert_eq!(given("2001:db8::1"), 100);
    assert_eq!(given("2001:db8::2"), 10);
    assert_eq!(given("192.0.2.1"), 100);
    assert_eq!(given("192.0.2.2"), 10);
    // The neighbour is banned for his own excess, and still only he.
    assert_eq!(given("2001:db8::2"), 0);
    assert_eq!(given("2001:db8::1"), 100);
}

/// O8
#[test]
fn a_refusal_says_when_to_come_again() {
    let limits = limits(Settings {
        requests: levels("6/min 1", "off"),
        ..Settings::off()
    });
    assert_eq!(limits.admit(Kind::Requests, ip("192.0.2.1"), at(1)), Ok(()));
    let refused = limits.admit(Kind::Requests, ip("192.0.2.1"), at(2));
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.reason, refused.seconds, refused.minutes()),
        (Reason::Rate, 9, 1)
    );
}

/// O8: a worker that woke up before another, and comes to its connection after it, neither refuses nor bans before the time.
#[test]
fn whose_clock_was_read_earlier_refuses_and_bans_nobody_before_the_time() {
    for [source, prefix] in [["1/h 2", "off"], ["off", "1/h 2"]] {
        let limits = limits(Settings {
            connections: levels(source, prefix),
            ban_after: 2,
            ..banning()
        });
        let [mut early, mut late] = [limits.gate(), limits.gate()];
        early.set_now(Duration::from_millis(1_000));
        late.set_now(Duration::from_millis(1_020));
        let ask = |gate: &mut Gate| gate.admit(Kind::Connections, ip("192.0.2.1"));
        assert_eq!(ask(&mut late), Ok(()));
        assert_eq!(ask(&mut early), Ok(()));
        let refused = |asked: Result<(), Refused>| asked.unwrap_err().reason;
        assert_eq!(refused(ask(&mut late)), Reason::Rate);
        assert_eq!(refused(ask(&mut early)), Reason::Rate);
        assert_eq!(refused(ask(&mut late)), Reason::Rate);
        let is_banned = refused(ask(&mut early)) == Reason::Banned;
        assert_eq!(is_banned, prefix == "off");
    }
}

/// O8
#[test]
fn repeated_excess_leads_to_a_ban_that_ends() {
    let limits = limits(banning());
    // Ten are served, fifty refused, and with the next one it is banned.
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 1), 10);
    let now = Seconds::at(at(1));
    let bans = limits.bans(now);
    assert_eq!(bans.len(), 1);
    assert_eq!(bans[0].network, "192.0.2.1/32".parse().unwrap());
    assert_eq!(bans[0].kind, Kind::Requests);
    assert_eq!(bans[0].until.since(now), 3_600);
    for kind in Kind::ALL {
        let refused = limits.admit(kind, ip("192.0.2.1"), at(601)).unwrap_err();
        assert_eq!((refused.reason, refused.seconds), (Reason::Banned, 3_000));
        assert_eq!(limits.admit(kind, ip("192.0.2.2"), at(601)), Ok(()));
    }
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 3_601), 10);
    assert_eq!(limits.bans_made(), 2);
}

/// O8
#[test]
fn who_is_refused_now_and_then_is_not_banned() {
    let limits = limits(banning());
    for minute in 0..200 {
        let mut gate = limits.gate();
        gate.set_now(at(minute * 60));
        // Four too many each minute: fewer than fifty in ten.
        let served = (0..14).filter(|_| gate.admit(Kind::Requests, ip("192.0.2.1")).is_ok());
        assert_eq!(served.count(), 10);
    }
    assert_eq!(limits.bans_made(), 0);
}

/// O8
#[test]
fn nobody_is_banned_for_neighbours_or_for_what_may_be_forged() {
    let limits = limits(Settings {
        requests: levels("off", "1/s 10"),
        ..banning()
    });
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 1), 10);
    assert_eq!(
        admitted(&limits, Kind::UnprovedDatagrams, "192.0.2.1", 1),
        10
    );
    // A victim whose address is forged still gets what it asks for with its connection id.
    assert_eq!(admitted(&limits, Kind::Datagrams, ADMIN, 1), 100);
    assert_eq!(limits.bans_made(), 0);
    assert_eq!(admitted(&limits, Kind::Datagrams, "192.0.2.1", 1), 10);
    assert_eq!(limits.bans_made(), 1);
}

/// O8
#[test]
fn a_reload_changes_limits_and_forgets_no_ban() {
    let limits = limits(banning());
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 1), 10);
    assert_eq!(admitted(&limits, Kind::Datagrams, "192.0.2.2", 1), 10);
    let looser = Settings {
        requests: levels("1/s 20", "off"),
        ban_after: 0,
        ..banning()
    };
    limits.configure(looser, Networks::default());
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 1), 0);
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.3", 1), 20);
    // What stays as it is keeps its buckets.
    assert_eq!(limits.bans(Seconds::at(at(1))).len(), 2);
    limits.configure(Settings::off(), Networks::default());
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.3", 1), 100);
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 1), 0);
    limits.sweep(at(4_000));
    assert!(!limits.is_on.load(Relaxed));
    assert_eq!(admitted(&limits, Kind::Requests, "192.0.2.1", 4_000), 100);
    // Who is exempt is not banned any longer.
    limits.configure(banning(), Networks::default());
    assert_eq!(admitted(&limits, Kind::Requests, ADMIN, 5_000), 10);
    let exempt = std::iter::once("10.0.0.0/8".parse().unwrap()).collect();
    limits.configure(banning(), exempt);
    assert_eq!(admitted(&limits, Kind::Requests, ADMIN, 5_001), 100);
}

/// O8
#[test]
fn a_lifted_ban_is_over_and_its_source_begins_anew() {
    let limits = limits(banning());
    admitted(&limits, Kind::Requests, "2001:db8::1", 1);
    let ban = limits.bans(Seconds::at(at(1)))[0];
    assert_eq!(ban.network, "2001:db8::/64".parse().unwrap());
    assert_eq!(limits.lift(ban.number), Some(ban));
    assert_eq!(limits.lift(ban.number), None);
    // Forty refusals do not ban it again.
    let mut gate = limits.gate();
    gate.set_now(at(1));
    for _ in 0..40 {
        let refused = gate.admit(Kind::Requests, ip("2001:db8::1")).unwrap_err();
        assert_eq!(refused.reason, Reason::Rate);
    }
}

/// O8
#[test]
fn bans_are_put_back_as_they_were() {
    let before = limits(banning());
    admitted(&before, Kind::Requests, "2001:db8::1", 1);
    admitted(&before, Kind::Datagrams, "192.0.2.1", 1);
    let bans = before.bans(Seconds::at(at(1)));
    let after = limits(Settings::off());
    let of_no_source = Ban {
        network: "192.0.2.0/24".parse().unwrap(),
        ..bans[0]
    };
    after.restore(bans.iter().copied().chain([of_no_source]));
    assert_eq!(after.bans(Seconds::at(at(1))), bans);
    assert_eq!(admitted(&after, Kind::Requests, "2001:db8::ffff", 2), 0);
    assert_eq!(admitted(&after, Kind::Requests, "192.0.2.2", 2), 100);
}

/// O8
#[test]
fn refusals_of_others_count_towards_a_ban() {
    let limits = limits(banning());
    for _ in 0..51 {
        limits.note_refusal(Kind::Logins, ip("192.0.2.1"), at(1));
        limits.note_refusal(Kind::Logins, ip(ADMIN), at(1));
        limits.note_refusal(Kind::Logins, ip("0.0.0.0"), at(1));
    }
    let bans = limits.bans(Seconds::at(at(1)));
    assert_eq!(bans.len(), 1);
    assert_eq!(bans[0].kind, Kind::Logins);
}

/// O8: the laboratory has a gate for every connection.
#[test]
fn a_gate_that_is_off_holds_no_tables_and_lets_everybody_in() {
    let mut gate = Gate::default();
    assert_eq!(gate.limits.bans.table_bytes(), 0);
    assert_eq!(gate.limits.in_force.load().tables().count(), 0);
    assert!(limits(Settings::off()).bans.table_bytes() > 1 << 14);
    for kind in Kind::ALL {
        assert_eq!(gate.admit(kind, ip("192.0.2.1")), Ok(()));
    }
    gate.limits.sweep(at(60));
    assert_eq!(gate.limits.bans(Seconds::START), []);
}

/// O8: whatever is switched on, and whoever comes.
#[test]
fn all_tables_and_bans_together_take_less_than_16_mib() {
    let sources = 4 * (8 << SOURCE_BITS) + (8 << FEW_BITS);
    let prefixes = 4 * (8 << PREFIX_BITS) + (8 << PREFIX_BITS);
    let exempt = 1 << 13;
    // A list is copied when it changes, and may have twice the room that it needs.
    let bans = MAX_BANS * size_of::<Ban>() * 3 + Bans::default().table_bytes();
    assert!(sources + prefixes + bans + exempt < 16 << 20);
}
