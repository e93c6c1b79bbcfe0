//! The judge: a service as a map of rows, filters as a few lines of Rust, and the histories that are played on both.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

/// The layers of the test service: 0 has points, 1 is a table.
pub const N_LAYERS: usize = 2;
/// The tables of the test service.
pub const TREES: &str =
    "create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
       species text, girth integer check (girth <> 666), shape geometry(Point, 3857));
     create table note (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
       species text, girth integer check (girth <> 666))";
/// A girth that a check constraint refuses.
pub const REFUSED_GIRTH: i32 = 666;
/// Coordinates inside and outside of the area that some replicas are restricted to.
const INSIDE: i32 = 5;
const OUTSIDE: i32 = 500;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub species: Option<String>,
    pub girth: Option<i32>,
    /// The easting of the point; tables have none.
    pub x: Option<i32>,
}

/// The attributes that an edit names, with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    pub species: Option<Option<String>>,
    pub girth: Option<Option<i32>>,
    pub x: Option<i32>,
}

impl Fields {
    pub fn all_of(row: &Row) -> Fields {
        Fields { species: Some(row.species.clone()), girth: Some(row.girth), x: row.x }
    }

    pub fn apply(&self, row: &mut Row) {
        if let Some(species) = &self.species {
            row.species.clone_from(species);
        }
        if let Some(girth) = self.girth {
            row.girth = girth;
        }
        if let Some(x) = self.x {
            row.x = Some(x);
        }
    }

    /// Both, the later one winning.
    pub fn and_then(mut self, later: &Fields) -> Fields {
        if later.species.is_some() {
            self.species.clone_from(&later.species);
        }
        self.girth = later.girth.or(self.girth);
        self.x = later.x.or(self.x);
        self
    }

    pub fn is_refused(&self) -> bool {
        self.girth == Some(Some(REFUSED_GIRTH))
    }
}

/// What is done to a row, by whomever.
#[derive(Clone, Debug)]
pub enum Change {
    /// The row is changed, or made if it is not there.
    Put(Fields),
    Delete,
}

/// Which rows a replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestFilter {
    All,
    Oaks,
    Area,
    OaksInArea,
}

impl TestFilter {
    pub fn passes(self, layer: usize, row: &Row) -> bool {
        let oak = row.species.as_deref() == Some("oak");
        // The area does not restrict the table; there, its replicas take thin ones.
        let near = if layer == 0 { row.x == Some(INSIDE) } else { row.girth.is_some_and(|girth| girth < 2) };
        match self {
            TestFilter::All => true,
            TestFilter::Oaks => oak,
            TestFilter::Area => near,
            TestFilter::OaksInArea => oak && near,
        }
    }

    pub fn layer_queries(self) -> &'static str {
        match self {
            TestFilter::All => r#"{"0":{"queryOption":"all"},"1":{"queryOption":"all"}}"#,
            TestFilter::Oaks => {
                r#"{"0":{"where":"species = 'oak'","useGeometry":false},"1":{"where":"species = 'oak'"}}"#
            }
            TestFilter::Area => r#"{"0":{"queryOption":"useFilter"},"1":{"where":"girth < 2"}}"#,
            TestFilter::OaksInArea => {
                r#"{"0":{"where":"species = 'oak'"},"1":{"where":"species = 'oak' and girth < 2"}}"#
            }
        }
    }
}

/// The service as it should be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub layers: [BTreeMap<Uuid, Row>; N_LAYERS],
}

impl Model {
    /// Applies a change that the server accepts.
    pub fn change(&mut self, layer: usize, id: Uuid, change: &Change) {
        match change {
            Change::Put(fields) => fields.apply(self.layers[layer].entry(id).or_default()),
            Change::Delete => {
                self.layers[layer].remove(&id);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Bidirectional,
    Upload,
    Download,
    Snapshot,
}

/// What happens to the answer of a synchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    /// The device never learns of the answer, and asks the same again at once. That answer arrives.
    Repeated,
    /// The server has done its work, and the device never learns of it.
    Lost,
    /// The device applies the rows and dies before it notes the generation.
    Crash,
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody edits through the API.
    Rest { layer: usize, row: u8, change: Change },
    /// Somebody edits the table with SQL.
    Sql { layer: usize, row: u8, change: Change },
    /// Somebody edits a whole table in one statement.
    SqlAll { layer: usize, species: &'static str },
    /// Somebody edits in SQL and thinks better of it.
    SqlRolledBack { layer: usize },
    /// Somebody edits on a device.
    Device { device: usize, layer: usize, row: u8, change: Change },
    /// Somebody attaches something on a device, or replaces an attachment.
    Attach { device: usize, file: u8, row: u8 },
    /// Somebody deletes an attachment on a device.
    Detach { device: usize, file: u8 },
    /// Somebody attaches something with SQL, or replaces an attachment.
    SqlAttach { file: u8, row: u8 },
    /// A device synchronizes.
    Sync { device: usize, way: Way, fate: Fate, layers: u8, roll_back: bool },
    /// A device is backed up …
    BackUp { device: usize },
    /// … and put back to what it was.
    Restore { device: usize },
}

pub const N_DEVICES: usize = 4;
/// Few rows, so that everybody edits the same ones.
pub const N_ROWS: u8 = 5;

/// The identity of an attachment.
pub fn file_id(file: u8) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0002_0000 + u128::from(file))
}

/// The identity of a row.
pub fn id_of(row: u8) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0000_0000 + u128::from(row))
}

