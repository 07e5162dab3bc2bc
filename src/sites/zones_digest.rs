//! A digest of the zones' names, by which trackers see whether they have the same.

use crate::tracker::Zones;

/// FNV-1a over the paths in order; the same in every version. 0 without zones.
pub(super) fn of(zones: &Zones) -> u64 {
    if zones.is_empty() {
        return 0;
    }
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for zone in zones.ids() {
        zones.path(Some(zone)).bytes().for_each(&mut add);
        add(b'\n');
    }
    zones
        .prefix_count()
        .to_be_bytes()
        .into_iter()
        .for_each(&mut add);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::ZoneRule;

    #[test]
    fn other_zones_have_another_digest() {
        let zones = |path: &str, prefix: &str| {
            let rule = ZoneRule {
                path: path.into(),
                prefixes: vec![prefix.parse().unwrap()],
                ..ZoneRule::default()
            };
            of(&Zones::new(&[rule], &[]).unwrap())
        };
        assert_eq!(of(&Zones::default()), 0);
        assert_eq!(zones("a/b", "192.0.2.0/24"), zones("a/b", "192.0.2.0/24"));
        assert_ne!(zones("a/b", "192.0.2.0/24"), zones("a/c", "192.0.2.0/24"));
    }
}
