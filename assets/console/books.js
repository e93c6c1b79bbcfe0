// Refused edits and conflicts: what happened, side by side, and how it is put right.

import {
  admin, badge, button, choice, count, done, empty, exact, facts, failure, fill, h, inAddress, keepingFocus, latest, link, live, mark, number, ofService, question, replicaAddress,
  table, time, toAddress, trying,
} from "./console-kit.js";
import { showMap } from "./map.js";

const PAGE = 50;

/** Documents of layers that were asked for. */
const layers = new Map();

async function layerOf(service, id) {
  const key = `${service}/${id}`;
  if (!layers.has(key)) {
    layers.set(key, ofService(service, String(id)).catch(() => null));
  }
  return layers.get(key);
}

export function rejected(place) {
  return books(place, {
    resource: "rejectedEdits",
    id: "rejectedEditId",
    open: "openRejectedEdits",
    states: [["open", "open"], ["applied", "applied"], ["dismissed", "dismissed"]],
    none: ["No refused edit is open.", "An edit that was received and not applied waits here, whole, until somebody applies or dismisses it. None is lost meanwhile."],
    isOpen: (one) => one.state === "open",
    title: (one) => `${one.operation} of ${one.globalId ?? "a feature without global id"}`,
    why: (one) => [badge("refused", String(one.reason.code)), " ", one.reason.description],
    who: (one) => one.replicaName ?? one.userName ?? one.sentBy,
    when: (one) => one.lastReceivedDate,
    stateOf: (one) => badge(one.state === "open" ? "warning" : "ok", one.state),
    detail: rejectedDetail,
    several: [
      ["Apply…", "Apply", "apply", false, "Each is applied as it was sent, after whatever has been stored meanwhile. Those that are refused again stay here."],
      ["Dismiss…", "Dismiss", "dismiss", true, "They are closed and stay in the books for about a year; nobody applies them any more."],
    ],
  });
}

export function conflicts(place) {
  return books(place, {
    resource: "conflicts",
    id: "conflictId",
    open: "openConflicts",
    states: [["open", "open"], ["all", "also those that were put back"]],
    none: ["No conflict is open.", "When a device overwrites what somebody else changed and it had not seen, the three versions are kept here, and the one that was lost can be put back."],
    isOpen: (one) => one.restoredDate === null,
    title: (one) => `${one.operation} of ${one.globalId}`,
    why: (one) => `overwrote ${one.fields.join(", ") || "what was there"}`,
    who: (one) => one.replicaName,
    when: (one) => one.foundDate,
    stateOf: (one) => badge(one.restoredDate === null ? "warning" : "ok", one.restoredDate === null ? "open" : "put back"),
    detail: conflictDetail,
    several: [["Put back…", "Put back", "restore", true, "What was overwritten is written again, over what the device sent. Features that somebody changed since are left alone, and named."]],
  });
}

