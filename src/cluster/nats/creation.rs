//! The turn of a node to create the streams.
//!
//! NATS servers that get several requests for one stream at the same time can create it more than
//! once. Its replicas then have different times of creation, so that it looks like another stream
//! after an election. So the nodes that find no streams send claims, and the node with the lowest
//! claim creates the streams.

use std::time::Duration;

use futures_lite::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};

use super::{Failure, Nats};
use crate::cluster::epoch::StreamInfo;
use crate::os::random;

/// The time between two claims of a node.
const CLAIM_INTERVAL: Duration = Duration::from_millis(100);
/// The claims of a node before its turn.
const CLAIMS: u32 = 10;

impl Nats {
    /// Opens the streams, and creates those that are missing. Waits if another node creates them.
    pub(in crate::cluster) async fn open_in_turn(&self) -> Result<StreamInfo, Failure> {
        // Another claim after each failure: a node that cannot create the streams must not keep the
        // others waiting.
        let claim = format!("{:016x}", u64::from_ne_bytes(random()?));
        while self.is_clustered() && !self.has_streams().await? {
            if self.is_turn(&claim).await? {
                return self.open_log().or(self.hold_turn()).await;
            }
        }
        self.open_log().await
    }

    /// Returns whether it is the turn of this node: no other node sends a lower claim.
    async fn is_turn(&self, claim: &str) -> Result<bool, Failure> {
        let mut claims = self.client.subscribe(self.claim_subject()).await?;
        for _ in 0..CLAIMS {
            self.client.publish(self.claim_subject(), claim.to_owned().into()).await?;
            let lower_claim = async {
                while let Some(message) = claims.next().await {
                    if *message.payload < *claim.as_bytes() {
                        break;
                    }
                }
            };
            if timeout(CLAIM_INTERVAL, lower_claim).await.is_ok() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends claims that are lower than those of all other nodes. Returns only after a failure.
    async fn hold_turn(&self) -> Result<StreamInfo, Failure> {
        loop {
            self.client.publish(self.claim_subject(), "".into()).await?;
            sleep(CLAIM_INTERVAL).await;
        }
    }

    fn claim_subject(&self) -> String {
        format!("smolchat.{}.claim", self.config.room)
    }
}
