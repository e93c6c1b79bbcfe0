// Maps in pages.

import "./leaflet.js";

const { L } = window;

/** How far in a map goes by itself, for a single point. */
const MAX_FIT_ZOOM = 13;

/** Where places on a Mercator map end. */
const MAX_LATITUDE = 85;

/**
 * Shows a map in an element.
 *
 * @param {HTMLElement} element its place; what is in it is taken away
 * @param {object} options
 * @param {Feature[]} [options.features] what is on it
 * @param {number[]} [options.extent] west, south, east, north: what it shows at first; else all its features, else the world
 * @param {object} [options.renderer] how features look: the `renderer` of a layer's `drawingInfo`, simple or of unique values
 * @param {(id: number|string) => void} [options.onSelect] is told when somebody picks a feature on the map
 * @param {{url: string, attribution?: string}} [options.basemap] tiles to lie under it; else the outline of the land does
 * @returns a handle: `setFeatures(features)`, `select(id)` (also `null`), `fit()`, `map` (Leaflet's own)
 *
 * A Feature is `{id, geometry, attributes?, label?, link?}`, its geometry an Esri geometry in longitudes and latitudes, or null; `link`,
 * where its label leads, is an address that a page made, never a value of a table.
 */
export function showMap(element, { features = [], extent, renderer, onSelect, basemap } = {}) {
  element.replaceChildren();
  const map = L.map(element, { zoomSnap: 0.25, minZoom: 0, maxZoom: 20, worldCopyJump: true, maxBoundsViscosity: 1 });
  map.attributionControl.setPrefix("Leaflet");
  L.control.scale({ imperial: false }).addTo(map);
  if (basemap) {
    L.tileLayer(basemap.url, { maxZoom: 20, attribution: escapeText(basemap.attribution ?? "") }).addTo(map);
  } else {
    showLand(map);
  }
  const drawn = L.featureGroup().addTo(map);
  const layers = new Map();
  let chosen = null;

  const handle = {
    map,
    setFeatures(features) {
      drawn.clearLayers();
      layers.clear();
      chosen = null;
      for (const feature of features) {
        const layer = draw(feature, renderer);
        if (layer) {
          layers.set(String(feature.id), layer);
          layer.addTo(drawn);
          describe(layer, feature);
          // A thousand stops on the way past a map are of no use; rows and pages lead to features, too.
          partsOf(layer).forEach((part) => {
            const pass = () => part.getElement?.()?.setAttribute("tabindex", "-1");
            part.on("add", pass);
            pass();
          });
          layer.on("click", () => {
            handle.select(feature.id, { move: false });
            onSelect?.(feature.id);
          });
        }
      }
    },
    select(id, { move = true } = {}) {
      mark(chosen, false);
      chosen = id === null || id === undefined ? null : (layers.get(String(id)) ?? null);
      mark(chosen, true);
      if (chosen && move) {
        const bounds = boundsOf(chosen);
        if (!map.getBounds().contains(bounds)) {
          map.fitBounds(bounds.pad(0.3), { maxZoom: Math.max(map.getZoom(), 6) });
        }
      }
      return chosen !== null;
    },
    fit() {
      const bounds = drawn.getBounds();
      if (bounds.isValid()) {
        map.fitBounds(bounds.pad(0.08), { maxZoom: MAX_FIT_ZOOM });
      } else {
        map.fitBounds([[-56, -170], [76, 175]]);
      }
    },
  };
  handle.setFeatures(features);
  if (extent && extent.every(Number.isFinite)) {
    const [west, south, east, north] = extent;
    // On such a map the south would take a third of the place for what nobody looks for.
    const [lowest, highest] = south < -60 && north > 60 ? [-58, 78] : [clamp(south), clamp(north)];
    map.fitBounds([[lowest, west], [highest, east]], { maxZoom: MAX_FIT_ZOOM });
  } else {
    handle.fit();
  }
  return handle;
}

