// All replicas: who has what, since when, how far behind; and what is done with several at once.

import {
  admin, badge, bytes, button, choice, count, debounced, done, empty, failure, fill, h, inAddress, keepingFocus, latest, link, live, number, question,
  relative, replicaAddress, shorten, stateOf, time, toAddress, trying,
} from "./console-kit.js";
import { extentOf, showMap } from "./map.js";

/** How many rows a page has. */
const PAGE = 100;

/** The most replicas that the server takes at a time. */
const MOST_AT_ONCE = 1000;

const STATES = [
  ["", "any state"], ["live", "live"], ["idle", "idle"], ["expired", "expired"], ["neverSynchronized", "never came back"], ["failing", "last sync failed"],
  ["needsSnapshot", "needs a snapshot"], ["openEntries", "with refused edits or conflicts"], ["busy", "synchronizing now"], ["ownExpiry", "own rule of expiry"],
  ["foreign", "foreign"],
];

const COLUMNS = [
  ["replicaName", "Replica"], ["state", "State"], ["lastSyncDate", "Last sync"], ["changesBehind", "Behind"], ["historyKeptAlone", "Keeps alone"],
  ["openRejectedEdits", "Refused"], ["openConflicts", "Conflicts"], ["replicaOwner", "Owner"], ["expiryDate", "Expires"],
];

/** What else can be ordered by, and on a phone anything. */
const ORDERS = [
  ["lastSyncDate", "longest not synchronized"], ["lastSyncDate DESC", "last synchronized"], ["changesBehind DESC", "furthest behind"],
  ["historyKeptAlone DESC", "keeps most history"], ["openRejectedEdits DESC", "most refused edits"], ["openConflicts DESC", "most conflicts"],
  ["replicaName", "name"], ["replicaOwner", "owner"], ["client", "client"], ["service", "service"], ["state", "state"], ["lastOutcome", "last outcome"],
  ["creationDate DESC", "newest"], ["creationDate", "oldest"], ["expiryDate", "expires first"],
];

const NUMBERS = ["changesBehind", "historyKeptAlone", "openRejectedEdits", "openConflicts"];

