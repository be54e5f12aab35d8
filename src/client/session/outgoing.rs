//! Accepts the lines that an application sends.

use serde_json::{Map, Value};

use super::{QUIT, Session};
use crate::client::SendError;
use crate::protocol::{ClientLine, Request};

impl Session {
    /// Queues a line of text or a command for all members, and returns its id.
    ///
    /// The answer has this id in [`ReceivedFrame::in_reply_to`](crate::client::ReceivedFrame::in_reply_to).
    /// The command `/quit` is the same as [`finish`](Self::finish), and is not answered.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] or [`SendError::Finished`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolchat::client::{SendError, Session};
    /// # fn greet(session: &mut Session) -> Result<(), SendError> {
    /// session.send("good morning")?;
    /// session.send("/me waves")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&mut self, text: &str) -> Result<String, SendError> {
        self.push(text, None)
    }

    /// Queues a private line for the member with this name, and returns its id.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] or [`SendError::Finished`].
    pub fn send_private(&mut self, name: &str, text: &str) -> Result<String, SendError> {
        self.push(text, Some(name))
    }

    fn push(&mut self, text: &str, to: Option<&str>) -> Result<String, SendError> {
        self.check_accepts_line()?;
        if to.is_none() && is_quit(text) {
            self.finish();
            return Ok(self.pending.next_id());
        }
        Ok(self.pending.push(text, to))
    }

    /// Queues a JSON object as a [line of the protocol](ClientLine), and returns its id.
    ///
    /// The id is that of the object. If it has none, one is added.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`], [`SendError::Finished`] or [`SendError::InvalidObject`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolchat::client::{SendError, Session};
    /// # fn ask(session: &mut Session) -> Result<(), SendError> {
    /// let mut object = serde_json::Map::new();
    /// object.insert("data".into(), "/who".into());
    /// object.insert("id".into(), "question-1".into());
    /// assert_eq!(session.send_object(object)?, "question-1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_object(&mut self, object: Map<String, Value>) -> Result<String, SendError> {
        let is_text = !["hello", "to"].iter().any(|key| object.contains_key(*key));
        if let Some(text) = object.get("data").and_then(Value::as_str)
            && is_text
            && is_quit(text)
        {
            return self.push(QUIT, None);
        }
        self.check_accepts_line()?;
        self.pending.push_object(object).map_err(SendError::InvalidObject)
    }

    fn check_accepts_line(&self) -> Result<(), SendError> {
        if self.is_finishing {
            return Err(SendError::Finished);
        }
        if !self.pending.has_capacity() {
            return Err(SendError::Full);
        }
        Ok(())
    }
}

/// Returns whether the text is the command `/quit`. A text that is JSON is not a command here.
fn is_quit(text: &str) -> bool {
    let line = ClientLine::parse(text.as_bytes());
    text.starts_with('/') && line.is_ok_and(|line| line.request == Request::Quit)
}
