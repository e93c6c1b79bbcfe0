// Makes maps of the places that the directory's pages have for them.
//
// A place is an element with `data-map`; what is in it is for browsers without scripts. `data-layer` is the address of a layer, whose
// features it shows as far as they are in view. With `data-rows`, the id of a table, it shows the features of the table's rows,
// which have `data-id`, as they were at `data-moment` if there is one, and rows and map are linked: who picks one finds the other. A place with `data-draw` is for drawing the geometry of
// the form that it stands in; `data-of` is the address of the layer or service, `data-layers` the ids of the service's layers.

import { ask } from "./api.js";
import { boxOf, extentOf, showMap } from "./map.js";

/** The most features at a time; a map with more can no longer be read, and is slow. */
const MAX_FEATURES = 1000;

for (const place of document.querySelectorAll("[data-map]")) {
  attempt(place, () => (place.dataset.rows ? showRows(place) : showLayer(place)));
}

for (const place of document.querySelectorAll("[data-draw]")) {
  const fold = place.closest("details");
  // A map that nobody sees has no size.
  const begin = () => fold.open && !place.dataset.begun && ((place.dataset.begun = "true"), attempt(place, () => showDrawing(place)));
  fold.addEventListener("toggle", begin);
  begin();
}

async function attempt(place, show) {
  try {
    await show();
  } catch (error) {
    place.textContent = `The map cannot be shown: ${error.message}`;
  }
}

/** What lies under maps, if an administrator has said so. */
function basemap() {
  const { basemap: url, attribution } = document.querySelector("[data-basemap]")?.dataset ?? {};
  return url ? { url, attribution } : undefined;
}

/** Puts a sentence below a map. */
function note(place, text) {
  let line = place.nextElementSibling;
  if (!line?.classList.contains("map-note")) {
    line = document.createElement("p");
    line.className = "map-note";
    line.setAttribute("role", "status");
    place.after(line);
  }
  line.textContent = text;
}

/** What is asked of a layer to draw it: its look, and the fields that this and its features' names depend on. */
async function lookOf(layer) {
  const { objectIdField, displayField, drawingInfo, fields } = await ask(layer);
  const renderer = drawingInfo?.renderer;
  const there = new Set(fields.map((field) => field.name));
  const wanted = [objectIdField, displayField, renderer?.field1, renderer?.field2, renderer?.field3];
  return { objectIdField, displayField, renderer, outFields: [...new Set(wanted)].filter((name) => there.has(name)).join(",") };
}

function featuresOf(answer, layer, { objectIdField, displayField }) {
  return answer.features.map(({ attributes, geometry }) => {
    const id = attributes[objectIdField];
    const name = attributes[displayField];
    const label = name === null || name === undefined || name === id ? `Feature ${id}` : `${name} (${id})`;
    return { id, attributes, geometry, label, link: `${layer}/${id}` };
  });
}

async function showLayer(place) {
  const { layer } = place.dataset;
  const [look, all] = await Promise.all([
    lookOf(layer),
    ask(`${layer}/query`, { where: "1=1", returnCountOnly: true, returnExtentOnly: true, outSR: 4326 }),
  ]);
  const handle = showMap(place, { extent: extentOf(all.extent), renderer: look.renderer, basemap: basemap() });
  const { map } = handle;
  if (all.count === 0) {
    note(place, "There are no features.");
    return;
  }
  let loaded = null;
  let asking = new AbortController();
  const load = async () => {
    const view = map.getBounds();
    if (loaded?.whole && loaded.bounds.contains(view) && map.getZoom() <= loaded.zoom) {
      return;
    }
    asking.abort();
    asking = new AbortController();
    const bounds = view.pad(0.25);
    const resolution = (view.getEast() - view.getWest()) / map.getSize().x;
    const answer = await ask(
      `${layer}/query`,
      {
        geometry: [bounds.getWest(), Math.max(bounds.getSouth(), -90), bounds.getEast(), Math.min(bounds.getNorth(), 90)].join(),
        geometryType: "esriGeometryEnvelope",
        inSR: 4326,
        outSR: 4326,
        outFields: look.outFields,
        maxAllowableOffset: resolution,
        geometryPrecision: 6,
        resultRecordCount: MAX_FEATURES,
      },
      { signal: asking.signal },
    );
    const whole = !answer.exceededTransferLimit;
    loaded = { whole, bounds, zoom: map.getZoom() };
    handle.setFeatures(featuresOf(answer, layer, look));
    note(place, whole ? "" : `${answer.features.length} of ${all.count} features are shown. Zoom in for the others.`);
  };
  const attempt = () =>
    load().catch((error) => {
      if (error.name !== "AbortError") {
        note(place, `The features cannot be shown: ${error.message}`);
      }
    });
  map.on("moveend", attempt);
  await attempt();
  place.dataset.ready = "true";
}