export async function replicas(place) {
  const { services } = await admin("health");
  const wanted = { orderByFields: "lastSyncDate", resultOffset: "0", ...inAddress() };
  const selected = new Map();
  let shown;
  let map;

  const news = h("div", { "aria-live": "polite" });
  const said = h("p.note", { role: "status" });
  const rows = h("tbody", {});
  const heads = h("tr", {});
  const mapPlace = h("div.map.console-map", { hidden: true, "aria-label": "Areas of the replicas of this page" });
  const bar = h("div.selection", { hidden: true });
  const pages = h("div.buttons.pages", {});
  const body = h("div", {});

  const parameters = () => {
    const { text, service, state, owner, idleDays, orderByFields } = wanted;
    return { text, service, state, owner, idleDays, orderByFields };
  };

  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const answer = await admin("replicas", { ...parameters(), resultOffset: wanted.resultOffset, resultRecordCount: PAGE });
    if (!isLast()) {
      return undefined;
    }
    shown = answer;
    if (shown.replicas.length === 0 && Number(wanted.resultOffset) > 0) {
      wanted.resultOffset = "0";
      return load();
    }
    draw();
    return undefined;
  };

  /** Asks anew for what is wanted from the beginning. */
  const search = (changes) => {
    Object.assign(wanted, { resultOffset: "0" }, changes);
    toAddress(wanted);
    return trying(news, null, load);
  };

  const draw = () => keepingFocus(body, drawAll);

  const drawAll = () => {
    fill(heads, h("th.check", { scope: "col" }, h("input", {
      type: "checkbox", id: "select-all", "aria-label": "Select all of this page", checked: shown.replicas.length > 0 && shown.replicas.every((one) => selected.has(one.replicaID)),
      onchange: (event) => {
        for (const one of shown.replicas) {
          mark(one, event.target.checked);
        }
        draw();
      },
    })), COLUMNS.map(head));
    fill(rows, shown.replicas.map(row));
    const from = Number(wanted.resultOffset);
    fill(said, shown.count === shown.countAll ? count(shown.count, "replica") : `${number(shown.count)} of ${count(shown.countAll, "replica")}`,
      shown.count > PAGE ? `, ${number(from + 1)} to ${number(from + shown.replicas.length)} shown` : "");
    fill(pages,
      from > 0 ? button("Previous", () => turn(-PAGE), "button.second") : null,
      shown.exceededTransferLimit ? button("Next", () => turn(PAGE), "button.second") : null);
    body.hidden = shown.count === 0;
    nothing.hidden = shown.count > 0;
    if (shown.count === 0) {
      fill(nothing, shown.countAll === 0
        ? empty("There are no replicas.", "A replica is registered when a client takes data offline (createReplica).")
        : empty("No replica is like that.", ["Widen the search, or ", button("show all", () => { location.href = location.pathname; }), "."]));
    }
    drawSelection();
    drawMap();
  };

  const turn = (by) => search({ resultOffset: String(Math.max(0, Number(wanted.resultOffset) + by)) });

  const head = ([column, name]) => {
    const [by, way] = wanted.orderByFields.split(" ");
    const here = by === column;
    const descending = way?.toUpperCase() === "DESC";
    // The worst is looked for first.
    const next = here ? !descending : NUMBERS.includes(column);
    return h(
      NUMBERS.includes(column) ? "th.number" : "th",
      { scope: "col", "aria-sort": here ? (descending ? "descending" : "ascending") : null },
      h("button.sort", { type: "button", dataset: { column }, onclick: () => search({ orderByFields: `${column}${next ? " DESC" : ""}` }) },
        name, h("span", { "aria-hidden": "true" }, here ? (descending ? " ▼" : " ▲") : "")),
    );
  };

  const row = (one) => {
    const isSelected = selected.has(one.replicaID);
    const alone = one.historyKeptAlone;
    const expiry = one.unregisterDate ?? one.expiryDate;
    return h(
      "tr",
      { "aria-selected": isSelected ? "true" : null, dataset: { id: one.replicaID } },
      h("td.check", {}, h("input", {
        type: "checkbox", checked: isSelected, "aria-label": `Select ${one.replicaName}`,
        onchange: (event) => { mark(one, event.target.checked); draw(); },
      })),
      h("th", { scope: "row" }, link(replicaAddress(one.replicaID), h("bdi", {}, shorten(one.replicaName))), h("small.of", {}, one.service)),
      h("td.states", {}, stateOf(one), one.lastOutcome && one.lastOutcome !== "completed" ? [" ", badge(one.lastOutcome)] : null),
      h("td", { dataset: { label: "Last sync" } }, one.neverSynchronized ? h("span.none", {}, "never; made ", time(one.creationDate)) : time(one.lastSyncDate), h("small.of.client", { title: one.client }, shorten(one.client || "client unknown", 26))),
      h("td.number", { title: `${number(one.generationsBehind)} generations`, dataset: { label: "Behind" } }, one.moreChangesBehind ? "> " : "", number(one.changesBehind), one.changesBehind ? h("small.of", {}, `≈ ${bytes(one.bytesBehind)}`) : null),
      h("td.number", { dataset: { label: "Keeps alone" } }, alone.changes ? [number(alone.changes), h("small.of", {}, `≈ ${bytes(alone.bytes)}`)] : ""),
      h("td.number", { dataset: { label: "Refused edits" } }, one.openRejectedEdits ? link(`/arcgis/console/rejected?service=${encodeURIComponent(one.service)}&replicaID=${one.replicaID}`, number(one.openRejectedEdits)) : ""),
      h("td.number", { dataset: { label: "Conflicts" } }, one.openConflicts ? link(`/arcgis/console/conflicts?service=${encodeURIComponent(one.service)}&replicaID=${one.replicaID}`, number(one.openConflicts)) : ""),
      h("td", { dataset: { label: "Owner" } }, one.replicaOwner ? h("bdi", {}, one.replicaOwner) : h("span.none", {}, "anonymous")),
      h("td", { dataset: { label: "Expires" } }, expiry ? [one.unregisterDate ? "goes " : "", time(expiry)] : h("span.none", {}, "never"), one.ownExpireDays !== null ? h("small.of", {}, "own rule") : null),
    );
  };

  const mark = (one, on) => (on ? selected.set(one.replicaID, one.replicaName) : selected.delete(one.replicaID));

  const drawSelection = () => {
    bar.hidden = selected.size === 0;
    fill(
      bar,
      h("strong", { role: "status" }, `${count(selected.size, "replica")} selected`),
      shown.count > shown.replicas.length && selected.size < Math.min(shown.count, MOST_AT_ONCE)
        ? button(`Select all ${number(Math.min(shown.count, MOST_AT_ONCE))} found`, selectAll) : null,
      button("Expiry…", () => expire([...selected.keys()], after), "button.second.small"),
      button("Unregister…", () => unregister([...selected.keys()], after), "button.danger.small"),
      button("Clear", () => { selected.clear(); draw(); }),
    );
  };

  const selectAll = () => trying(news, null, async () => {
    const { replicas } = await admin("replicas", { ...parameters(), resultRecordCount: MOST_AT_ONCE });
    for (const one of replicas) {
      selected.set(one.replicaID, one.replicaName);
    }
    draw();
  });

  /** What was done is said, and the list is as it is now. */
  const after = async (message, gone = []) => {
    for (const id of gone) {
      selected.delete(id);
    }
    await load();
    fill(news, message);
  };

  const drawMap = () => {
    if (mapPlace.hidden) {
      return;
    }
    const features = shown.replicas.filter((one) => extentOf(one.extent)).map((one) => ({ id: one.replicaID, geometry: rectangle(one.extent), label: `${one.replicaName} (${one.service})` }));
    if (map) {
      map.setFeatures(features);
      map.fit();
    } else {
      map = showMap(mapPlace, { features, onSelect: (id) => {
        const found = rows.querySelector(`tr[data-id="${id}"]`);
        for (const one of rows.querySelectorAll("tr.chosen")) {
          one.classList.remove("chosen");
        }
        found?.classList.add("chosen");
        found?.scrollIntoView({ block: "nearest" });
      } });
    }
  };
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a, input, button")) {
      for (const one of rows.querySelectorAll("tr.chosen")) {
        one.classList.remove("chosen");
      }
      row.classList.add("chosen");
      map?.select(row.dataset.id);
    }
  });

  const text = h("input", { type: "search", id: "text", name: "text", value: wanted.text ?? "", placeholder: "name, owner, client, id", oninput: debounced(() => search({ text: text.value.trim() })) });
  const idle = h("input", { type: "number", id: "idle", name: "idleDays", min: "0", max: "36500", value: wanted.idleDays ?? "", placeholder: "days", oninput: debounced(() => search({ idleDays: idle.value })) });
  const mapButton = button("Show map", () => {
    mapPlace.hidden = !mapPlace.hidden;
    mapButton.textContent = mapPlace.hidden ? "Show map" : "Hide map";
    mapButton.setAttribute("aria-expanded", String(!mapPlace.hidden));
    drawMap();
  }, "button.second", { "aria-expanded": "false" });
  const nothing = h("div", { hidden: true });
  fill(
    body,
    bar,
    h("div.wide.tall-list", { tabindex: "0", role: "region", "aria-label": "Replicas" }, h("table.replicas", {}, h("thead", {}, heads), rows)),
    pages,
  );
  fill(
    place,
    h("form.filter", { role: "search", onsubmit: (event) => event.preventDefault() },
      h("p.field.wider", {}, h("label", { for: "text" }, "Search"), text),
      choice("Service", "service", [["", "all services"], ...services.map((one) => [one.name, one.name])], wanted.service ?? "", (event) => search({ service: event.target.value })),
      choice("State", "state", STATES, wanted.state ?? "", (event) => search({ state: event.target.value })),
      choice("Order", "order", ORDERS.some(([order]) => order === wanted.orderByFields) ? ORDERS : [[wanted.orderByFields, "as the table"], ...ORDERS], wanted.orderByFields, (event) => search({ orderByFields: event.target.value })),
      h("p.field.narrow", {}, h("label", { for: "idle" }, "Idle for at least"), idle),
      h("p.field", {}, mapButton)),
    news, mapPlace, said, body, nothing,
  );
  await load();
  live(load);
}

