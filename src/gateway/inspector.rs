//! Messages of a client, put together, judged, and made ready for the browser.

use std::path::PathBuf;

use tokio::time::Instant;

use super::{
    budget::{Budget, Share},
    frame::{Frame, Peer, Violation},
    head::{HEADROOM, head},
    policy::{self, Denial, MAX_MESSAGE, Rules, Verdict},
};
use crate::broker::{Attachment, PolicyMode};

/// Buffers that grew beyond this are given up after use, in bytes.
const KEPT: usize = 256 << 10;

/// Judges what one client sends, message by message.
#[derive(Debug)]
pub(super) struct Inspector<'a> {
    attachment: &'a Attachment,
    rules: Rules,
    mode: PolicyMode,
    /// Room for a head, then the payload as far as it has come, without its mask.
    message: Vec<u8>,
    /// How much of the frame under way has come, in bytes.
    come: usize,
    binary: bool,
    complete: bool,
    share: Share,
}

impl<'a> Inspector<'a> {
    pub(super) fn new(attachment: &'a Attachment, mode: PolicyMode, budget: &Budget) -> Self {
        let files = attachment.files().dir().to_owned();
        Self {
            attachment,
            rules: Rules { files },
            mode,
            message: vec![0; HEADROOM],
            come: 0,
            binary: false,
            complete: false,
            share: budget.share(),
        }
    }

    /// Marks that the client did something.
    pub(super) fn touch(&self, now: Instant) {
        self.attachment.activity().touch(now);
    }

    /// Takes the next bytes of `frame`, whose last they are if it `ended`.
    pub(super) fn take(
        &mut self,
        frame: Frame,
        payload: &[u8],
        ended: bool,
    ) -> Result<(), Violation> {
        let begin = self.message.len();
        let length = (begin - HEADROOM + payload.len()) as u64;
        if length.saturating_add(frame.left) > MAX_MESSAGE as u64 {
            return Err(Violation::LongMessage);
        }
        if !self.share.grow(begin + payload.len()) {
            return Err(Violation::NoRoom);
        }
        self.message.extend_from_slice(payload);
        let come = self.message.get_mut(begin..).unwrap_or_default();
        unmask(come, frame.mask, self.come);
        self.come += payload.len();
        if ended {
            self.come = 0;
            self.binary = frame.begins.unwrap_or(self.binary);
            self.complete = frame.ends;
        }
        Ok(())
    }

    /// Takes note that the browser has got what it was to get.
    pub(super) fn written(&mut self) {
        if self.message.len() == HEADROOM {
            self.share.release();
        }
    }

    /// Whether a message is there to be judged.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Judges the message. What the browser is to get of it replaces `out`, which is empty, and
    /// begins there at the offset returned; what the client is answered is returned beside it.
    ///
    /// # Cancel safety
    /// Yes: the message stays and can be judged again.
    pub(super) async fn judge(&mut self, out: &mut Vec<u8>) -> (usize, Option<String>) {
        let verdict = self.verdict().await;
        self.complete = false;
        let enforced = self.mode == PolicyMode::Enforce;
        let mut answer = None;
        if let Verdict::Deny(denial) = &verdict {
            self.attachment
                .denied(denial.rule, denial.method, self.mode);
            answer = enforced.then(|| denial.answer());
        }
        let begin = match verdict {
            Verdict::Deny(_) if enforced => None,
            Verdict::Rewrite(text) if enforced => {
                self.message.truncate(HEADROOM);
                self.message.extend_from_slice(text.as_bytes());
                Some(head(Peer::Browser, false, &mut self.message))
            }
            _ => Some(head(Peer::Browser, self.binary, &mut self.message)),
        };
        if begin.is_some() {
            std::mem::swap(out, &mut self.message);
        }
        if self.message.capacity() > KEPT {
            self.message = Vec::new();
        }
        self.message.clear();
        self.message.resize(HEADROOM, 0);
        (begin.unwrap_or(0), answer)
    }

    async fn verdict(&self) -> Verdict {
        if self.binary {
            return Verdict::Deny(Denial::binary());
        }
        let message = self.message.get(HEADROOM..).unwrap_or_default();
        match policy::inspect(message, &self.rules) {
            Verdict::PassFiles(paths) if !are_files(&paths).await => {
                Verdict::Deny(Denial::files(message))
            }
            verdict => verdict,
        }
    }
}

/// Whether each path is that of a file, not of a link or a directory.
async fn are_files(paths: &[PathBuf]) -> bool {
    for path in paths {
        let found = tokio::fs::symlink_metadata(path).await;
        if !found.is_ok_and(|found| found.is_file()) {
            return false;
        }
    }
    true
}

/// Takes the mask off bytes that begin `offset` bytes into the payload of their frame.
fn unmask(bytes: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn masks_come_off_however_the_bytes_are_cut(
            bytes in vec(any::<u8>(), 0..200),
            mask in any::<[u8; 4]>(),
            cut in 0_usize..200,
        ) {
            let cut = cut.min(bytes.len());
            let mut masked: Vec<_> = bytes
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            let (begin, rest) = masked.split_at_mut(cut);
            unmask(begin, mask, 0);
            unmask(rest, mask, cut);
            prop_assert_eq!(masked, bytes);
        }
    }
}
