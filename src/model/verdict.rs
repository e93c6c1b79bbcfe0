//! The decision of sync: what a client is sent about one row.
//!
//! In the simplest case a delta is *filter(now) − filter(then)*. A client that also uploads, repeats itself, crashes and
//! is restored does not always hold exactly *then*, so the decision rests on what the client has made of the row itself.
//! What must come out of it: after applying what it is sent, a client holds the rows that pass its filter now, its own
//! rows outside the filter, and its refused edits that are still open. This assumes that a client takes adds and
//! updates alike as *put this row*, and a delete of what it lacks as nothing to do.

use super::{
    edit::{EditErrorCode, Op},
    replica::SyncDirection,
};

/// What is known of a row that was changed in the window, or that the client itself edited.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, and the decision is a table over them"
)]
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether the row existed at the lower end of the window.
    pub then_exists: bool,
    /// Whether it passed the filter then.
    pub then_in: bool,
    /// Whether the row exists.
    pub now_exists: bool,
    /// Whether it passes the filter.
    pub now_in: bool,
    /// Whether somebody else changed it in the window.
    pub foreign: bool,
    /// Whether the client may have applied an answer that it never confirmed, and that spoke of this row.
    pub unsure: bool,
    /// The last edit of the row in this client's own batches, if there is one.
    pub own: Option<OwnEdit>,
}

/// What a client's own batches did to a row.
#[derive(Clone, Copy, Debug)]
pub struct OwnEdit {
    /// The last edit.
    pub op: Op,
    /// Why that was refused, if it was.
    pub refused: Option<EditErrorCode>,
    /// Whether the stored row may differ from what was sent.
    pub altered: bool,
}

/// What a client is sent about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// The row, which the client does not have.
    Add,
    /// The row, which the client has otherwise.
    Update,
    /// That the row is no longer its business.
    Delete,
}

impl Facts {
    /// Whether the client has a row with this identity.
    pub fn client_has(&self) -> bool {
        self.own.map_or(self.then_in, |own| own.op != Op::Delete)
    }

    /// Whether the stored row is not what the client made of it.
    fn is_news(&self) -> bool {
        let altered = self.own.is_some_and(|own| own.altered);
        let enters = self.then_exists && !self.then_in && self.now_in;
        self.foreign || altered || enters
    }

    /// Whether the client must be told that the row is gone, although it was not in the filter *then*. A refused add is
    /// not gone, it never was there: it stays on the device to be corrected and sent again.
    fn is_gone(&self) -> bool {
        let refused_add = self
            .own
            .is_some_and(|own| own.op == Op::Add && own.refused.is_some_and(|code| code != EditErrorCode::Missing));
        !self.now_exists && !refused_add
    }
}

/// Decides what a client is sent about one row.
pub fn verdict(facts: &Facts) -> Verdict {
    match (facts.client_has(), facts.now_in) {
        (false, false) if facts.unsure => Verdict::Delete,
        (false, false) => Verdict::Nothing,
        (false, true) => Verdict::Add,
        (true, true) if facts.is_news() => Verdict::Update,
        (true, true) => Verdict::Nothing,
        // It left the filter, whoever moved it.
        (true, false) if facts.then_in => Verdict::Delete,
        (true, false) if facts.is_gone() => Verdict::Delete,
        // The client's own row outside its filter stays on the device, as documented.
        (true, false) => Verdict::Nothing,
    }
}

