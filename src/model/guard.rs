//! Who asks, and which rows of a layer are theirs to see and to change: the one place where that is decided.
//!
//! A request works with its service as the one who asks may use it ([`Service::seen_by`]): capabilities are no more than their access, and each
//! layer has a [`Guard`]. Statements that read rows add the guard's condition, edits are held against it, and what is entered as the editor
//! is its user. So nothing need be handed along beside the service, and what is not guarded costs nothing.

use std::{borrow::Cow, sync::Arc};

use super::{
    capability::Capabilities,
    definition::RowRule,
    layer::{Field, Layer, Service},
    predicate::{ParseError, Predicate},
    principal::{Access, Principal},
};

/// Who uses a service. The default is the server itself, for whom there are no limits.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// What they may do with the service.
    pub access: Access,
    /// Whether it is the server itself.
    is_server: bool,
}

impl Default for Caller {
    fn default() -> Caller {
        Caller { principal: Principal::default(), access: Access::Manage, is_server: true }
    }
}

impl Caller {
    /// Somebody with this access to the service.
    pub fn new(principal: Principal, access: Access) -> Caller {
        Caller { principal, access, is_server: false }
    }

    /// Their name; empty if it is not known.
    pub fn name(&self) -> &str {
        self.principal.name()
    }

    /// Whether it is a client, and not the server itself.
    pub fn is_somebody(&self) -> bool {
        !self.is_server
    }

    /// Whether they may touch what belongs to `owner`: replicas, jobs, uploads, results, batches. What nobody owns is for everybody who
    /// may use the service.
    pub fn may_touch(&self, owner: &str) -> bool {
        self.access == Access::Manage || owner.is_empty() || self.owns(owner)
    }

    /// Whether they are the owner of something.
    pub fn owns(&self, owner: &str) -> bool {
        owner == self.name() || owner.to_lowercase() == self.name().to_lowercase()
    }

    /// The owner to whom what they may touch is limited; `None`: there is no limit.
    pub fn only(&self) -> Option<&str> {
        (self.access != Access::Manage).then(|| self.name())
    }
}

/// Which rows of a layer somebody may see and change. The default is that of the server itself: all of them, as nobody in particular.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Under which name rows are edited; empty for somebody who is not known.
    pub user: Arc<str>,
    /// What they may do with the service.
    pub access: Access,
    /// The rows that they see; `None`: all.
    pub read: Option<RowPolicy>,
    /// Those of them that they may change; `None`: all.
    pub update: Option<RowPolicy>,
    /// Those of them that they may delete; `None`: all.
    pub delete: Option<RowPolicy>,
    /// What rows may be that they have added or changed; `None`: anything.
    pub check: Option<RowPolicy>,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { user: "".into(), access: Access::Manage, read: None, update: None, delete: None, check: None }
    }
}

impl Guard {
    /// Whether it keeps rows from anybody.
    pub fn is_limited(&self) -> bool {
        [&self.read, &self.update, &self.delete, &self.check].into_iter().any(Option::is_some)
    }

    /// What a layer's rules mean for somebody.
    fn of(layer: &Layer, caller: &Caller) -> Guard {
        let user: Arc<str> = caller.name().into();
        let mut guard = Guard { user: user.clone(), access: caller.access, ..Guard::default() };
        let rules = &layer.rules.row_rules;
        if caller.access == Access::Manage || rules.is_empty() {
            return guard;
        }
        let policy = |clause: String| Some(RowPolicy::new(clause, user.clone(), &layer.fields));
        if rules.is_broken {
            guard.read = policy(NO_ROW.to_owned());
            guard.check = guard.read.clone();
            return guard;
        }
        // Who owns a row is not among what clients may say, so ownership has nothing to check.
        let check = |rule: &RowRule| rule.check.clone().or_else(|| rule.clause.clone());
        guard.check = rules.rows.as_deref().and_then(|rows| chosen(rows, &caller.principal, check)).and_then(policy);
        let mut seen =
            rules.rows.as_deref().and_then(|rows| chosen(rows, &caller.principal, |rule| rule.clause.clone()));
        if let Some(ownership) = &rules.ownership {
            // What anonymous callers add is nobody's.
            let own = match caller.principal.is_anonymous() {
                true => NO_ROW.to_owned(),
                false => format!("{} = CURRENT_USER", quoted(&layer.fields[ownership.creator].name)),
            };
            let others = if caller.principal.is_anonymous() { ownership.anonymous } else { ownership.others };
            if !others.query {
                seen = Some(seen.map_or_else(|| own.clone(), |seen| format!("({seen}) AND ({own})")));
            }
            guard.update = (!others.update).then(|| own.clone()).and_then(policy);
            guard.delete = (!others.delete).then_some(own).and_then(policy);
        }
        guard.read = seen.and_then(policy);
        guard
    }
}

