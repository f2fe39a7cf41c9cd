//! Sync tokens: a point in time, the same on every node.
//!
//! `s12_0_7` alone is the whole truth. Two more parts follow where they are needed: `~t5.31` names a
//! node's run and how much of its typing the client has heard of, which any other node ignores;
//! `~d9_0_7` says that only a part of the waiting to-device messages fitted into the answer.

use std::{fmt, str::FromStr};

use haechi_base::Positions;

/// A point in time up to which a client knows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncToken {
    /// How far each lane had come.
    pub positions: Positions,
    /// The node's run and the serial of the last typing change told.
    pub typing: Option<(u64, u64)>,
    /// How far to-device messages were handed out, where that is not `positions`.
    pub to_device: Option<Positions>,
}

impl SyncToken {
    /// How far to-device messages were handed out.
    pub fn to_device(&self) -> &Positions {
        self.to_device.as_ref().unwrap_or(&self.positions)
    }
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.positions)?;
        if let Some((run, serial)) = self.typing {
            write!(f, "~t{run:x}.{serial}")?;
        }
        if let Some(to_device) = &self.to_device {
            write!(f, "~d{to_device}")?;
        }
        Ok(())
    }
}

/// A text that is not a sync token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is not a sync token of this server")]
pub struct NotAToken;

impl FromStr for SyncToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let mut parts = text.strip_prefix('s').ok_or(NotAToken)?.split('~');
        let positions = parts.next().and_then(|part| part.parse().ok()).ok_or(NotAToken)?;
        let mut token = Self { positions, typing: None, to_device: None };
        for part in parts {
            if let Some(typing) = part.strip_prefix('t') {
                let (run, serial) = typing.split_once('.').ok_or(NotAToken)?;
                let run = u64::from_str_radix(run, 16).map_err(|_| NotAToken)?;
                token.typing = Some((run, serial.parse().map_err(|_| NotAToken)?));
            } else if let Some(to_device) = part.strip_prefix('d') {
                token.to_device = Some(to_device.parse().map_err(|_| NotAToken)?);
            } else {
                return Err(NotAToken);
            }
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["s0", "s12_0_7", "s12~tff.3", "s12~t1.3~d9", "s12_4~d9_4"] {
            assert_eq!(text.parse::<SyncToken>().unwrap().to_string(), text);
        }
        for bad in ["", "12", "s", "s1~", "s1~x2", "s1~t5", "s1~tz.1", "s1~d", "p12"] {
            assert_eq!(bad.parse::<SyncToken>(), Err(NotAToken), "{bad}");
        }
    }
}