fn put(layer: usize) -> impl Strategy<Value = Change> {
    let species = prop::option::weighted(
        0.5,
        prop_oneof![Just(None), Just(Some("oak".to_owned())), Just(Some("elm".to_owned()))],
    );
    let girth = prop::option::weighted(
        0.5,
        prop_oneof![1 => Just(None), 4 => Just(Some(1)), 4 => Just(Some(3)), 1 => Just(Some(REFUSED_GIRTH))],
    );
    let x = prop::option::weighted(0.4, prop_oneof![Just(INSIDE), Just(OUTSIDE)]);
    (species, girth, x)
        .prop_map(move |(species, girth, x)| Change::Put(Fields { species, girth, x: x.filter(|_| layer == 0) }))
}

fn change(layer: usize) -> impl Strategy<Value = Change> {
    prop_oneof![4 => put(layer), 1 => Just(Change::Delete)]
}

fn edit() -> impl Strategy<Value = (usize, u8, Change)> {
    (0..N_LAYERS, 0..N_ROWS).prop_flat_map(|(layer, row)| (Just(layer), Just(row), change(layer)))
}

fn sync(way: impl Strategy<Value = Way>) -> impl Strategy<Value = Step> {
    let fate =
        prop_oneof![4 => Just(Fate::Arrives), 3 => Just(Fate::Repeated), 2 => Just(Fate::Lost), 1 => Just(Fate::Crash)];
    (0..N_DEVICES, way, fate, 1_u8..4, prop::bool::weighted(0.2))
        .prop_map(|(device, way, fate, layers, roll_back)| Step::Sync { device, way, fate, layers, roll_back })
}

fn others() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..N_DEVICES, edit()).prop_map(|(device, (layer, row, change))| Step::Device { device, layer, row, change }),
        3 => edit().prop_map(|(layer, row, change)| Step::Rest { layer, row, change }),
        2 => edit().prop_map(|(layer, row, change)| Step::Sql { layer, row, change }),
        1 => (0..N_LAYERS, prop_oneof![Just("oak"), Just("elm")]).prop_map(|(layer, species)| Step::SqlAll { layer, species }),
        1 => (0..N_LAYERS).prop_map(|layer| Step::SqlRolledBack { layer }),
        2 => (0..N_DEVICES, 0..N_ROWS, 0..N_ROWS).prop_map(|(device, file, row)| Step::Attach { device, file, row }),
        1 => (0..N_DEVICES, 0..N_ROWS).prop_map(|(device, file)| Step::Detach { device, file }),
        1 => (0..N_ROWS, 0..N_ROWS).prop_map(|(file, row)| Step::SqlAttach { file, row }),
    ]
}

/// Histories in which answers get lost, devices crash, and some only upload.
pub fn histories(n_steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let way = prop_oneof![5 => Just(Way::Bidirectional), 2 => Just(Way::Upload), 2 => Just(Way::Download), 1 => Just(Way::Snapshot)];
    prop::collection::vec(prop_oneof![3 => others(), 2 => sync(way)], 5..=n_steps)
}

/// Histories with devices that are put back to an earlier state. Without bare uploads: a device that is put back to before one
/// cannot be told apart from one that never made it; comparing checksums finds that, and a snapshot mends it.
pub fn histories_with_restores(n_steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let way = prop_oneof![5 => Just(Way::Bidirectional), 2 => Just(Way::Download), 1 => Just(Way::Snapshot)];
    let back = (0..N_DEVICES, any::<bool>())
        .prop_map(|(device, restore)| if restore { Step::Restore { device } } else { Step::BackUp { device } });
    prop::collection::vec(prop_oneof![6 => others(), 4 => sync(way), 1 => back], 5..=n_steps)
}