/// Whether a batch counts as the client's own in this synchronization, so that it is not sent back.
///
/// Its own are the one that this request carries, and those that came without a download and are newer than everything that the client ever presented.
/// Any other batch of the replica was sent by a device that has since been restored, or by a second one.
pub fn is_own_batch(carried: bool, direction: SyncDirection, newer_than_presented: bool) -> bool {
    carried || (!direction.downloads() && newer_than_presented)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Facts = Facts {
        then_exists: false,
        then_in: false,
        now_exists: false,
        now_in: false,
        foreign: true,
        unsure: false,
        own: None,
    };

    fn own(op: Op) -> Option<OwnEdit> {
        Some(OwnEdit { op, refused: None, altered: false })
    }

    #[test]
    fn without_own_edits_it_is_filter_now_minus_filter_then() {
        let out_then = Facts { then_exists: true, ..NONE };
        let in_then = Facts { then_in: true, ..out_then };
        let now_in = |facts: Facts| Facts { now_exists: true, now_in: true, ..facts };
        let now_out = |facts: Facts| Facts { now_exists: true, ..facts };
        assert_eq!(verdict(&now_in(NONE)), Verdict::Add);
        assert_eq!(verdict(&now_in(out_then)), Verdict::Add);
        assert_eq!(verdict(&now_in(in_then)), Verdict::Update);
        assert_eq!(verdict(&now_out(in_then)), Verdict::Delete);
        assert_eq!(verdict(&in_then), Verdict::Delete);
        assert_eq!(verdict(&now_out(out_then)), Verdict::Nothing);
        assert_eq!(verdict(&now_out(NONE)), Verdict::Nothing);
        assert_eq!(verdict(&NONE), Verdict::Nothing);
    }

    #[test]
    fn f25_added_and_deleted_is_nothing_unless_the_client_may_have_it() {
        assert_eq!(verdict(&Facts { unsure: true, ..NONE }), Verdict::Delete);
    }

    #[test]
    fn f27_own_edits_are_not_echoed() {
        let mine = Facts { now_exists: true, now_in: true, foreign: false, own: own(Op::Add), ..NONE };
        assert_eq!(verdict(&mine), Verdict::Nothing);
        let updated = Facts { then_exists: true, then_in: true, own: own(Op::Update), ..mine };
        assert_eq!(verdict(&updated), Verdict::Nothing);
        let deleted = Facts { now_exists: false, now_in: false, own: own(Op::Delete), ..updated };
        assert_eq!(verdict(&deleted), Verdict::Nothing);
    }

    #[test]
    fn own_edits_are_sent_when_somebody_else_or_the_server_touched_the_row() {
        let mine = Facts { now_exists: true, now_in: true, foreign: false, own: own(Op::Add), ..NONE };
        assert_eq!(verdict(&Facts { foreign: true, ..mine }), Verdict::Update);
        let altered = Some(OwnEdit { op: Op::Add, refused: None, altered: true });
        assert_eq!(verdict(&Facts { own: altered, ..mine }), Verdict::Update);
        let entered = Facts { then_exists: true, own: own(Op::Update), ..mine };
        assert_eq!(verdict(&entered), Verdict::Update);
        let revived = Facts { foreign: true, own: own(Op::Delete), then_exists: true, then_in: true, ..mine };
        assert_eq!(verdict(&revived), Verdict::Add, "deleted here, put back by somebody else afterwards");
    }

    #[test]
    fn f21_an_own_edit_that_moves_a_row_out_of_the_filter_takes_it_away() {
        let moved = Facts {
            then_exists: true,
            then_in: true,
            now_exists: true,
            now_in: false,
            foreign: false,
            unsure: false,
            own: own(Op::Update),
        };
        assert_eq!(verdict(&moved), Verdict::Delete);
        let outside_all_along = Facts { then_in: false, ..moved };
        assert_eq!(verdict(&outside_all_along), Verdict::Nothing);
        assert_eq!(verdict(&Facts { now_exists: false, ..outside_all_along }), Verdict::Delete);
    }

    #[test]
    fn f11_a_refused_edit_stays_on_the_device_but_an_update_of_what_is_gone_is_deleted() {
        let refused = |op, code| Some(OwnEdit { op, refused: Some(code), altered: false });
        let nowhere = Facts { foreign: false, ..NONE };
        assert_eq!(verdict(&Facts { own: refused(Op::Add, EditErrorCode::Value), ..nowhere }), Verdict::Nothing);
        assert_eq!(verdict(&Facts { own: refused(Op::Update, EditErrorCode::Missing), ..nowhere }), Verdict::Delete);
        let inside = Facts { then_exists: true, then_in: true, now_exists: true, now_in: true, ..nowhere };
        assert_eq!(verdict(&Facts { own: refused(Op::Update, EditErrorCode::Value), ..inside }), Verdict::Nothing);
        assert_eq!(verdict(&Facts { own: refused(Op::Delete, EditErrorCode::DeleteFailed), ..inside }), Verdict::Add);
    }

    #[test]
    fn f29_only_batches_that_this_client_can_have_sent_are_its_own() {
        assert!(is_own_batch(true, SyncDirection::Bidirectional, false));
        assert!(is_own_batch(false, SyncDirection::Upload, true));
        assert!(!is_own_batch(false, SyncDirection::Upload, false));
        assert!(!is_own_batch(false, SyncDirection::Bidirectional, true));
    }
}
