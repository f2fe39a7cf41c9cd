//! Judges what arrived: every acknowledged message exactly once at every member, in one order.

use std::collections::HashMap;

use crate::figures::Report;

/// What is known of one message once its sender has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Who sent it, as the index of a member.
    pub(crate) sender: usize,
    /// Did the server acknowledge it?
    pub(crate) acknowledged: bool,
}

/// How often each promise was broken; all zero is a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged messages that a member did not get, and unacknowledged ones that only some got.
    pub(crate) lost: u64,
    /// Arrivals of a message that had arrived at that member before.
    pub(crate) doubled: u64,
    /// Neighbours that a member saw the other way round than another did.
    pub(crate) reordered: u64,
    /// Messages of one sender that stand before an earlier one of the same sender.
    pub(crate) overtaken: u64,
    /// Arrivals of messages that nobody sent.
    pub(crate) unknown: u64,
}

impl Verdict {
    /// Adds its counts to a report.
    pub(crate) fn report(self, report: &mut Report) {
        report.count("lost", self.lost);
        report.count("doubled", self.doubled);
        report.count("reordered", self.reordered);
        report.count("overtaken", self.overtaken);
        report.count("unknown", self.unknown);
    }

    /// Both verdicts as one.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.overtaken += other.overtaken;
        self.unknown += other.unknown;
    }
}

/// Judges one room. Message `n` is `sent[n]`; `seen[m]` is what member `m` saw, in its order.
///
/// Numbers are given out in the order of sending, and a sender waits for each answer: so one
/// sender's messages must stand in the order of their numbers.
pub(crate) fn judge(sent: &[Sent], seen: &[Vec<u32>]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut members_with = vec![0_usize; sent.len()];
    let orders: Vec<Vec<u32>> = seen
        .iter()
        .map(|arrivals| first_arrivals(arrivals, &mut members_with, &mut verdict))
        .collect();
    for (message, members) in sent.iter().zip(&members_with) {
        if message.acknowledged || *members > 0 {
            verdict.lost += (seen.len() - members) as u64;
        }
    }
    let Some(reference) = orders.iter().max_by_key(|order| order.len()) else { return verdict };
    let place: HashMap<u32, usize> = reference.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    for order in &orders {
        let places: Vec<usize> = order.iter().filter_map(|n| place.get(n).copied()).collect();
        verdict.reordered += descents(&places);
    }
    let mut by_sender: HashMap<usize, Vec<usize>> = HashMap::new();
    for number in reference {
        let number = *number as usize;
        by_sender.entry(sent[number].sender).or_default().push(number);
    }
    verdict.overtaken = by_sender.values().map(|numbers| descents(numbers)).sum();
    verdict
}

/// One member's order without repetitions and strangers, which are counted.
fn first_arrivals(arrivals: &[u32], members_with: &mut [usize], verdict: &mut Verdict) -> Vec<u32> {
    let mut had = vec![false; members_with.len()];
    let mut order = Vec::with_capacity(arrivals.len());
    for number in arrivals {
        match had.get_mut(*number as usize) {
            None => verdict.unknown += 1,
            Some(true) => verdict.doubled += 1,
            Some(had) => {
                *had = true;
                members_with[*number as usize] += 1;
                order.push(*number);
            }
        }
    }
    order
}

/// How often a value stands before a smaller one.
fn descents(values: &[usize]) -> u64 {
    values.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Verdict {
        fn passed(self) -> bool {
            self == Self::default()
        }
    }

    /// `count` acknowledged messages of two senders in turn.
    fn sent(count: usize) -> Vec<Sent> {
        (0..count).map(|n| Sent { sender: n % 2, acknowledged: true }).collect()
    }

    #[test]
    fn the_same_at_all_members_passes() {
        assert!(judge(&sent(4), &[vec![1, 0, 2, 3], vec![1, 0, 2, 3]]).passed());
        assert!(judge(&[], &[vec![], vec![]]).passed());
        assert!(judge(&[], &[]).passed());
    }

    #[test]
    fn a_lost_message_is_found() {
        let verdict = judge(&sent(3), &[vec![0, 1, 2], vec![0, 2]]);
        assert_eq!(verdict, Verdict { lost: 1, ..Verdict::default() });
        let verdict = judge(&sent(3), &[vec![0, 1], vec![0, 1]]);
        assert_eq!(verdict, Verdict { lost: 2, ..Verdict::default() });
        assert_eq!(judge(&sent(2), &[vec![], vec![]]).lost, 4);
    }

    #[test]
    fn a_doubled_message_is_found() {
        let verdict = judge(&sent(2), &[vec![0, 1], vec![0, 1, 0]]);
        assert_eq!(verdict, Verdict { doubled: 1, ..Verdict::default() });
    }

    #[test]
    fn a_reordered_message_is_found() {
        let verdict = judge(&sent(4), &[vec![0, 1, 2, 3], vec![1, 0, 2, 3], vec![0, 1, 2, 3]]);
        assert_eq!(verdict.reordered, 1);
        assert_eq!((verdict.lost, verdict.doubled, verdict.unknown), (0, 0, 0));
    }

    #[test]
    fn a_reordering_is_found_beside_a_loss() {
        let verdict = judge(&sent(4), &[vec![0, 1, 2, 3], vec![1, 0, 3], vec![0, 1, 2, 3]]);
        assert_eq!((verdict.lost, verdict.reordered), (1, 1));
    }

    #[test]
    fn a_sender_overtaking_itself_is_found() {
        let verdict = judge(&sent(3), &[vec![2, 1, 0], vec![2, 1, 0]]);
        assert_eq!(verdict, Verdict { overtaken: 1, ..Verdict::default() });
    }

    #[test]
    fn a_message_nobody_sent_is_found() {
        let verdict = judge(&sent(1), &[vec![0, 9]]);
        assert_eq!(verdict, Verdict { unknown: 1, ..Verdict::default() });
    }

    #[test]
    fn an_unacknowledged_message_reaches_all_or_none() {
        let mut messages = sent(2);
        messages[1].acknowledged = false;
        assert!(judge(&messages, &[vec![0], vec![0]]).passed());
        assert!(judge(&messages, &[vec![0, 1], vec![0, 1]]).passed());
        assert_eq!(judge(&messages, &[vec![0, 1], vec![0]]).lost, 1);
    }

    proptest! {
        /// Any one fault put into a correct log is found.
        #[test]
        fn any_single_fault_is_found(
            count in 3_usize..40, members in 2_usize..5, member: prop::sample::Index,
            at: prop::sample::Index, fault in 0..3,
        ) {
            let order: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
            let mut seen = vec![order; members];
            prop_assert!(judge(&sent(count), &seen).passed());
            let log = &mut seen[member.index(members)];
            let at = at.index(count - 1);
            match fault {
                0 => { log.remove(at); }
                1 => log.insert(at + 1, log[at]),
                _ => log.swap(at, at + 1),
            }
            prop_assert!(!judge(&sent(count), &seen).passed());
        }
    }
}