async function books(place, kind) {
  const { services } = await admin("health");
  const wanted = { state: kind.states[0][0], ...inAddress() };
  wanted.service ??= [...services].sort((one, other) => other[kind.open] - one[kind.open])[0]?.name;
  if (!wanted.service) {
    fill(place, empty("No service is published.", "There is nothing yet that somebody could edit."));
    return;
  }
  const selected = new Set();
  let list = [];
  let more = false;
  let offset = 0;
  let chosen = wanted.number ? Number(wanted.number) : null;
  // The entry whose detail is drawn, unless it is out of date.
  let drawn = null;

  const news = h("div", { "aria-live": "polite" });
  const bar = h("div.selection", {});
  const entries = h("ul.entries", { "aria-label": "Entries" });
  const pages = h("div.buttons.pages", {});
  const detail = h("section.entry", { "aria-live": "polite", tabindex: "-1" });
  const filter = h("div", {});

  const beginLoad = latest();
  const load = async ({ quietly = false } = {}) => {
    const isLast = beginLoad();
    const answer = await ofService(wanted.service, kind.resource, {
      replicaID: wanted.replicaID, state: kind.resource === "rejectedEdits" ? wanted.state : undefined, resultOffset: offset, resultRecordCount: PAGE,
    });
    if (!isLast()) {
      return;
    }
    list = answer[kind.resource];
    more = answer.exceededTransferLimit;
    if (kind.resource === "conflicts" && wanted.state === "open") {
      list = list.filter(kind.isOpen);
    }
    draw();
    if (chosen !== null) {
      await show(chosen, { quietly });
    } else if (list.length && window.matchMedia("(min-width: 60rem)").matches) {
      await show(list[0][kind.id], { quietly });
    } else if (!list.length) {
      fill(detail);
    }
  };

  const search = (changes) => {
    Object.assign(wanted, changes, { number: undefined });
    offset = 0;
    chosen = null;
    selected.clear();
    toAddress(wanted);
    return trying(news, null, load);
  };

  const draw = () => keepingFocus(place, drawAll);

  const drawAll = () => {
    fill(filter, h("form.filter", { onsubmit: (event) => event.preventDefault() },
      choice("Service", "service", services.map((one) => [one.name, `${one.name} (${one[kind.open]})`]), wanted.service, (event) => search({ service: event.target.value, replicaID: undefined })),
      choice("State", "state", kind.states, wanted.state, (event) => search({ state: event.target.value })),
      wanted.replicaID ? h("p.field", {}, h("span.badge.info", {}, "of one replica"), " ", link(replicaAddress(wanted.replicaID), "Replica"), " ", button("Of all", () => search({ replicaID: undefined }))) : null));
    fill(entries, list.map((one) => {
      const id = one[kind.id];
      return h("li", { dataset: { id }, "aria-current": id === chosen ? "true" : null },
        kind.isOpen(one) ? h("input", { type: "checkbox", checked: selected.has(id), "aria-label": `Select ${id}`, onchange: (event) => { if (event.target.checked) { selected.add(id); } else { selected.delete(id); } drawBar(); } }) : h("span", {}),
        h("button.plain", { type: "button", onclick: () => { chosen = id; toAddress({ ...wanted, number: id }); show(id).then(() => detail.scrollIntoView({ block: "nearest" })); } },
          h("span.entry-title", {}, kind.stateOf(one), " ", h("bdi", {}, kind.who(one) || "a connected client"), " · ", time(kind.when(one))),
          h("span.entry-why", {}, kind.why(one)),
          h("small", {}, kind.title(one))));
    }));
    fill(pages,
      offset > 0 ? button("Newer", () => { offset = Math.max(0, offset - PAGE); trying(news, null, load); }, "button.second") : null,
      more ? button("Older", () => { offset += PAGE; trying(news, null, load); }, "button.second") : null);
    if (list.length === 0) {
      fill(entries, h("li.nothing", {}, empty(...(wanted.state === "open" ? kind.none : ["Nothing is like that.", "Choose another state or service."]))));
    }
    drawBar();
  };

  const drawBar = () => {
    const open = list.filter(kind.isOpen).map((one) => one[kind.id]);
    bar.hidden = open.length === 0;
    fill(bar,
      h("label.option", {}, h("input", { type: "checkbox", checked: open.length > 0 && open.every((id) => selected.has(id)), onchange: (event) => { selected.clear(); if (event.target.checked) { open.forEach((id) => selected.add(id)); } draw(); } }), "All of this page"),
      selected.size ? h("strong", { role: "status" }, `${number(selected.size)} selected`) : null,
      selected.size ? kind.several.map(([text, action, operation, danger, said]) => button(text, () => several(action, operation, danger, said), danger ? "button.danger.small" : "button.second.small")) : null);
  };

  /** Does something with all that are selected, one after the other, and says what became of each. */
  const several = async (action, operation, danger, said) => {
    const ids = [...selected];
    const answer = await question({
      title: `${action} ${count(ids.length, "entry", "entries")}?`,
      content: h("p", {}, said),
      action: `${action} ${number(ids.length)}`,
      danger,
      perform: async () => {
        const outcomes = [];
        for (const id of ids) {
          try {
            outcomes.push([id, await ofService(wanted.service, `${kind.resource}/${id}/${operation}`)]);
          } catch (error) {
            outcomes.push([id, { success: false, description: error.message }]);
          }
        }
        return outcomes;
      },
    });
    if (answer) {
      const failed = answer.filter(([, one]) => !one.success);
      selected.clear();
      chosen = null;
      drawn = null;
      await trying(h("div"), null, load);
      fill(news,
        answer.length > failed.length ? done(`${count(answer.length - failed.length, "entry", "entries")} done.`) : null,
        failed.length ? h("div.error", { role: "alert" }, h("p", {}, `${count(failed.length, "entry was", "entries were")} not`), h("ul", {}, failed.slice(0, 20).map(([id, one]) => h("li", {}, `${id}: ${one.description ?? one.result?.error?.description ?? "it was refused"}`)))) : null);
    }
  };

  const beginShow = latest();
  const show = async (id, { quietly = false } = {}) => {
    const isLast = beginShow();
    chosen = id;
    for (const entry of entries.querySelectorAll("li")) {
      mark(entry, Number(entry.dataset.id) === id);
    }
    const after = async (message) => {
      drawn = null;
      await trying(h("div"), null, load);
      fill(news, message);
      news.scrollIntoView({ block: "nearest" });
    };
    let write;
    try {
      write = await kind.detail(await ofService(wanted.service, `${kind.resource}/${id}`), wanted.service, after);
    } catch (error) {
      write = (place) => fill(place, failure(error));
    }
    // Somebody may have chosen another meanwhile, or be at work with this one: a form is open, or what they pressed is under way.
    const isAtWork = (quietly || id === drawn) && detail.querySelector(".at-work > *, .at-work[aria-busy]");
    if (isLast() && !isAtWork) {
      keepingFocus(detail, () => write(detail));
      drawn = id;
    }
  };

  fill(place, filter, news, h("div.books", {}, h("div", {}, bar, entries, pages), detail));
  await load();
  live(() => load({ quietly: true }));
}

