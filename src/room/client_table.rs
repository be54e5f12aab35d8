//! A table of clients by number.

use super::ClientId;

/// A table with one row for each client, sorted by [`ClientId`].
///
/// A lookup is a binary search, and a walk over all rows, as in a fan-out, reads memory in order.
#[derive(Debug, Default)]
pub(crate) struct ClientTable<T> {
    rows: Vec<(ClientId, T)>,
}

impl<T> ClientTable<T> {
    /// Creates an empty table, which allocates with its first row.
    pub fn new() -> Self {
        ClientTable { rows: Vec::new() }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the row of a client that has none. In most tables its number is larger than any before,
    /// and the row goes to the end.
    pub fn insert(&mut self, id: ClientId, row: T) {
        let at = self.rows.partition_point(|(other, _)| *other < id);
        self.rows.insert(at, (id, row));
    }

    /// Returns the row of a client.
    pub fn get(&self, id: ClientId) -> Option<&T> {
        let at = self.find(id)?;
        self.rows.get(at).map(|(_, row)| row)
    }

    /// Returns the row of a client.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut T> {
        let at = self.find(id)?;
        self.rows.get_mut(at).map(|(_, row)| row)
    }

    /// Removes and returns the row of a client.
    pub fn remove(&mut self, id: ClientId) -> Option<T> {
        let at = self.find(id)?;
        let (_, row) = self.rows.remove(at);
        if self.rows.len() < self.rows.capacity() / 4 {
            self.rows.shrink_to(self.rows.len() * 2);
        }
        Some(row)
    }

    /// Returns all rows, sorted by number.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, &T)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// Returns all rows, `count` at a time.
    pub fn chunks_mut(&mut self, count: usize) -> impl Iterator<Item = &mut [(ClientId, T)]> {
        self.rows.chunks_mut(count)
    }

    fn find(&self, id: ClientId) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}