async function showRows(place) {
  const { layer, rows: id, moment } = place.dataset;
  const rows = new Map([...document.getElementById(id).querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  const look = await lookOf(layer);
  const answer = await ask(`${layer}/query`, {
    objectIds: [...rows.keys()].slice(0, MAX_FEATURES).join(),
    historicMoment: moment,
    outSR: 4326,
    outFields: look.outFields,
    geometryPrecision: 6,
  });
  const features = featuresOf(answer, layer, look);
  const choose = (id, { scroll }) => {
    for (const [key, row] of rows) {
      row.classList.toggle("chosen", key === String(id));
    }
    if (scroll) {
      rows.get(String(id))?.scrollIntoView({ block: "nearest" });
    }
  };
  const handle = showMap(place, {
    features,
    renderer: look.renderer,
    basemap: basemap(),
    onSelect: (id) => choose(id, { scroll: true }),
  });
  for (const [id, row] of rows) {
    const pick = () => {
      choose(id, { scroll: false });
      handle.select(id);
    };
    row.addEventListener("click", (event) => event.target.closest("a, summary, details") || pick());
    row.addEventListener("focusin", pick);
  }
  const without = features.filter((feature) => !feature.geometry).length;
  const more = rows.size > MAX_FEATURES ? `The first ${MAX_FEATURES} records are on the map. ` : "";
  note(place, more + (without ? `${without} of them ${without === 1 ? "has" : "have"} no geometry.` : ""));
  place.dataset.ready = "true";
}

/** The most features of a layer below a drawing; they are there for orientation. */
const MAX_BACKGROUND = 300;

/** Maps the fields of a form that are a geometry to a box on a map, and back. */
async function showDrawing(place) {
  const { of, layers } = place.dataset;
  const form = place.closest("form");
  const field = (name) => form.elements[name];
  const addresses = layers === undefined ? [of] : layers.split(",").filter(Boolean).slice(0, 5).map((id) => `${of}/${id}`);
  const below = await Promise.all(addresses.map(background));
  const features = below.flatMap((one) => one.features);
  const handle = showMap(place, { features, extent: around(below.map((one) => one.extent)), basemap: basemap() });
  const take = ([west, south, east, north]) => {
    field("geometry").value = [west, south, east, north].join(",");
    field("geometryType").value = "esriGeometryEnvelope";
    field("inSR").value = "4326";
  };
  const box = boxOf(handle, take);
  const sent = () => {
    const numbers = field("geometry").value.split(",").map(Number);
    const is = numbers.length === 4 && numbers.every(Number.isFinite) && field("geometryType").value === "esriGeometryEnvelope";
    return is && ["4326", ""].includes(field("inSR").value.trim()) ? numbers : null;
  };
  const buttons = document.createElement("p");
  buttons.className = "buttons";
  const button = (text, press) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "second small";
    made.textContent = text;
    made.addEventListener("click", press);
    buttons.append(made, " ");
    return made;
  };
  const draw = button("Draw a box", () => {
    const on = draw.getAttribute("aria-pressed") !== "true";
    draw.setAttribute("aria-pressed", String(on));
    box.draw(on);
  });
  draw.setAttribute("aria-pressed", "false");
  button("Take what the map shows", () => {
    const view = handle.map.getBounds();
    const shown = [view.getWest(), Math.max(view.getSouth(), -90), view.getEast(), Math.min(view.getNorth(), 90)];
    take(shown.map((number) => Number(number.toFixed(6))));
    box.show(sent());
  });
  button("Clear", () => {
    field("geometry").value = "";
    box.show(null);
  });
  place.after(buttons);
  field("geometry").addEventListener("input", () => box.show(sent()));
  box.show(sent());
  place.dataset.ready = "true";
}

/** Where a layer's features are, and some of them. */
async function background(layer) {
  const look = await lookOf(layer);
  const all = await ask(`${layer}/query`, { where: "1=1", returnCountOnly: true, returnExtentOnly: true, outSR: 4326 });
  const answer = await ask(`${layer}/query`, {
    where: "1=1",
    outSR: 4326,
    outFields: look.outFields,
    geometryPrecision: 5,
    maxAllowableOffset: 0.01,
    resultRecordCount: MAX_BACKGROUND,
  });
  // Ids are those of a layer each, and nobody picks anything here.
  const features = featuresOf(answer, layer, look).map((one) => ({ ...one, id: one.link, link: undefined }));
  return { extent: extentOf(all.extent), features };
}

/** The envelope of envelopes; undefined if there are none. */
function around(extents) {
  const known = extents.filter(Boolean);
  const most = (index, choose) => choose(...known.map((extent) => extent[index]));
  return known.length ? [most(0, Math.min), most(1, Math.min), most(2, Math.max), most(3, Math.max)] : undefined;
}
