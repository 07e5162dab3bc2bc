//! Who comes onto a list when the rule has handed out all that are for everybody and it is not full: the surplus (S16), and for
//! a requester on loopback all others (S13).

use super::announce::PeerList;
use super::around::Standpoint;
use super::draw::Listed;
use super::peer::{Address, KeptId};
use super::peers::View;
use super::region::{Region, Spans, fill as fill_regions};
use super::rounding::Rounding;
use super::selection::{Chosen, Offer};
use super::span::Span;
use super::wish::Wish;

/// Fills the list with who is left in one step, every peer of a role with the same chance, near or not.
#[cold]
#[inline(never)]
pub(super) fn fill<A: Address + Listed, I: KeptId>(
    offer: &Offer<'_, A, I>,
    standpoint: &Standpoint<'_, A>,
    step: usize,
    wish: &Wish<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let Some(there) = standpoint.behind(step) else {
        return Chosen::default();
    };
    let views = offer.views();
    let (low, high) = there.whole();
    let outer = views.map(|view| view.span(low, high, 0));
    if wish.want == 0 || outer.iter().all(|span| span.len() == 0) {
        return Chosen::default();
    }
    let near = match there.widest() {
        Some((low, high)) => clip(views.map(|view| view.span(low, high, 0)), outer),
        None => outer.map(|span| span.start.none()),
    };
    let mut regions = [
        Region::new(near, hole(near, offer)),
        Region::new(outer, near),
    ];
    let mut rounding = Rounding::new(rng);
    let leechers: usize = regions.iter().map(|region| region.count[0]).sum();
    let seeds = wish.seeds_most(rounding);
    let seeds = seeds.max(wish.want.saturating_sub(leechers));
    fill_regions(&mut regions, wish.want, [0; 2], seeds, &mut rounding, rng);
    let [near, far] = &regions;
    let [leechers, seeders] = near.count;
    let before = A::listed(list).len();
    let mut seeds = draw(near, &views, wish, rng, list);
    let local = A::listed(list).len() - before;
    seeds += draw(far, &views, wish, rng, list);
    Chosen {
        all: A::listed(list).len() - before,
        seeds,
        local,
        has_local_leecher: leechers > 0,
        has_local_seeder: seeders > 0,
        has_rest: false,
    }
}

/// Puts a third entry of the requester's own subscriber address onto the list, where its zone says that many live behind one.
#[cold]
#[inline(never)]
pub(super) fn own_subscriber<A: Address + Listed, I: KeptId>(
    offer: &Offer<'_, A, I>,
    standpoint: &Standpoint<'_, A>,
    wish: &Wish<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let most = standpoint.own_most();
    let Some((low, high)) = standpoint.subscriber().filter(|_| most > 0) else {
        return Chosen::default();
    };
    let views = offer.views();
    let everybody = views.map(|view| view.span(low, high, 0));
    let listed = Region::new(everybody, hole(everybody, offer)).len();
    let surplus = views.map(|view| view.span(A::surplus(low), A::surplus(high), 0));
    let mut region = Region::new(surplus, hole(surplus, offer));
    let want = most.saturating_sub(listed).min(wish.want);
    region.take(want, wish.want, &mut Rounding::new(rng));
    let before = A::listed(list).len();
    let seeds = draw(&region, &views, wish, rng, list);
    let all = A::listed(list).len() - before;
    Chosen {
        all,
        seeds,
        local: all,
        ..Chosen::default()
    }
}

#[inline(never)]
fn draw<A: Address + Listed, I: KeptId>(
    region: &Region,
    views: &[View<'_, A, I>; 2],
    wish: &Wish<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize {
    region.draw(views, wish.not, rng, list)
}

fn clip([leechers, seeders]: Spans, [all_leechers, all_seeders]: Spans) -> Spans {
    [leechers.clip(all_leechers), seeders.clip(all_seeders)]
}

/// The requester itself among `spans`, or nobody.
fn hole<A: Address + Listed, I: KeptId>(spans: Spans, offer: &Offer<'_, A, I>) -> Spans {
    let [own_leecher, own_seeder] = offer.own_in(&spans);
    let [leechers, seeders] = spans;
    let nobody = |span: Span| span.start.none();
    [
        own_leecher.unwrap_or_else(|| nobody(leechers)),
        own_seeder.unwrap_or_else(|| nobody(seeders)),
    ]
}
