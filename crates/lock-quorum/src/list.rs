//! Finding the locks that are held: the names from some members, and what is true of each from a
//! majority.
//!
//! What a majority holds is held at one at least of any members that are one more than can be spared.
//! So those are gone through, one after the other, and a member that cannot be is replaced by another.

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use lock_core::backend::{ListCursor, ListReply, ListRequest};
use lock_core::{LockError, LockErrorKind, Result};

use crate::failure::Failures;
use crate::member::Member;
use crate::tell;
use crate::votes::Majority;

/// A part of the list of one member, as a majority sees it.
pub(crate) async fn list(members: &[Arc<Member>], request: ListRequest) -> Result<ListReply> {
    let majority = Majority::of(members.len());
    let mut place = match &request.cursor {
        None => Place { member: 0, done: 0, cursor: None },
        Some(cursor) => Place::read(cursor.as_str()).ok_or_else(foreign_cursor)?,
    };
    let mut failures = Failures::default();
    let part = loop {
        let Some(member) = members.get(place.member) else {
            return Err(failures.into_error(majority, |member| members[member].name()));
        };
        let mut asking = ListRequest::new(Arc::clone(&request.prefix));
        asking.cursor = place.cursor.take().map(ListCursor::new);
        match member.list(asking).await {
            Ok(part) => break part,
            Err(error) => {
                failures.add(place.member, error);
                place.member += 1;
            }
        }
    };
    let names = part.locks.into_iter().map(|(key, _)| key);
    let looked = join_all(names.map(|key| async {
        match tell::look(members, key.clone()).await {
            Ok(status) => Ok(status.map(|status| (key, status))),
            // Those who answered do not agree, so no majority says that it is held.
            Err(unclear) if unclear.has_quorum => Ok(None),
            Err(unclear) => Err(unclear.error),
        }
    }));
    let held = looked.await.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    let next = match part.next {
        Some(cursor) => Some(Place { cursor: Some(cursor.as_str().into()), ..place }),
        None if place.done < majority.spare() => {
            Some(Place { member: place.member + 1, done: place.done + 1, cursor: None })
        }
        None => None,
    };
    let reply = ListReply::new(held);
    Ok(match next {
        Some(next) => reply.with_next(ListCursor::new(next.to_string())),
        None => reply,
    })
}

/// A place on the way through the members.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    member: usize,
    /// How many members before it were gone through.
    done: usize,
    /// The member's own place.
    cursor: Option<Box<str>>,
}

impl Place {
    /// Reads what its `Display` has written.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (member, done) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { member, done, cursor: words.next().map(Into::into) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.member, self.done)?;
        match &self.cursor {
            Some(cursor) => write!(f, " {cursor}"),
            None => Ok(()),
        }
    }
}

fn foreign_cursor() -> LockError {
    let message = "the cursor of the list is not one of this backend";
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for cursor in [None, Some("0 17"), Some("")] {
            let place = Place { member: 2, done: 1, cursor: cursor.map(Into::into) };
            assert_eq!(Place::read(&place.to_string()), Some(place));
        }
        assert_eq!(Place::read("1").or(Place::read("x 1")), None);
    }
}
