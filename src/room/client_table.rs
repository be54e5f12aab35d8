//! A table with one row for each member, in the order in which they came.

use super::MemberId;

/// Rows by [`MemberId`]. Ids only ever grow, so the rows stay sorted by themselves: a new one
/// goes to the end, a search is binary, and a walk over all of them (which is what a fan-out
/// does) is a walk through plain memory.
#[derive(Debug)]
pub struct ClientTable<T> {
    rows: Vec<(MemberId, T)>,
}

impl<T> Default for ClientTable<T> {
    /// An empty table. It takes memory with its first row.
    fn default() -> Self {
        ClientTable { rows: Vec::new() }
    }
}

impl<T> ClientTable<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row. One that the member may have had already is replaced.
    pub fn insert(&mut self, id: MemberId, row: T) {
        match self.place(id) {
            Ok(at) => {
                if let Some(old) = self.rows.get_mut(at) {
                    old.1 = row;
                }
            }
            Err(at) => self.rows.insert(at, (id, row)),
        }
    }

    /// The row of a member.
    pub fn get(&self, id: MemberId) -> Option<&T> {
        let at = self.place(id).ok()?;
        self.rows.get(at).map(|(_, row)| row)
    }

    /// The row of a member, to change.
    pub fn get_mut(&mut self, id: MemberId) -> Option<&mut T> {
        let at = self.place(id).ok()?;
        self.rows.get_mut(at).map(|(_, row)| row)
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: MemberId) -> Option<T> {
        let at = self.place(id).ok()?;
        let (_, row) = self.rows.remove(at);
        if self.rows.len() < self.rows.capacity() / 4 {
            self.rows.shrink_to(self.rows.len() * 2);
        }
        Some(row)
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (MemberId, &T)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// All rows, to change, so many at a time.
    pub fn chunks_mut(&mut self, count: usize) -> impl Iterator<Item = &mut [(MemberId, T)]> {
        self.rows.chunks_mut(count)
    }

    fn place(&self, id: MemberId) -> Result<usize, usize> {
        // The usual case by far, and a cheap one: the row goes behind all others.
        if self.rows.last().is_none_or(|(last, _)| *last < id) {
            return Err(self.rows.len());
        }
        self.rows.binary_search_by_key(&id, |(id, _)| *id)
    }
}