/**
 * Lets somebody draw a box on a map, with a mouse, a pen or a finger.
 *
 * @param {object} handle what `showMap` returned
 * @param {(box: number[]) => void} onBox is told west, south, east, north when a box was drawn
 * @returns a handle: `draw(on)` begins and ends drawing, `show(box)` shows a box, or none for null
 */
export function boxOf({ map }, onBox) {
  const place = map.getContainer();
  let shown = null;
  let from = null;
  const show = (box) => {
    shown?.remove();
    shown = null;
    if (box) {
      const [west, south, east, north] = box;
      shown = L.rectangle([[clamp(south), west], [clamp(north), east]], { className: "box", weight: 2, interactive: false }).addTo(map);
    }
  };
  const boxTo = (event) => {
    const to = map.mouseEventToLatLng(event);
    const bounds = L.latLngBounds(from, to);
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()].map((number) => Number(number.toFixed(6)));
  };
  const begin = (event) => {
    if (event.isPrimary && event.button === 0 && !event.target.closest(".leaflet-control")) {
      event.preventDefault();
      from = map.mouseEventToLatLng(event);
      place.setPointerCapture(event.pointerId);
    }
  };
  const move = (event) => from && show(boxTo(event));
  const end = (event) => {
    if (from) {
      const box = boxTo(event);
      from = null;
      if (box[0] < box[2] && box[1] < box[3]) {
        show(box);
        onBox(box);
      }
    }
  };
  const draw = (on) => {
    map.dragging[on ? "disable" : "enable"]();
    place.classList.toggle("drawing", on);
    for (const [name, listener] of [["pointerdown", begin], ["pointermove", move], ["pointerup", end], ["pointercancel", end]]) {
      place[on ? "addEventListener" : "removeEventListener"](name, listener);
    }
    from = null;
  };
  return { draw, show };
}

/** The envelope of a WGS 84 extent document as the numbers that `showMap` takes; undefined if it has none. */
export function extentOf(extent) {
  const numbers = [extent?.xmin, extent?.ymin, extent?.xmax, extent?.ymax];
  return numbers.every(Number.isFinite) ? numbers : undefined;
}

function clamp(latitude) {
  return Math.max(-MAX_LATITUDE, Math.min(MAX_LATITUDE, latitude));
}

function escapeText(text) {
  const place = document.createElement("span");
  place.textContent = text;
  return place.innerHTML;
}

let land;

/** Draws the outline of the land below everything. */
async function showLand(map) {
  map.createPane("land").style.zIndex = 150;
  try {
    land ??= fetch(new URL("./land.json", import.meta.url)).then((response) => response.json());
    const { unit, polygons } = await land;
    const rings = polygons.map((polygon) => polygon.map((ring) => positions(ring, unit)));
    const options = { pane: "land", className: "land", stroke: false, interactive: false, attribution: "Natural Earth" };
    L.polygon(rings, { ...options, renderer: L.svg({ pane: "land", padding: 0.5 }) }).addTo(map);
  } catch (error) {
    land = undefined;
    // A map without land is still a map.
    console.warn(`The outline of the land cannot be had: ${error.message}`);
  }
}

/** Each position is the difference to the one before it. */
function positions(ring, unit) {
  const out = [];
  let [x, y] = [0, 0];
  for (let index = 0; index < ring.length; index += 2) {
    x += ring[index];
    y += ring[index + 1];
    out.push([clamp(y * unit), x * unit]);
  }
  return out;
}

