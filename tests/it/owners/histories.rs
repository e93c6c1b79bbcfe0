//! Random histories of several users: rows have owners and are given away, rules and rights come and go, a field is hidden and shown, replicas change
//! hands, answers are lost. A model of the service judges: each edit fares as it says, and nothing else happens to any row (nothing of others is lost);
//! what a synchronization shows, a query shows at that moment; afterwards a device holds what its owner sees and nothing that was withdrawn;
//! each edit is in the books.
//!
//! `SYNCLINE_SEED`, `SYNCLINE_STEPS` and, for histories at length, `SYNCLINE_MINUTES` say which and how many.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use super::{closed, code, create, define, get_as, id, ownership, post_as, synchronize, token};
use crate::support::{Dice, TestServer, at_length, seed, setting};

/// A row as the table has it.
#[derive(Clone, Debug, PartialEq)]
struct Tree {
    species: String,
    girth: Option<i64>,
    maker: String,
}

#[derive(Clone, Debug)]
enum Edit {
    Add(String, i64),
    Set(Option<String>, Option<i64>),
    Delete,
}

impl Edit {
    fn list(&self) -> &'static str {
        match self {
            Edit::Add(..) => "adds",
            Edit::Set(..) => "updates",
            Edit::Delete => "deletes",
        }
    }

    fn json(&self, number: u32) -> Json {
        let mut attributes = json!({"globalid": id(number)});
        match self {
            Edit::Add(species, girth) => {
                attributes["species"] = species.as_str().into();
                attributes["girth"] = (*girth).into();
            }
            Edit::Set(species, girth) => {
                species.iter().for_each(|species| attributes["species"] = species.as_str().into());
                girth.iter().for_each(|girth| attributes["girth"] = (*girth).into());
            }
            Edit::Delete => return id(number).into(),
        }
        json!({"attributes": attributes})
    }
}

/// Which rows users see, and what these may become.
#[derive(Clone, Copy, Debug)]
enum Rule {
    None,
    North,
    Divided,
    HandedOn,
    Thick,
}

impl Rule {
    fn json(self) -> Json {
        match self {
            Rule::None => Json::Null,
            Rule::North => json!([{"role": "editor", "where": "species LIKE 'n%'"}]),
            Rule::Divided => json!([{"user": "ann", "where": "species LIKE 's%'"}, {"user": "bob"}]),
            Rule::HandedOn => json!([
                {"user": "ann", "where": "species LIKE 'n%'", "check": "1=1"},
                {"user": "bob", "where": "maker = CURRENT_USER", "check": "species LIKE 'n%'"},
            ]),
            Rule::Thick => json!([{"role": "editor", "where": "girth > 4"}]),
        }
    }

    fn sees(self, user: &str, tree: &Tree) -> bool {
        match (self, user) {
            (_, "boss") | (Rule::None, _) | (Rule::Divided, "bob") => true,
            (Rule::North, _) | (Rule::HandedOn, "ann") => tree.species.starts_with('n'),
            (Rule::Divided, _) => tree.species.starts_with('s'),
            (Rule::HandedOn, _) => tree.maker == user,
            (Rule::Thick, _) => tree.girth.is_some_and(|girth| girth > 4),
        }
    }

    fn lets_become(self, user: &str, tree: &Tree) -> bool {
        match (self, user) {
            (Rule::HandedOn, "bob") => tree.species.starts_with('n'),
            (Rule::HandedOn, _) => true,
            _ => self.sees(user, tree),
        }
    }
}

/// The service as it should be.
struct Model {
    trees: BTreeMap<u32, Tree>,
    rule: Rule,
    /// Whether others may see, change and delete a row.
    others: Option<[bool; 3]>,
    girth_is_hidden: bool,
    /// Users who may only view.
    viewers: BTreeSet<&'static str>,
}

impl Model {
    fn may(&self, user: &str, what: usize, tree: &Tree) -> bool {
        user == "boss" || tree.maker == user || self.others.is_none_or(|others| others[what])
    }