function rectangle({ xmin, ymin, xmax, ymax }) {
  // A point would be too small to be seen as an area.
  const pad = Math.max(0, 0.0005 - Math.max(xmax - xmin, ymax - ymin));
  const [west, south, east, north] = [xmin - pad, ymin - pad, xmax + pad, ymax + pad];
  return { rings: [[[west, south], [west, north], [east, north], [east, south], [west, south]]] };
}

/** Unregisters replicas, after it was shown what becomes of them. `after` gets a message, and the ids that are gone. */
export async function unregister(ids, after) {
  let preview;
  try {
    preview = await admin("replicas/unregister", { replicaIDs: ids.join(","), preview: true });
  } catch (error) {
    return after(failure(error));
  }
  const { replicas, unknown, histories } = preview;
  const content = [
    unknown.length ? h("p", {}, `${count(unknown.length, "replica")} of the selection are gone already.`) : null,
    replicas.some((one) => one.busy) ? h("p.hint", {}, "Some are synchronizing right now; that ends first.") : null,
    histories.map((one) => {
      const freed = one.noLongerNeeded;
      const soon = one.forgottenByNextPruning;
      return h("p.freed", {}, h("strong", {}, one.service), ": ",
        freed.changes ? `${count(freed.changes, "change")} (≈ ${bytes(freed.bytes)}) of history are needed by nobody any more` : "no history becomes free",
        freed.changes ? (soon.changes ? `; ${number(soon.changes)} of them (≈ ${bytes(soon.bytes)}) go with the next pruning` : "; they are young and stay until they are old enough") : null,
        one.thenHeldBy ? [". Then ", h("bdi", {}, one.thenHeldBy.replicaName), " holds the history."] : ". Then no replica holds history.");
    }),
    h("ul.consequences", {}, replicas.slice(0, 50).map((one) => h("li", {}, h("strong", {}, h("bdi", {}, shorten(one.replicaName))), ` (${one.service}, last sync ${one.neverSynchronized ? "never" : relative(one.lastSyncDate)})`,
      h("ul", {}, one.consequences.map((said) => h("li", {}, said)))))),
    replicas.length > 50 ? h("p", {}, `and ${number(replicas.length - 50)} more`) : null,
  ];
  const answer = await question({
    title: `Unregister ${count(replicas.length, "replica")}?`,
    content,
    action: replicas.length ? `Unregister ${count(replicas.length, "replica")}` : undefined,
    danger: true,
    perform: () => admin("replicas/unregister", { replicaIDs: replicas.map((one) => one.replicaID).join(",") }),
  });
  if (!answer) {
    return undefined;
  }
  const gone = answer.results.filter((one) => one.success).map((one) => one.replicaID);
  const failed = answer.results.filter((one) => !one.success);
  return after([
    gone.length ? done(`${count(gone.length, "replica was", "replicas were")} unregistered.`) : null,
    failed.length ? h("div.error", { role: "alert" }, h("p", {}, `${count(failed.length, "replica was", "replicas were")} not unregistered`), h("ul", {}, failed.map((one) => h("li", {}, `${one.replicaID}: ${one.error.message} ${one.error.details.join(" ")}`)))) : null,
  ], gone);
}