/** Asks for what else is needed to show a conflict, and returns what writes it into a place. */
async function conflictDetail(one, service, after) {
  const layer = one.layer === null ? null : await layerOf(service, one.layer);
  return (place) => writeConflict(place, one, layer, service, after);
}

function writeConflict(place, one, layer, service, after) {
  const others = one.otherReplicaName ?? (one.otherOperation ? `${one.otherOperation} of a connected client` : "SQL or another program");
  const isOpen = one.restoredDate === null;
  fill(
    place,
    h("h2", {}, `Conflict ${one.conflictId}`),
    h("p", {}, h("strong", {}, h("bdi", {}, one.replicaName ?? one.replicaID)), ` (${one.operation}, `, time(one.foundDate), ") overwrote what ", h("strong", {}, h("bdi", {}, others)), " had changed, and what it had not seen."),
    actions(isOpen ? [
      button(one.server === null ? "Delete it again…" : "Put back theirs…", () => restore(one, service, after), "button"),
    ] : [badge("ok", `put back ${exact(one.restoredDate)}`)]),
    comparison(layer, [["Base", one.base, "it was not there", "as the device had seen it"], ["Theirs", one.server, "it was deleted", "what was overwritten"], ["Ours", one.client, "it was deleted", "what the device sent"]], new Set(one.fields)),
    facts([
      ["Feature", [h("code", {}, one.globalId), layer ? ` of ${layer.name} (${one.layer})` : ""]],
      ["Replica", link(replicaAddress(one.replicaID), one.replicaName ?? one.replicaID)],
      ["Upload", `${one.batchId}, generation ${number(one.serverGen)}`],
      ["Device had seen", `generation ${number(one.knownServerGen)}`], ["Theirs was", `generation ${number(one.otherServerGen)}`],
    ]),
  );
  drawShapes(place, layer, [["base", one.base], ["theirs", one.server], ["ours", one.client]]);
}

