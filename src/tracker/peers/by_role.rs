//! One of something for the leechers of a swarm and one for its seeders.

use super::Role;

/// One value for each role, where an array would leave it to the reader to know whose is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByRole<T> {
    pub leechers: T,
    pub seeders: T,
}

impl<T> ByRole<T> {
    #[inline]
    pub(crate) fn from_fn(mut of: impl FnMut(Role) -> T) -> ByRole<T> {
        ByRole {
            leechers: of(Role::Leecher),
            seeders: of(Role::Seeder),
        }
    }

    #[inline]
    pub(crate) fn get(&self, role: Role) -> &T {
        match role {
            Role::Leecher => &self.leechers,
            Role::Seeder => &self.seeders,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, role: Role) -> &mut T {
        match role {
            Role::Leecher => &mut self.leechers,
            Role::Seeder => &mut self.seeders,
        }
    }

    #[inline]
    pub(crate) fn as_ref(&self) -> ByRole<&T> {
        ByRole {
            leechers: &self.leechers,
            seeders: &self.seeders,
        }
    }

    #[inline]
    pub(crate) fn as_mut(&mut self) -> ByRole<&mut T> {
        ByRole {
            leechers: &mut self.leechers,
            seeders: &mut self.seeders,
        }
    }

    #[inline]
    pub(crate) fn map<U>(self, mut each: impl FnMut(T) -> U) -> ByRole<U> {
        ByRole {
            leechers: each(self.leechers),
            seeders: each(self.seeders),
        }
    }

    /// Pairs what is of the same role.
    #[inline]
    pub(crate) fn zip<U>(self, other: ByRole<U>) -> ByRole<(T, U)> {
        ByRole {
            leechers: (self.leechers, other.leechers),
            seeders: (self.seeders, other.seeders),
        }
    }
}

/// Leechers first.
impl<T> IntoIterator for ByRole<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 2>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        [self.leechers, self.seeders].into_iter()
    }
}

impl ByRole<usize> {
    /// Peers of both roles.
    #[inline]
    pub(crate) fn sum(self) -> usize {
        self.leechers + self.seeders
    }
}