    fn sees(&self, user: &str, tree: &Tree) -> bool {
        self.rule.sees(user, tree) && self.may(user, 0, tree)
    }

    /// What a user is told by a query.
    fn told(&self, user: &str) -> Held {
        let seen = self.trees.iter().filter(|(_, tree)| self.sees(user, tree));
        seen.map(|(number, tree)| (*number, (tree.species.clone(), tree.girth.filter(|_| !self.girth_is_hidden))))
            .collect()
    }

    /// Carries out an edit, or says by which code it is refused.
    fn edit(&mut self, user: &str, number: u32, edit: &Edit) -> i64 {
        if self.viewers.contains(user) {
            return 1013;
        }
        let before = self.trees.get(&number).cloned();
        if let Some(tree) = &before {
            let what = if matches!(edit, Edit::Delete) { 2 } else { 1 };
            if !self.sees(user, tree) {
                return 1011;
            }
            if !self.may(user, what, tree) {
                return 1007;
            }
        }
        let girth = |given: Option<i64>, before: &Option<Tree>| {
            let before = before.as_ref().and_then(|tree| tree.girth);
            given.filter(|_| !self.girth_is_hidden).or(before)
        };
        let maker = before.as_ref().map_or(user, |tree| &tree.maker).to_owned();
        let after = match (edit, &before) {
            (Edit::Delete, _) => {
                self.trees.remove(&number);
                return 0;
            }
            (Edit::Set(..), None) => return 1011,
            // It says nothing that is stored.
            (Edit::Set(None, _), Some(_)) if self.girth_is_hidden => return 0,
            (Edit::Set(species, given), Some(tree)) => {
                let species = species.clone().unwrap_or_else(|| tree.species.clone());
                Tree { species, girth: girth(*given, &before), maker }
            }
            (Edit::Add(species, given), _) => {
                Tree { species: species.clone(), girth: girth(Some(*given), &before), maker }
            }
        };
        if !self.rule.lets_become(user, &after) {
            return 1007;
        }
        self.trees.insert(number, after);
        0
    }
}

/// What somebody holds: species and girth by number.
type Held = BTreeMap<u32, (String, Option<i64>)>;

fn number_of(id: &Json) -> u32 {
    id.as_str().unwrap().trim_matches(['{', '}']).rsplit('-').next().unwrap().parse().unwrap()
}

fn rows(list: &Json) -> Held {
    let rows = list.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    rows.map(|row| {
        let attributes = &row["attributes"];
        let species = attributes["species"].as_str().unwrap().to_owned();
        (number_of(&attributes["globalid"]), (species, attributes["girth"].as_i64()))
    })
    .collect()
}

/// Edits by the numbers of their rows, and what became of each: 0, or the code of its refusal.
type Sent = BTreeMap<u32, (Edit, i64)>;

struct Device {
    user: &'static str,
    held: Held,
    /// Edits that are not sent yet.
    queue: BTreeMap<u32, Edit>,
    /// Edits that are sent and not answered, with what became of them, and whether the girth was hidden then.
    sent: Option<(Sent, bool)>,
    /// Own rows that its owner did not see any more when it was answered; they stay, as the API has it.
    outside: BTreeSet<u32>,
    last: Json,
}

struct World {
    server: TestServer,
    dice: Dice,
    model: Model,
    devices: Vec<Device>,
    n_uploaded: i64,
    next: u32,
    /// What happened, for whoever looks for the reason of a failure.
    log: Vec<String>,
}

impl World {
    async fn new(seed: u64) -> World {
        let model = Model {
            trees: BTreeMap::new(),
            rule: Rule::None,
            others: None,
            girth_is_hidden: false,
            viewers: BTreeSet::new(),
        };
        let server = closed().await;
        let mut world = World {
            server,
            dice: Dice::new(seed),
            model,
            devices: Vec::new(),
            n_uploaded: 0,
            next: 0,
            log: Vec::new(),
        };
        for _ in 0..6 {
            world.edit_with_sql(true).await;
        }
        for user in ["ann", "bob", "ann"] {
            let device = world.device(user).await;
            world.devices.push(device);
        }
        world
    }