async function restore(one, service, after) {
  const answer = await question({
    title: "Put back what was overwritten?",
    content: h("p", {}, one.server === null ? "The feature is deleted again, as somebody else had done." : "The feature gets the values that somebody else had given it. What the device sent stays in the books, and every replica hears of the change."),
    action: "Put back",
    danger: true,
    perform: async () => {
      const tried = await ofService(service, `conflicts/${one.conflictId}/restore`);
      if (tried.changedSince) {
        return { changed: tried };
      }
      if (!tried.success) {
        throw new Error(tried.result?.error?.description ?? tried.description ?? "It was refused.");
      }
      return tried;
    },
  });
  if (answer?.changed) {
    const since = answer.changed.changedSince;
    const forced = await question({
      title: "It was changed since",
      content: h("p", {}, `Somebody changed the feature after that (${since.replicaName ?? since.operation ?? "SQL or another program"}, generation ${number(since.serverGen)}). Putting it back now would overwrite this as well.`),
      action: "Put back nevertheless",
      danger: true,
      perform: async () => {
        const tried = await ofService(service, `conflicts/${one.conflictId}/restore`, { force: true });
        if (!tried.success) {
          throw new Error(tried.result?.error?.description ?? "It was refused.");
        }
        return tried;
      },
    });
    return forced ? after(done("What was overwritten is back.")) : undefined;
  }
  return answer ? after(done("What was overwritten is back.")) : undefined;
}

/** The same for a refused edit. */
async function rejectedDetail(one, service, after) {
  const layer = one.layer === null ? null : await layerOf(service, one.layer);
  const stored = layer && one.globalId ? await storedOf(service, one, layer) : null;
  return (place) => writeRejected(place, one, [layer, stored], service, after);
}

function writeRejected(place, one, [layer, stored], service, after) {
  const isOpen = one.state === "open";
  const readable = one.feature !== null && typeof one.feature === "object";
  const named = new Set(readable ? Object.keys(one.feature.attributes ?? {}) : []);
  if (readable && one.feature.geometry) {
    named.add("geometry");
  }
  const correcting = h("div.at-work", { "aria-live": "polite" });
  fill(
    place,
    h("h2", {}, `Refused edit ${one.rejectedEditId}`),
    h("div.error", {}, h("p", {}, `Refused (${one.reason.code})`), h("p", {}, one.reason.description)),
    actions(isOpen ? [
      button("Apply as sent", (event) => trying(correcting, event.target, () => apply(one, service, undefined, after)), "button"),
      readable && layer && one.operation !== "delete" ? button("Correct…", () => correct(correcting, one, service, layer, after), "button.second") : null,
      button("Dismiss…", () => dismiss(one, service, after), "button.danger"),
    ] : [badge("ok", one.state), one.closedDate ? h("small", {}, ` ${exact(one.closedDate)}${one.closedBy ? `, by ${one.closedBy}` : ""}`) : null]),
    correcting,
    readable ? comparison(layer, [["Stored", stored, layer ? "it is not there" : "the layer is no longer published", "as it is now"], ["Refused", one.feature, "it was to be deleted", "what was sent"]], named) : h("pre", {}, String(one.feature)),
    facts([
      ["Feature", [one.globalId ? h("code", {}, one.globalId) : h("span.none", {}, "without global id"), layer ? ` of ${layer.name} (${one.layer})` : ""]],
      ["Sent by", one.replicaID ? link(replicaAddress(one.replicaID), one.replicaName ?? one.replicaID) : `a connected client (${one.sentBy})`],
      ["User", one.userName],
      ["Received", [time(one.receivedDate), one.timesReceived > 1 ? [`; ${count(one.timesReceived, "time")}, last `, time(one.lastReceivedDate)] : ""]],
    ]),
  );
  drawShapes(place, layer, [["stored", stored], ["refused", readable ? one.feature : null]]);
}

