//! What becomes of each account and transfer of a request: TigerBeetle's result codes.

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $code:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $code = $number,)+
        }

        impl $name {
            /// All of them, in the order in which they are checked as far as there is one.
            pub const ALL: &'static [Self] = &[$(Self::$code,)+];

            /// The name in answers and logs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)+ }
            }

            /// Was it done, now or when it was first asked for?
            pub fn is_done(self) -> bool {
                matches!(self, Self::Ok | Self::Exists)
            }

        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// What became of an account that was to be opened.
    AccountCode {
        /// It was opened.
        Ok = 0, "ok";
        /// Another one of its chain was refused.
        LinkedEventFailed = 1, "linked_event_failed";
        /// The last one of the request has the linked flag.
        LinkedEventChainOpen = 2, "linked_event_chain_open";
        /// A flag is set that means nothing.
        ReservedFlag = 4, "reserved_flag";
        /// The id is zero.
        IdMustNotBeZero = 6, "id_must_not_be_zero";
        /// The id has all bits set.
        IdMustNotBeIntMax = 7, "id_must_not_be_int_max";
        /// The account is there, with other flags.
        ExistsWithDifferentFlags = 15, "exists_with_different_flags";
        /// The account is there, with other data of its owner (128 bits).
        ExistsWithDifferentUserDataLong = 16, "exists_with_different_user_data_128";
        /// The account is there, with other data of its owner (64 bits).
        ExistsWithDifferentUserDataMiddle = 17, "exists_with_different_user_data_64";
        /// The account is there, with other data of its owner (32 bits).
        ExistsWithDifferentUserDataShort = 18, "exists_with_different_user_data_32";
        /// The account is there, in another ledger.
        ExistsWithDifferentLedger = 19, "exists_with_different_ledger";
        /// The account is there, with another code.
        ExistsWithDifferentCode = 20, "exists_with_different_code";
        /// The same account was opened before.
        Exists = 21, "exists";
        /// It cannot both never owe and never be owed.
        FlagsAreMutuallyExclusive = 8, "flags_are_mutually_exclusive";
        /// The ledger is zero.
        LedgerMustNotBeZero = 13, "ledger_must_not_be_zero";
        /// The ledger's number is above [`LedgerId::MAX`](crate::LedgerId::MAX).
        LedgerOutOfRange = 100, "ledger_out_of_range";
        /// The code is zero.
        CodeMustNotBeZero = 14, "code_must_not_be_zero";
    }
}