    async fn device(&self, user: &'static str) -> Device {
        let last = create(&self.server, user, &[]).await;
        let held = rows(&last["layers"][0]["features"]);
        assert_eq!(held, self.model.told(user), "a new replica of {user}; {:?}", self.log);
        Device { user, held, queue: BTreeMap::new(), sent: None, outside: BTreeSet::new(), last }
    }

    fn any_row(&mut self) -> u32 {
        let known: Vec<u32> = self.model.trees.keys().copied().collect();
        // Sometimes one that is gone.
        if known.is_empty() || self.dice.roll(12) == 0 { 1 } else { self.dice.pick(&known) }
    }

    fn species(&mut self) -> String {
        self.next += 1;
        format!("{}{}", self.dice.pick(&["n", "s"]), self.next)
    }

    fn any_edit(&mut self) -> (u32, Edit) {
        let girth = i64::try_from(self.dice.roll(10)).unwrap();
        match self.dice.roll(6) {
            0 | 1 => {
                let species = self.species();
                (1_000 + self.next, Edit::Add(species, girth))
            }
            2 => (self.any_row(), Edit::Delete),
            3 => (self.any_row(), Edit::Set(None, Some(girth))),
            4 => (self.any_row(), Edit::Set(Some(self.species()), Some(girth))),
            _ => (self.any_row(), Edit::Set(Some(self.species()), None)),
        }
    }

    async fn edit_with_sql(&mut self, add: bool) {
        let number = self.any_row();
        let maker = self.dice.pick(&["ann", "bob", "psql"]).to_owned();
        let species = self.species();
        let girth = i64::try_from(self.dice.roll(10)).unwrap();
        let statement = match self.dice.roll(4) {
            roll if add || roll == 0 => {
                let number = 1_000 + self.next;
                let tree = Tree { species: species.clone(), girth: Some(girth), maker: maker.clone() };
                self.model.trees.insert(number, tree);
                format!(
                    "insert into oak (globalid, species, girth, maker) values ('{}', '{species}', {girth}, '{maker}')",
                    id(number)
                )
            }
            1 => {
                self.model.trees.remove(&number);
                format!("delete from oak where globalid = '{}'", id(number))
            }
            2 => {
                self.model.trees.entry(number).and_modify(|tree| tree.maker.clone_from(&maker));
                format!("update oak set maker = '{maker}' where globalid = '{}'", id(number))
            }
            _ => {
                self.model.trees.entry(number).and_modify(|tree| {
                    tree.species.clone_from(&species);
                    tree.girth = Some(girth);
                });
                format!("update oak set species = '{species}', girth = {girth} where globalid = '{}'", id(number))
            }
        };
        self.log.push(statement.clone());
        self.server.database.sql(&statement).await;
    }