async function storedOf(service, one, layer) {
  try {
    const answer = await ofService(service, `${one.layer}/query`, { globalIds: one.globalId, outFields: "*", outSR: 4326 });
    const found = answer.features?.[0] ?? null;
    return found ? { ...found, geometry: found.geometry ? { ...found.geometry, spatialReference: { wkid: 4326 } } : undefined } : null;
  } catch (error) {
    console.info(`What is stored of ${layer.name} cannot be had: ${error.message}`);
    return null;
  }
}

async function apply(one, service, feature, after) {
  const answer = await ofService(service, `rejectedEdits/${one.rejectedEditId}/apply`, { feature });
  if (!answer.success) {
    throw new Error(`It was refused again: ${answer.result?.error?.description ?? "no reason was given"}`);
  }
  return after(done("The edit is applied; every replica hears of it with its next synchronization."));
}

async function dismiss(one, service, after) {
  const answer = await question({
    title: "Dismiss this edit?", content: h("p", {}, "Nobody will apply it any more. It stays in the books for about a year."), action: "Dismiss", danger: true,
    perform: () => ofService(service, `rejectedEdits/${one.rejectedEditId}/dismiss`),
  });
  return answer ? after(done("The edit is dismissed.")) : undefined;
}

/** A form with the edit's fields, each as its type wants it. */
function correct(place, one, service, layer, after) {
  const attributes = one.feature.attributes ?? {};
  const known = new Map(layer.fields.map((field) => [field.name.toLowerCase(), field]));
  const trouble = h("div", { "aria-live": "polite" });
  const editable = (field) => field.editable && ![layer.objectIdField, layer.globalIdField].includes(field.name);
  const names = [...new Set([...Object.keys(attributes), ...layer.fields.filter((field) => one.operation === "add" && editable(field)).map((field) => field.name)])];
  const inputs = names.map((name) => {
    const field = known.get(name.toLowerCase());
    const value = attributes[name];
    const id = `field-${name}`;
    if (!field) {
      return { name, value: () => value, row: row(id, name, h("output", { id }, String(value)), "The layer has no such field; the value stays in the receipt.") };
    }
    if (!editable(field)) {
      return { name, value: () => value, row: row(id, field.alias ?? name, h("output", { id }, String(value ?? "")), "") };
    }
    const input = inputOf(field, value, id);
    return { name, value: () => readInput(field, input, value), row: row(id, field.alias ?? name, input, noteOf(field)) };
  });
  const form = h("form.correct", {
    onsubmit: (event) => {
      event.preventDefault();
      trying(trouble, form.querySelector("button[type=submit]"), () => {
        const corrected = {};
        for (const { name, value } of inputs) {
          const read = value();
          if (read !== undefined) {
            corrected[name] = read;
          }
        }
        return apply(one, service, { ...one.feature, attributes: corrected }, after);
      });
    },
  }, h("h3", {}, "Correct and apply"), inputs.map((input) => input.row), trouble, h("div.buttons", {}, h("button", { type: "submit" }, "Apply corrected"), button("Cancel", () => fill(place), "button.second")));
  fill(place, form);
  form.querySelector("input, select")?.focus();
}

function row(id, name, input, note) {
  return h("div.row", {}, h("label", { for: id }, name), h("div", {}, input, note ? h("small", {}, note) : null));
}

const INTEGERS = ["esriFieldTypeInteger", "esriFieldTypeSmallInteger", "esriFieldTypeBigInteger"];
const NUMBERS = [...INTEGERS, "esriFieldTypeDouble", "esriFieldTypeSingle"];