/// The condition that no row meets.
const NO_ROW: &str = "1 = 0";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows that any rule for somebody chooses, by this condition of its; `None`: all.
fn chosen(rows: &[RowRule], who: &Principal, condition: impl Fn(&RowRule) -> Option<String>) -> Option<String> {
    let mut clauses = Vec::new();
    for rule in rows.iter().filter(|rule| rule.is_for(who)) {
        match condition(rule).filter(|clause| !clause.trim().is_empty()) {
            None => return None,
            Some(clause) => clauses.push(format!("({clause})")),
        }
    }
    Some(if clauses.is_empty() { NO_ROW.to_owned() } else { clauses.join(" OR ") })
}

/// A condition on rows, on behalf of a user.
#[derive(Clone, Debug)]
pub struct RowPolicy {
    /// The condition, in the language of `where`. It also says what it is when it is kept.
    pub clause: Arc<str>,
    /// Whom it means by `CURRENT_USER`.
    pub user: Arc<str>,
    /// The condition as it is carried out.
    pub predicate: Arc<Predicate>,
}

impl PartialEq for RowPolicy {
    fn eq(&self, other: &RowPolicy) -> bool {
        self.clause == other.clause && self.user == other.user
    }
}

impl RowPolicy {
    /// Reads a condition. One that does not fit the fields, since the table has changed, lets no row pass.
    pub fn new(clause: impl Into<Arc<str>>, user: Arc<str>, fields: &[Field]) -> RowPolicy {
        let clause = clause.into();
        let predicate = Predicate::parse_for(&clause, fields, &user).unwrap_or_else(|_| Predicate::never());
        RowPolicy { clause, user, predicate: Arc::new(predicate) }
    }

    /// Checks a condition that an administrator writes.
    pub(super) fn check(clause: &str, fields: &[Field]) -> Result<(), String> {
        let read = Predicate::parse_for(clause, fields, "").map_err(|error: ParseError| error.to_string())?;
        if read.is_volatile() {
            return Err(
                "it asks for the current time, so rows would come and go without any edit; compare with a fixed date instead".to_owned()
            );
        }
        Ok(())
    }
}

impl Service {
    /// The service as somebody may use it: the server's own value, but for who asks.
    #[must_use]
    pub fn seen_by(&self, caller: Caller) -> Service {
        let allowed = caller.access.capabilities();
        let layers = self.layers.iter().map(|layer| seen(layer, &caller)).collect();
        Service { layers, capabilities: self.capabilities.and(allowed), caller, ..self.clone() }
    }

    /// The service as replicas use it. Where it allows no edits at all, so that its clients only read, whoever manages it can still upload edits
    /// from a replica: that is how such a service is kept up to date.
    pub fn synchronized(&self) -> Cow<'_, Service> {
        let is_manager = self.caller.is_somebody() && self.caller.access == Access::Manage;
        if !is_manager || self.capabilities.edits() || !self.capabilities.sync {
            return Cow::Borrowed(self);
        }
        let edits = |own: Capabilities| Capabilities { create: true, update: true, delete: true, uploads: true, ..own };
        let editable = |layer: &Layer| {
            let rules = Arc::new(layer.rules.with(edits(layer.rules.capabilities)));
            Layer { rules, ..Layer::clone(layer) }
        };
        let layers = self.layers.iter().map(|layer| {
            let attachments = layer.attachments.as_deref().map(|attachments| Arc::new(editable(attachments)));
            Arc::new(Layer { attachments, ..editable(layer) })
        });
        Cow::Owned(Service { layers: layers.collect(), capabilities: edits(self.capabilities), ..self.clone() })
    }

    /// Whether rows of any of its layers are kept from who asks.
    pub fn is_limited(&self) -> bool {
        self.layers.iter().any(|layer| layer.guard.is_limited())
    }
}

fn seen(layer: &Arc<Layer>, caller: &Caller) -> Arc<Layer> {
    let allowed = caller.access.capabilities();
    let guard = Guard::of(layer, caller);
    let narrowed = |layer: &Layer| {
        let is_less = layer.rules.capabilities.and(allowed) != layer.rules.capabilities;
        is_less.then(|| Arc::new(layer.rules.within(allowed)))
    };
    let rules = narrowed(layer);
    let is_stamped = layer.rules.tracking.fields().next().is_some();
    // As it is for the server itself.
    if rules.is_none() && !guard.is_limited() && (!is_stamped || guard.user.is_empty()) && caller.access >= Access::Edit
    {
        return layer.clone();
    }
    let mut seen = Layer::clone(layer);
    if let Some(attachments) = &layer.attachments {
        // Their rows are told by those of their features; nothing is written back that nobody holds against these.
        let update = guard.is_limited().then(|| RowPolicy::new(NO_ROW, guard.user.clone(), &attachments.fields));
        let of_attachments = Guard { user: guard.user.clone(), access: guard.access, update, ..Guard::default() };
        let rules = narrowed(attachments);
        let attachments = Layer { guard: of_attachments, ..Layer::clone(attachments) };
        seen.attachments = Some(Arc::new(match rules {
            None => attachments,
            Some(rules) => Layer { rules, ..attachments },
        }));
    }
    if let Some(rules) = rules {
        seen.rules = rules;
    }
    seen.guard = guard;
    Arc::new(seen)
}