    async fn edit_connected(&mut self) {
        let user = self.dice.pick(&["ann", "bob"]);
        let (number, mut edit) = self.any_edit();
        // Each request is another one: one that comes again as it was gets the answer that it got, as long as nobody touched its rows.
        if let Edit::Set(species @ None, _) = &mut edit {
            *species = Some(self.species());
        }
        let expected = self.model.edit(user, number, &edit);
        self.log.push(format!("{user} connected: {number} {edit:?} = {expected}"));
        let edits = Json::from(vec![edit.json(number)]).to_string();
        let given = [(edit.list(), &*edits), ("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
        let answer = post_as(&self.server, &token(user), "0/applyEdits", &given).await;
        if expected == 1013 {
            assert_eq!(code(&answer), 403, "{answer}; {:?}", self.log);
            return;
        }
        let result = &answer[edit.list().replace('s', "Results")][0];
        let found = if result["success"] == true { 0 } else { result["error"]["code"].as_i64().unwrap_or(-1) };
        assert_eq!(found, expected, "{answer}; {:?}", self.log);
    }

    async fn change_rules(&mut self) {
        let given = match self.dice.roll(5) {
            0 | 1 => {
                self.model.rule =
                    self.dice.pick(&[Rule::None, Rule::North, Rule::Divided, Rule::HandedOn, Rule::Thick]);
                json!({"rowAccess": self.model.rule.json()})
            }
            2 | 3 => {
                let others = [0; 3].map(|_| self.dice.roll(2) == 0);
                self.model.others = Some(others).filter(|_| self.dice.roll(3) > 0);
                let [query, update, delete] = others;
                match self.model.others {
                    Some(_) => ownership(query, update, delete),
                    None => json!({"ownershipBasedAccessControlForFeatures": null}),
                }
            }
            _ => {
                self.model.girth_is_hidden = !self.model.girth_is_hidden;
                json!({"fields": [{"name": "girth", "visible": !self.model.girth_is_hidden}]})
            }
        };
        self.log.push(given.to_string());
        define(&self.server, given).await;
    }

    async fn change_rights(&mut self) {
        let user = self.dice.pick(&["ann", "bob"]);
        let statement = if self.model.viewers.remove(user) {
            format!(
                "delete from syncline.service_grant g using syncline.account a where g.account_id = a.account_id and a.name = '{user}'"
            )
        } else {
            self.model.viewers.insert(user);
            format!(
                "insert into syncline.service_grant (service_id, account_id, access)
                 select service_id, account_id, 'view' from syncline.service, syncline.account a where a.name = '{user}'"
            )
        };
        self.log.push(format!("{user} may only view: {}", self.model.viewers.contains(user)));
        self.server.database.sql(&statement).await;
        self.server.app.store.reload().await.unwrap();
    }

    /// Gives a replica to the other user, or replaces it by a new one.
    async fn change_hands(&mut self, which: usize) {
        let user = if self.devices[which].user == "ann" { "bob" } else { "ann" };
        if self.dice.roll(2) == 0 {
            let replica = self.devices[which].last["replicaID"].as_str().unwrap().to_owned();
            self.log.push(format!("device {which} is given to {user}"));
            let statement = format!("update syncline.replica set owner = '{user}' where replica_id = '{replica}'");
            self.server.database.sql(&statement).await;
            self.devices[which].user = user;
        } else if !self.model.viewers.contains(user) && self.devices[which].sent.is_none() {
            self.log.push(format!("device {which} begins anew for {user}"));
            let replica = self.devices[which].last["replicaID"].as_str().unwrap().to_owned();
            post_as(&self.server, &token("boss"), "unRegisterReplica", &[("replicaID", &replica)]).await;
            self.devices[which] = self.device(user).await;
        }
    }

    fn edit_offline(&mut self, which: usize) {
        let held: Vec<u32> = self.devices[which].held.keys().copied().collect();
        let (mut number, edit) = self.any_edit();
        if !matches!(edit, Edit::Add(..)) && !held.is_empty() && self.dice.roll(5) > 0 {
            number = self.dice.pick(&held);
        }
        self.log.push(format!("device {which} edits {number} {edit:?}"));
        self.devices[which].queue.entry(number).or_insert(edit);
    }

    async fn synchronize(&mut self, which: usize, is_delivered: bool) {
        let user = self.devices[which].user;
        let by = if self.dice.roll(8) == 0 { "boss" } else { user };
        let hidden = self.model.girth_is_hidden;
        let edits: BTreeMap<u32, Edit> = match &self.devices[which].sent {
            // What had no effect is tried anew, and so is what means something else by now; anything else is known again.
            Some((sent, hidden_then)) => {
                let names_girth = sent.values().any(|(edit, _)| matches!(edit, Edit::Add(..) | Edit::Set(_, Some(_))));
                let is_known = sent.values().any(|(_, code)| *code == 0) && (hidden == *hidden_then || !names_girth);
                let again = sent.iter().filter(|_| !is_known);
                again.map(|(number, (edit, _))| (*number, edit.clone())).collect()
            }
            None => std::mem::take(&mut self.devices[which].queue),
        };
        if !edits.is_empty() || self.devices[which].sent.is_none() {
            self.n_uploaded += i64::try_from(edits.len()).unwrap();
            let done = edits.into_iter().map(|(number, edit)| {
                let code = self.model.edit(by, number, &edit);
                (number, (edit, code))
            });
            let done = done.collect();
            self.devices[which].sent = Some((done, hidden));
        }
        let (sent, _) = self.devices[which].sent.clone().unwrap();
        self.log.push(format!("device {which} of {user} by {by}, delivered: {is_delivered}: {sent:?}"));
        let list = |name: &str| -> Json {
            sent.iter()
                .filter(|(_, (edit, _))| edit.list() == name)
                .map(|(number, (edit, _))| edit.json(*number))
                .collect()
        };
        let edits = json!({"adds": list("adds"), "updates": list("updates"), "deleteIds": list("deletes")});
        let edits = Some(edits).filter(|_| !sent.is_empty());
        let answer = synchronize(&self.server, by, &self.devices[which].last, edits).await;
        assert_eq!(code(&answer), 200, "{answer}; {:?}", self.log);
        let features = &answer["edits"][0]["features"];
        let mut refused: BTreeMap<u32, i64> = BTreeMap::new();
        for name in ["addResults", "updateResults", "deleteResults"] {
            for result in features[name].as_array().into_iter().flatten().filter(|result| result["success"] == false) {
                refused.insert(number_of(&result["globalId"]), result["error"]["code"].as_i64().unwrap());
            }
        }
        let expected: BTreeMap<u32, i64> =
            sent.iter().filter(|(_, (_, code))| *code != 0).map(|(number, (_, code))| (*number, *code)).collect();
        assert_eq!(refused, expected, "{answer}; {:?}", self.log);
        let told = self.told(user).await;
        let shown: Held = rows(&features["adds"]).into_iter().chain(rows(&features["updates"])).collect();
        for (number, row) in &shown {
            assert_eq!(
                told.get(number),
                Some(row),
                "{user} is shown {number} by a synchronization: {answer}; {:?}",
                self.log
            );
        }
        self.look_into_the_books(which, &expected).await;
        if is_delivered {
            self.apply(which, &answer, (shown, told));
        }
    }

    /// What a user is told by a query, which is what the model says.
    async fn told(&self, user: &str) -> Held {
        let asked = [("where", "1=1"), ("outFields", "*"), ("returnGeometry", "false")];
        let told = rows(&get_as(&self.server, &token(user), "0/query", &asked).await["features"]);
        assert_eq!(told, self.model.told(user), "{user}: {:?}", self.log);
        told
    }

    fn apply(&mut self, which: usize, answer: &Json, (shown, told): (Held, Held)) {
        let hidden = self.model.girth_is_hidden;
        let device = &mut self.devices[which];
        let (sent, _) = device.sent.take().unwrap();
        // What it deleted is gone from it, also if that was refused: what its owner still sees comes back.
        device.held.retain(|number, _| !matches!(sent.get(number), Some((Edit::Delete, _))));
        for (number, (edit, _)) in sent.iter().filter(|(_, (_, code))| *code == 0) {
            let held = device.held.remove(number);
            let (species, girth) = match edit {
                Edit::Delete => continue,
                Edit::Add(species, girth) => (Some(species.clone()), Some(*girth)),
                Edit::Set(species, girth) => (species.clone(), *girth),
            };
            // A device that edits what it does not hold any more puts nothing into its tables.
            let Some((species, girth)) = (match (held, species) {
                (held, Some(species)) => {
                    Some((species, girth.or(held.and_then(|(_, girth)| girth)).filter(|_| !hidden)))
                }
                (Some((species, before)), None) => Some((species, girth.or(before).filter(|_| !hidden))),
                (None, None) => None,
            }) else {
                continue;
            };
            device.held.insert(*number, (species, girth));
            if !told.contains_key(number) {
                device.outside.insert(*number);
            }
        }
        device.held.extend(shown);
        for gone in answer["edits"][0]["features"]["deleteIds"].as_array().into_iter().flatten() {
            device.held.remove(&number_of(gone));
        }
        device.outside.retain(|number| device.held.contains_key(number) && !told.contains_key(number));
        let mut held = device.held.clone();
        held.retain(|number, _| !device.outside.contains(number));
        assert_eq!(held, told, "device {which} of {}: {answer}; {:?}", device.user, self.log);
        device.last = answer.clone();
    }

    /// Each edit of a device has its receipt, and each that was refused is kept.
    async fn look_into_the_books(&self, which: usize, refused: &BTreeMap<u32, i64>) {
        let receipts =
            "select count(*) from syncline.receipt join syncline.batch using (batch_id) where replica_id is not null";
        assert_eq!(self.server.database.value::<i64>(receipts).await, self.n_uploaded, "{:?}", self.log);
        let replica = self.devices[which].last["replicaID"].as_str().unwrap();
        for (number, code) in refused {
            let kept = format!(
                "select count(*) from syncline.rejected_edit where replica_id = '{replica}' and global_id = '{}' and state = 'open'",
                id(*number)
            );
            assert!(self.server.database.value::<i64>(&kept).await > 0, "{number} {code}: {:?}", self.log);
        }
    }

    /// The table is what the model says: nothing was lost, and nothing happened that was refused.
    async fn compare(&self) {
        let all = "select coalesce(string_agg(globalid || ' ' || species || ' ' || coalesce(girth::text, '-') || ' ' || maker, ', ' order by globalid), '') from oak";
        let stored: String = self.server.database.value(all).await;
        let line = |(number, tree): (&u32, &Tree)| {
            let girth = tree.girth.map_or("-".to_owned(), |girth| girth.to_string());
            format!("{} {} {girth} {}", id(*number).trim_matches(['{', '}']), tree.species, tree.maker)
        };
        let expected: Vec<String> = self.model.trees.iter().map(line).collect();
        assert_eq!(stored, expected.join(", "), "{:?}", self.log);
    }

    async fn step(&mut self) {
        let which = usize::try_from(self.dice.roll(self.devices.len() as u64)).unwrap();
        match self.dice.roll(16) {
            0 | 1 => self.edit_with_sql(false).await,
            2 | 3 => self.edit_connected().await,
            4 | 5 => self.change_rules().await,
            6 if self.dice.roll(2) == 0 => self.change_rights().await,
            7 if self.dice.roll(2) == 0 => self.change_hands(which).await,
            6..=10 => self.edit_offline(which),
            _ => {
                let is_delivered = self.dice.roll(4) > 0;
                self.synchronize(which, is_delivered).await;
            }
        }
        self.compare().await;
    }
}

async fn play(seed: u64, n_steps: u64) {
    let mut world = World::new(seed).await;
    world.log.push(format!("SYNCLINE_SEED={seed}"));
    for _ in 0..n_steps {
        world.step().await;
    }
    for which in 0..world.devices.len() {
        // What waits for an answer, then what is left.
        world.synchronize(which, true).await;
        world.synchronize(which, true).await;
    }
    world.compare().await;
}

#[tokio::test]
async fn s18_whatever_users_may_devices_hold_what_queries_tell_and_no_edit_is_lost() {
    let n_steps = setting("SYNCLINE_STEPS", at_length(60, 150));
    let end = Instant::now() + Duration::from_secs(60 * at_length(0, setting("SYNCLINE_MINUTES", 1)));
    let mut seed = seed();
    loop {
        play(seed, n_steps).await;
        if Instant::now() >= end {
            break;
        }
        seed += 1;
    }
}