function inputOf(field, value, id) {
  const codes = field.domain?.codedValues;
  if (codes) {
    const options = codes.map(({ code, name }) => h("option", { value: JSON.stringify(code), selected: code === value }, `${name} (${code})`));
    const isKnown = codes.some(({ code }) => code === value);
    return h("select", { id }, field.nullable === false ? null : h("option", { value: "null", selected: value === null || value === undefined }, ""), isKnown || value === null || value === undefined ? null : h("option", { value: JSON.stringify(value), selected: true }, `${value}: not in the domain`), options);
  }
  if (NUMBERS.includes(field.type)) {
    const [min, max] = field.domain?.range ?? [];
    // What was refused may be no number; it is shown, and only a number is taken.
    const isNumber = value === null || value === undefined || Number.isFinite(Number(value));
    return h("input", { id, type: isNumber ? "number" : "text", step: INTEGERS.includes(field.type) ? "1" : "any", min, max, value: value ?? "" });
  }
  if (field.type === "esriFieldTypeDate" && Number.isFinite(value)) {
    return h("input", { id, type: "text", value: new Date(value).toISOString().replace(".000Z", "Z"), placeholder: "2026-01-31T12:00:00Z" });
  }
  return h("input", { id, type: "text", value: value ?? "", placeholder: field.type === "esriFieldTypeDate" ? "2026-01-31T12:00:00Z" : null });
}

function noteOf(field) {
  const range = field.domain?.range;
  return [field.type.replace("esriFieldType", ""), field.type === "esriFieldTypeString" && field.length < 1_000_000 ? `at most ${field.length} characters` : null, range ? `${range[0]} to ${range[1]}` : null, field.nullable === false ? "needed" : null].filter(Boolean).join(", ");
}

function readInput(field, input, before) {
  if (input.tagName === "SELECT") {
    return JSON.parse(input.value);
  }
  const text = input.value;
  if (text === "") {
    // Empty text that was empty text stays it.
    return before === "" ? "" : before === undefined ? undefined : null;
  }
  if (NUMBERS.includes(field.type)) {
    const read = Number(text);
    if (!Number.isFinite(read)) {
      throw new Error(`${field.alias ?? field.name}: '${text}' is not a number.`);
    }
    return read;
  }
  return text;
}

function actions(buttons) {
  return h("div.buttons", { dataset: { id: "actions" } }, buttons);
}

/** Versions of a feature beside each other, with what differs marked. */
function comparison(layer, versions, marked) {
  const fields = new Map((layer?.fields ?? []).map((field) => [field.name.toLowerCase(), field]));
  const names = [];
  for (const [, version] of versions) {
    for (const name of Object.keys(version?.attributes ?? {})) {
      if (!names.some((known) => known.toLowerCase() === name.toLowerCase())) {
        names.push(name);
      }
    }
  }
  const of = (version, name) => Object.entries(version?.attributes ?? {}).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
  const isMarked = [...marked].map((name) => name.toLowerCase());
  const rows = names.map((name) => {
    const field = fields.get(name.toLowerCase());
    const values = versions.map(([, version]) => of(version, name));
    const given = values.filter((value) => value !== undefined);
    const differs = given.some((value) => JSON.stringify(value) !== JSON.stringify(given[0])) || (isMarked.includes(name.toLowerCase()) && given.length < values.length && given.length > 0 && versions.every(([, version]) => version));
    return h("tr", { class: differs ? "differs" : null }, h("th", { scope: "row" }, field?.alias ?? name, differs ? h("span.differs-mark", { title: "differs" }, " ≠") : null),
      values.map((value) => h("td.long", {}, shown(value, field))));
  });
  const shapes = versions.map(([, version]) => version?.geometry);
  if (shapes.some(Boolean)) {
    const texts = shapes.map((shape) => (shape ? JSON.stringify({ ...shape, spatialReference: undefined }) : undefined));
    const given = texts.filter(Boolean);
    const differs = given.some((text) => text !== given[0]);
    rows.push(h("tr", { class: differs ? "differs" : null }, h("th", { scope: "row" }, "geometry", differs ? h("span.differs-mark", { title: "differs" }, " ≠") : null), shapes.map((shape, index) => h("td.long", {}, shape ? brief(shape, texts[index]) : shown(undefined)))));
  }
  const heads = versions.map(([title, version, absent, meaning]) => h("th", { scope: "col", dataset: { label: version ? title : `${title}: ${absent}` } }, title, version ? h("small.of.meaning", {}, meaning) : h("small.of", {}, absent)));
  const compared = table("Versions", ["Field", ...heads], rows);
  compared.classList.add("compare");
  return [
    compared,
    h("div.map.compare-map", { hidden: true, "aria-label": "Where the versions are" }),
    h("p.map-note", {}),
  ];
}