/** Asks for a rule of expiry, and sets it. */
export async function expire(ids, after) {
  const days = h("input", { type: "number", id: "days", name: "days", min: "1", max: "36500", value: "90" });
  const option = (value, text, checked) => h("label.option", {}, h("input", { type: "radio", name: "rule", value, checked }), text);
  const form = h("form.rule", { onsubmit: (event) => event.preventDefault() },
    h("p", {}, option("never", "Never expire", true)),
    h("p", {}, option("days", "Expire after"), " ", days, " ", h("label", { for: "days" }, "days without a synchronization")),
    h("p", {}, option("default", "As the service, or the settings, say")));
  days.addEventListener("focus", () => { form.elements.rule.value = "days"; });
  const rule = () => (form.elements.rule.value === "days" ? days.value : form.elements.rule.value);
  const answer = await question({
    title: `When ${ids.length === 1 ? "it expires" : `${count(ids.length, "replica")} expire`}`,
    content: [h("p", {}, "A replica that has expired keeps its history for some days, and is unregistered then. One that expired already and would not by the new rule lives again."), form],
    action: "Set",
    perform: () => admin("replicas/expire", { replicaIDs: ids.join(","), days: rule() }),
  });
  return answer ? after(done(`The rule of ${count(ids.length, "replica")} was set.`)) : undefined;
}

export { rectangle };