codes! {
    /// What became of a transfer that was to be made.
    TransferCode {
        /// It was made.
        Ok = 0, "ok";
        /// Another one of its chain was refused.
        LinkedEventFailed = 1, "linked_event_failed";
        /// The last one of the request has the linked flag.
        LinkedEventChainOpen = 2, "linked_event_chain_open";
        /// A flag is set that means nothing.
        ReservedFlag = 4, "reserved_flag";
        /// The id is zero.
        IdMustNotBeZero = 5, "id_must_not_be_zero";
        /// The id has all bits set.
        IdMustNotBeIntMax = 6, "id_must_not_be_int_max";
        /// The transfer is there, with other flags.
        ExistsWithDifferentFlags = 36, "exists_with_different_flags";
        /// The transfer is there, and posts or voids another one.
        ExistsWithDifferentPendingId = 40, "exists_with_different_pending_id";
        /// The transfer is there, with another timeout.
        ExistsWithDifferentTimeout = 44, "exists_with_different_timeout";
        /// The transfer is there, from another account.
        ExistsWithDifferentDebitAccountId = 37, "exists_with_different_debit_account_id";
        /// The transfer is there, to another account.
        ExistsWithDifferentCreditAccountId = 38, "exists_with_different_credit_account_id";
        /// The transfer is there, of another amount.
        ExistsWithDifferentAmount = 39, "exists_with_different_amount";
        /// The transfer is there, with other data of its owner (128 bits).
        ExistsWithDifferentUserDataLong = 41, "exists_with_different_user_data_128";
        /// The transfer is there, with other data of its owner (64 bits).
        ExistsWithDifferentUserDataMiddle = 42, "exists_with_different_user_data_64";
        /// The transfer is there, with other data of its owner (32 bits).
        ExistsWithDifferentUserDataShort = 43, "exists_with_different_user_data_32";
        /// The transfer is there, in another ledger.
        ExistsWithDifferentLedger = 67, "exists_with_different_ledger";
        /// The transfer is there, with another code.
        ExistsWithDifferentCode = 45, "exists_with_different_code";
        /// The same transfer was made before.
        Exists = 46, "exists";
        /// Another transfer of this id was refused before; an id is good for one content.
        IdAlreadyFailed = 68, "id_already_failed";
        /// The flags contradict each other.
        FlagsAreMutuallyExclusive = 7, "flags_are_mutually_exclusive";
        /// The debit account is zero.
        DebitAccountIdMustNotBeZero = 8, "debit_account_id_must_not_be_zero";
        /// The debit account has all bits set.
        DebitAccountIdMustNotBeIntMax = 9, "debit_account_id_must_not_be_int_max";
        /// The credit account is zero.
        CreditAccountIdMustNotBeZero = 10, "credit_account_id_must_not_be_zero";
        /// The credit account has all bits set.
        CreditAccountIdMustNotBeIntMax = 11, "credit_account_id_must_not_be_int_max";
        /// An account cannot transfer to itself.
        AccountsMustBeDifferent = 12, "accounts_must_be_different";
        /// Only posting and voiding name a pending transfer.
        PendingIdMustBeZero = 13, "pending_id_must_be_zero";
        /// Posting and voiding must name a pending transfer.
        PendingIdMustNotBeZero = 14, "pending_id_must_not_be_zero";
        /// The pending transfer's id has all bits set.
        PendingIdMustNotBeIntMax = 15, "pending_id_must_not_be_int_max";
        /// A transfer cannot post or void itself.
        PendingIdMustBeDifferent = 16, "pending_id_must_be_different";
        /// Only a pending transfer has a timeout.
        TimeoutReservedForPendingTransfer = 17, "timeout_reserved_for_pending_transfer";
        /// The ledger is zero. Unlike TigerBeetle's, ours must be named also on posting and voiding.
        LedgerMustNotBeZero = 19, "ledger_must_not_be_zero";
        /// The ledger's number is above [`LedgerId::MAX`](crate::LedgerId::MAX).
        LedgerOutOfRange = 100, "ledger_out_of_range";
        /// The code is zero.
        CodeMustNotBeZero = 20, "code_must_not_be_zero";
        /// There is no such debit account. The answer stays, whatever is opened later.
        DebitAccountNotFound = 21, "debit_account_not_found";
        /// There is no such credit account. The answer stays, whatever is opened later.
        CreditAccountNotFound = 22, "credit_account_not_found";
        /// The accounts are of two ledgers.
        AccountsMustHaveTheSameLedger = 23, "accounts_must_have_the_same_ledger";
        /// The accounts are of another ledger than the transfer.
        TransferMustHaveTheSameLedgerAsAccounts = 24, "transfer_must_have_the_same_ledger_as_accounts";
        /// There is no such pending transfer. The answer stays.
        PendingTransferNotFound = 25, "pending_transfer_not_found";
        /// The transfer that was to be posted or voided was no pending one.
        PendingTransferNotPending = 26, "pending_transfer_not_pending";
        /// The pending transfer has another debit account.
        PendingTransferHasDifferentDebitAccountId = 27, "pending_transfer_has_different_debit_account_id";
        /// The pending transfer has another credit account.
        PendingTransferHasDifferentCreditAccountId = 28, "pending_transfer_has_different_credit_account_id";
        /// The pending transfer is in another ledger.
        PendingTransferHasDifferentLedger = 29, "pending_transfer_has_different_ledger";
        /// The pending transfer has another code.
        PendingTransferHasDifferentCode = 30, "pending_transfer_has_different_code";
        /// More was to be posted than is pending.
        ExceedsPendingTransferAmount = 31, "exceeds_pending_transfer_amount";
        /// Less was to be voided than is pending: post the other part instead.
        PendingTransferHasDifferentAmount = 32, "pending_transfer_has_different_amount";
        /// It was posted before.
        PendingTransferAlreadyPosted = 33, "pending_transfer_already_posted";
        /// It was voided before.
        PendingTransferAlreadyVoided = 34, "pending_transfer_already_voided";
        /// Its time has passed.
        PendingTransferExpired = 35, "pending_transfer_expired";
        /// The sum does not fit 128 bits.
        OverflowsDebitsPending = 47, "overflows_debits_pending";
        /// The sum does not fit 128 bits.
        OverflowsCreditsPending = 48, "overflows_credits_pending";
        /// The sum does not fit 128 bits.
        OverflowsDebitsPosted = 49, "overflows_debits_posted";
        /// The sum does not fit 128 bits.
        OverflowsCreditsPosted = 50, "overflows_credits_posted";
        /// The sum of pending and posted does not fit 128 bits.
        OverflowsDebits = 51, "overflows_debits";
        /// The sum of pending and posted does not fit 128 bits.
        OverflowsCredits = 52, "overflows_credits";
        /// The deadline is beyond all time.
        OverflowsTimeout = 53, "overflows_timeout";
        /// The debit account has too little. The answer stays: try again with another id.
        ExceedsCredits = 54, "exceeds_credits";
        /// The credit account owes too little. The answer stays: try again with another id.
        ExceedsDebits = 55, "exceeds_debits";
    }
}

impl TransferCode {
    pub(crate) fn of(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| *code as i64 == number)
    }

    /// May the reason pass by itself? Then the refusal is remembered, so that the answer to this id
    /// does not depend on when it is asked.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::DebitAccountNotFound
                | Self::CreditAccountNotFound
                | Self::PendingTransferNotFound
                | Self::ExceedsCredits
                | Self::ExceedsDebits
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_unlike() {
        let names: BTreeSet<_> = TransferCode::ALL.iter().map(|code| code.as_str()).collect();
        let numbers: BTreeSet<_> = TransferCode::ALL.iter().map(|code| *code as i64).collect();
        assert_eq!(
            (names.len(), numbers.len()),
            (TransferCode::ALL.len(), TransferCode::ALL.len())
        );
        let numbers: BTreeSet<_> = AccountCode::ALL.iter().map(|code| *code as i64).collect();
        assert_eq!(numbers.len(), AccountCode::ALL.len());
        for code in TransferCode::ALL {
            assert_eq!(TransferCode::of(*code as i64), Some(*code));
        }
        assert_eq!(TransferCode::of(3), None);
    }
}