function brief(shape, text) {
  if (Number.isFinite(shape.x)) {
    return `point ${Number(shape.x.toFixed(6))}, ${Number(shape.y.toFixed(6))}`;
  }
  const parts = shape.rings ?? shape.paths ?? (shape.points ? [shape.points] : null);
  return parts ? `${shape.rings ? "polygon" : shape.paths ? "line" : "points"}, ${count(parts.flat().length, "position")}` : text.slice(0, 80);
}

function shown(value, field) {
  if (value === undefined) {
    return h("span.none", {}, "not named");
  }
  if (value === null) {
    return h("span.none", {}, "null");
  }
  if (field?.type === "esriFieldTypeDate" && Number.isFinite(value)) {
    return [exact(value)];
  }
  const code = field?.domain?.codedValues?.find((one) => one.code === value);
  return code ? `${code.name} (${value})` : typeof value === "object" ? JSON.stringify(value) : value === "" ? h("span.none", {}, "empty text") : String(value);
}

/** Draws the versions of a feature, as far as they can be brought into degrees here. */
function drawShapes(place, layer, versions) {
  const map = place.querySelector(".compare-map");
  const note = place.querySelector(".compare-map + .map-note");
  if (!map) {
    return;
  }
  const native = layer?.extent?.spatialReference ?? layer?.sourceSpatialReference;
  const features = [];
  let unknown;
  for (const [name, version] of versions) {
    if (version?.geometry) {
      const reference = version.geometry.spatialReference ?? native;
      const geometry = inDegrees(version.geometry, reference);
      if (geometry) {
        features.push({ id: name, geometry, label: name, attributes: { version: name } });
      } else {
        unknown = reference?.latestWkid ?? reference?.wkid ?? "unknown";
      }
    }
  }
  if (features.length) {
    map.hidden = false;
    const colors = { base: [120, 130, 140], stored: [10, 108, 184], theirs: [10, 108, 184], ours: [194, 65, 12], refused: [194, 65, 12] };
    const symbol = (rgb) => {
      const outline = { color: [...rgb, 255], width: 2 };
      return { point: { type: "esriSMS", size: 9, color: [...rgb, 220], outline: { color: [255, 255, 255, 255], width: 1 } }, line: { type: "esriSLS", color: [...rgb, 255], width: 2.5 }, area: { type: "esriSFS", color: [...rgb, 70], outline } };
    };
    const kind = features[0].geometry.rings ? "area" : features[0].geometry.paths ? "line" : "point";
    showMap(map, { features, renderer: { type: "uniqueValue", field1: "version", uniqueValueInfos: features.map(({ id }) => ({ value: id, symbol: symbol(colors[id] ?? [10, 108, 184])[kind] })) } });
    fill(note, "Blue is what was stored, orange what the device sent", versions.length > 2 ? ", grey what it had seen." : ".");
  } else if (unknown) {
    fill(note, `The geometries are in spatial reference ${unknown}, which this page cannot draw.`);
  }
}

/** A geometry in longitudes and latitudes; null if it is in a reference that this page does not know. */
function inDegrees(geometry, reference) {
  const wkid = reference?.latestWkid ?? reference?.wkid;
  const place = { 4326: (position) => position, 3857: fromMercator, 102100: fromMercator }[wkid];
  if (!place) {
    return null;
  }
  if (Number.isFinite(geometry.x)) {
    const [x, y] = place([geometry.x, geometry.y]);
    return { x, y };
  }
  const all = (parts) => parts?.map((part) => part.map(place));
  return { rings: all(geometry.rings), paths: all(geometry.paths), points: geometry.points?.map(place) };
}

function fromMercator([x, y]) {
  const radius = 6_378_137;
  return [(x / radius) * (180 / Math.PI), (2 * Math.atan(Math.exp(y / radius)) - Math.PI / 2) * (180 / Math.PI)];
}
