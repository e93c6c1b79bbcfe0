//! Spatial references of mobile geodatabases, and the grids that belong to them.

use crate::model::geometry;

use super::geometry::Grid;

/// The first number that is free for references that the file itself describes; 300000 is one that nobody knows.
const FIRST_OWN: u32 = 300_001;
/// Heights and measures: the origin, and how many cells there are to a unit.
const HEIGHTS: (f64, f64) = (-100_000.0, 10_000.0);
/// How far apart two positions are the same, in degrees: a millimetre.
const TOLERANCE_DEGREES: &str = "8.983152841195215e-09";

/// The grid of a reference that every reader knows by its number.
pub(super) fn built_in(srid: u32) -> Option<Grid> {
    let axes = match srid {
        4326 => [(-400.0, 1e9), (-400.0, 1e9), HEIGHTS, HEIGHTS],
        3857 => [(-20_037_700.0, 10_000.0), (-30_241_100.0, 10_000.0), HEIGHTS, HEIGHTS],
        _ => return None,
    };
    Some(Grid { srid, axes })
}

/// A spatial reference of a file.
#[derive(Clone, Debug)]
pub(super) struct SpatialReference {
    /// Its number in the file, and the grid of coordinates.
    pub(super) grid: Grid,
    /// Its number in documents.
    pub(super) wkid: i64,
    /// The newer one.
    pub(super) latest_wkid: i64,
    /// Its description.
    pub(super) wkt: String,
    /// Whether it is in degrees.
    pub(super) geographic: bool,
    /// How far apart two positions are the same.
    pub(super) tolerance: &'static str,
    /// Who numbers it.
    pub(super) authority: String,
}

impl SpatialReference {
    /// A reference of the database. One of `own` is described in the file, which heights and measures need, and what not
    /// every reader knows.
    pub(super) fn new(described: &geometry::SpatialReference, own: bool) -> SpatialReference {
        let geometry::SpatialReference { srid, authority, code, text } = described;
        let (srid, code) = (*srid, *code);
        let known = u32::try_from(srid).ok().and_then(built_in);
        let geographic = !text.contains("PROJCS[") && (text.contains("GEOGCS[") || text.contains("GEOGCRS["));
        let grid = match known {
            Some(grid) if own => Grid { srid: FIRST_OWN, ..grid },
            Some(grid) => grid,
            None => Grid { srid: FIRST_OWN, axes: axes(text, geographic) },
        };
        let wkt = match srid {
            4326 => WGS_84.to_owned(),
            3857 => WEB_MERCATOR.to_owned(),
            _ => text.clone(),
        };
        SpatialReference {
            grid,
            wkid: if srid == 3857 { 102_100 } else { code.into() },
            latest_wkid: code.into(),
            wkt,
            geographic,
            tolerance: if geographic { TOLERANCE_DEGREES } else { "0.001" },
            authority: authority.clone(),
        }
    }

    /// Whether the file has to describe it.
    pub(super) fn is_own(&self) -> bool {
        self.grid.srid >= FIRST_OWN
    }

    /// A box in longitudes and latitudes, if that is simple to find.
    pub(super) fn to_degrees(&self, [xmin, ymin, xmax, ymax]: [f64; 4]) -> Option<[f64; 4]> {
        const RADIUS: f64 = 6_378_137.0;
        match self.latest_wkid {
            4326 => Some([xmin, ymin, xmax, ymax]),
            3857 => {
                let longitude = |x: f64| (x / RADIUS).to_degrees();
                let latitude = |y: f64| (y / RADIUS).sinh().atan().to_degrees();
                Some([longitude(xmin), latitude(ymin), longitude(xmax), latitude(ymax)])
            }
            _ => None,
        }
    }
}

/// Cells of a tenth of a millimetre, or a billionth of a degree.
fn axes(text: &str, geographic: bool) -> [(f64, f64); 4] {
    if geographic {
        return [(-400.0, 1e9), (-400.0, 1e9), HEIGHTS, HEIGHTS];
    }
    // The unit of the projection follows its parameters; those before are of the ellipsoid.
    let from = text.rfind("PARAMETER[").unwrap_or_default();
    let unit = text.get(from..).and_then(|rest| rest.split_once("UNIT[")).and_then(|(_, rest)| {
        rest.split(',').nth(1)?.trim_end_matches(|c: char| !c.is_ascii_digit()).trim().parse::<f64>().ok()
    });
    let metres = unit.filter(|unit| unit.is_finite() && *unit > 1e-6 && *unit < 1e6).unwrap_or(1.0);
    let xy = (-1e9 / metres, 1e4 * metres);
    [xy, xy, HEIGHTS, HEIGHTS]
}

const WGS_84: &str = "GEOGCS[\"GCS_WGS_1984\",DATUM[\"D_WGS_1984\",SPHEROID[\"WGS_1984\",6378137.0,298.257223563]],PRIMEM[\"Greenwich\",0.0],\
UNIT[\"Degree\",0.0174532925199433],AUTHORITY[\"EPSG\",4326]]";

const WEB_MERCATOR: &str = "PROJCS[\"WGS_1984_Web_Mercator_Auxiliary_Sphere\",GEOGCS[\"GCS_WGS_1984\",DATUM[\"D_WGS_1984\",\
SPHEROID[\"WGS_1984\",6378137.0,298.257223563]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Mercator_Auxiliary_Sphere\"],\
PARAMETER[\"False_Easting\",0.0],PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",0.0],PARAMETER[\"Standard_Parallel_1\",0.0],\
PARAMETER[\"Auxiliary_Sphere_Type\",0.0],UNIT[\"Meter\",1.0],AUTHORITY[\"EPSG\",3857]]";
