//! A check for UTF-8 that arrives in pieces.

/// A check whether a stream of bytes is UTF-8. It finds the first wrong byte when that arrives.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// The start of a character.
    partial: [u8; 4],
    length: u8,
}

impl Utf8Check {
    /// Checks the next bytes.
    ///
    /// # Errors
    ///
    /// Returns the index of the first byte that cannot follow those before it.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while self.length > 0
            && let Some((&byte, after)) = rest.split_first()
        {
            self.extend_partial(byte).map_err(|()| bytes.len() - rest.len())?;
            rest = after;
        }
        let Err(error) = str::from_utf8(rest) else { return Ok(()) };
        let index = bytes.len() - rest.len() + error.valid_up_to();
        let (_, wrong) = rest.split_at(error.valid_up_to());
        match error.error_len() {
            None => {
                self.length = wrong.len() as u8;
                self.partial.iter_mut().zip(wrong).for_each(|(to, from)| *to = *from);
                Ok(())
            }
            // The bytes before the wrong one can start a character, or there are none.
            Some(length) => Err(index + if is_first(wrong) { length } else { 0 }),
        }
    }

    /// Returns whether the stream does not end inside a character.
    pub fn is_complete(&self) -> bool {
        self.length == 0
    }

    fn extend_partial(&mut self, byte: u8) -> Result<(), ()> {
        let length = usize::from(self.length);
        *self.partial.get_mut(length).ok_or(())? = byte;
        match str::from_utf8(self.partial.get(..=length).unwrap_or_default()) {
            Ok(_) => self.length = 0,
            Err(error) if error.error_len().is_none() => self.length += 1,
            Err(_) => return Err(()),
        }
        Ok(())
    }
}

/// Returns whether the first byte can start a character of several bytes.
fn is_first(bytes: &[u8]) -> bool {
    matches!(bytes, [0xC2..=0xF4, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wrong_byte_is_found_when_it_arrives() {
        for (bytes, index) in [
            (&b"ab\xFFc"[..], 2),
            (b"ab\x80", 2),
            (b"\xC0\x80", 0),
            (b"\xC3a", 1),
            (b"\xE2\x82a", 2),
            (b"\xED\xA0\x80", 1),
            (b"\xF0\x90\x80a", 3),
            (b"\xF4\x90\x80\x80", 1),
            (b"\xF5\x80", 0),
        ] {
            assert_eq!(Utf8Check::default().check(bytes), Err(index), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn pieces_are_checked_as_the_whole(
            bytes in proptest::collection::vec(prop_oneof![
                any::<u8>(),
                proptest::sample::select(b"a\x80\x8F\x90\x9F\xA0\xBF\xC2\xE0\xED\xE2\xF0\xF4".to_vec()),
            ], 0..12),
            split in 0usize..12,
        ) {
            let mut whole = Utf8Check::default();
            let expected = whole.check(&bytes);
            let (start, end) = bytes.split_at(split.min(bytes.len()));
            let mut pieces = Utf8Check::default();
            let found = pieces.check(start)
                .and_then(|()| pieces.check(end).map_err(|index| start.len() + index));
            prop_assert_eq!(found, expected);
            let is_whole = expected.is_ok() && whole.is_complete();
            prop_assert_eq!(is_whole, str::from_utf8(&bytes).is_ok());
            prop_assert_eq!(is_whole, found.is_ok() && pieces.is_complete());
        }
    }
}
