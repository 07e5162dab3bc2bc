//! Who tells what is everybody's, as the counts of a tracker that is gone: of those that live, the one whose name and the thing give the
//! greatest number (rendezvous hashing). All that see the same trackers alive choose alike; where they do not, something is told twice.

use super::name::SiteName;

/// FNV-1a, finished by `SplitMix64`'s mixer; the same in every version.
fn weight(name: &SiteName, thing: &[u8]) -> u64 {
    let bytes = name
        .as_str()
        .bytes()
        .chain([0])
        .chain(thing.iter().copied());
    let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (digest ^ digest >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Whether `own` is to tell of a thing, when `others` live too.
pub(super) fn is_mine(own: &SiteName, others: &[SiteName], thing: &[u8]) -> bool {
    let mine = (weight(own, thing), own);
    others
        .iter()
        .all(|other| (weight(other, thing), other) < mine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_one_teller_and_all_have_their_share() {
        let names: Vec<SiteName> = ["a", "b", "c"].map(|name| name.parse().unwrap()).to_vec();
        let mut shares = [0; 3];
        for thing in 0_u32..3_000 {
            let tellers = (0..3).filter(|own| {
                let mut others = names.clone();
                let own = others.remove(*own);
                is_mine(&own, &others, &thing.to_be_bytes())
            });
            let tellers: Vec<usize> = tellers.collect();
            assert_eq!(tellers.len(), 1);
            shares[tellers[0]] += 1;
        }
        assert!(shares.iter().all(|share| *share > 800), "{shares:?}");
    }
}
