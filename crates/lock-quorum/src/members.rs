//! Sets of members, by their numbers.

/// More members than anybody needs: each lock asks all of them.
pub(crate) const MAX_MEMBERS: usize = 15;

/// A set of members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(u16);

impl Members {
    /// The first so many.
    pub(crate) fn first(count: usize) -> Self {
        (0..count.min(MAX_MEMBERS)).fold(Self::default(), Self::with)
    }

    pub(crate) fn insert(&mut self, member: usize) {
        *self = self.with(member);
    }

    pub(crate) const fn contains(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_MEMBERS).filter(move |member| self.contains(*member))
    }

    const fn with(self, member: usize) -> Self {
        Self(self.0 | 1 << member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let mut some = Members::default();
        assert!(some.is_empty());
        some.insert(14);
        some.insert(0);
        some.insert(14);
        assert_eq!((some.len(), some.iter().collect::<Vec<_>>()), (2, vec![0, 14]));
        assert!(some.contains(14) && !some.contains(1));
        let mut first = Members::default();
        first.insert(0);
        assert_eq!(some.without(first).iter().collect::<Vec<_>>(), [14]);
        let all = Members::first(MAX_MEMBERS);
        assert_eq!((all.len(), all.union(some)), (MAX_MEMBERS, all));
    }
}