/** A geometry as something that Leaflet draws; null if there is nothing to draw. */
function draw({ geometry, attributes }, renderer) {
  const style = styleOf(renderer, attributes);
  const place = ([x, y]) => [clamp(y), x];
  const dot = (position) => L.circleMarker(place(position), { radius: 5, weight: 1.5, className: "mark dot", ...style });
  if (Number.isFinite(geometry?.x) && Number.isFinite(geometry?.y)) {
    return dot([geometry.x, geometry.y]);
  }
  if (geometry?.points?.length) {
    return L.featureGroup(geometry.points.map(dot));
  }
  if (geometry?.paths?.some((path) => path.length)) {
    return L.polyline(geometry.paths.map((path) => path.map(place)), { weight: 3, className: "mark line", ...style });
  }
  if (geometry?.rings?.some((ring) => ring.length)) {
    // Rings are filled by the even-odd rule, so that it does not matter which of them are holes.
    return L.polygon(geometry.rings.map((ring) => ring.map(place)), { weight: 1.5, className: "mark area", ...style });
  }
  return null;
}

/** What a renderer says about a feature, in Leaflet's words; nothing where it cannot be shown. */
function styleOf(renderer, attributes = {}) {
  const symbol = symbolOf(renderer, attributes);
  const color = (rgba) => (Array.isArray(rgba) ? `rgb(${rgba.slice(0, 3).map(Number).join(" ")} / ${(rgba[3] ?? 255) / 255})` : undefined);
  const plain = (style) => Object.fromEntries(Object.entries(style).filter(([, value]) => value !== undefined));
  const px = (points, most) => (Number.isFinite(points) ? Math.min(Math.max(points * 4 / 3, 1), most) : undefined);
  const outline = symbol?.outline;
  switch (symbol?.type) {
    case "esriSMS":
      return plain({
        className: "drawn",
        radius: px(symbol.size / 2, 16),
        fillColor: color(symbol.color),
        fillOpacity: symbol.color ? 1 : 0,
        color: color(outline?.color),
        weight: px(outline?.width, 6) ?? 1,
        stroke: Boolean(outline?.color),
      });
    case "esriSLS":
      return plain({ className: "drawn", color: color(symbol.color), opacity: 1, weight: px(symbol.width, 10), dashArray: dashes(symbol.style) });
    case "esriSFS":
      return plain({
        className: "drawn",
        fillColor: color(symbol.color),
        fillOpacity: symbol.color && symbol.style !== "esriSFSNull" ? 1 : 0,
        color: color(outline?.color),
        opacity: 1,
        weight: px(outline?.width, 8),
        stroke: Boolean(outline?.color) && outline.style !== "esriSLSNull",
        dashArray: dashes(outline?.style),
      });
    default:
      return {};
  }
}

function dashes(style) {
  return { esriSLSDash: "8 5", esriSLSDot: "2 4", esriSLSDashDot: "8 4 2 4", esriSLSDashDotDot: "8 4 2 4 2 4" }[style];
}

function symbolOf(renderer, attributes) {
  if (renderer?.type !== "uniqueValue") {
    return renderer?.symbol;
  }
  const names = [renderer.field1, renderer.field2, renderer.field3].filter(Boolean);
  const value = names.map((name) => attributes[name] ?? "").join(renderer.fieldDelimiter ?? ",");
  const found = renderer.uniqueValueInfos?.find((info) => String(info.value) === value);
  return found?.symbol ?? renderer.defaultSymbol;
}

/** Says what a feature is when somebody points at it. Text only: no value becomes markup. */
function describe(layer, { id, label, link }) {
  const name = () => {
    const place = document.createElement(link ? "a" : "span");
    place.textContent = shorten(label ?? String(id));
    if (link) {
      place.href = link;
    }
    return place;
  };
  layer.bindTooltip(() => name(), { sticky: true, direction: "top" });
  if (link) {
    layer.bindPopup(() => name());
  }
}

function shorten(text) {
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

function partsOf(layer) {
  return layer ? (layer.getLayers?.() ?? [layer]) : [];
}

function mark(layer, on) {
  for (const part of partsOf(layer)) {
    part.getElement?.()?.classList.toggle("chosen", on);
    if (on) {
      part.bringToFront?.();
    }
  }
}

function boundsOf(layer) {
  return layer.getBounds ? layer.getBounds() : L.latLngBounds(layer.getLatLng(), layer.getLatLng());
}
