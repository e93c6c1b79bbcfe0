// The tables of the database, publishing them as layers, and ending that.

import {
  admin, badge, bytes, button, choice, count, debounced, done, empty, failure, field, fill, h, inAddress, latest, link, number, question, relative, replicaAddress,
  serviceAddress, shorten, table, toAddress, trying,
} from "./console-kit.js";

const PAGE = 100;

export async function publish(place) {
  const wanted = { published: "false", resultOffset: "0", ...inAddress() };
  const news = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const pages = h("div.buttons.pages", {});
  const { services } = await admin("health");
  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const { tables, exceededTransferLimit } = await admin("tables", { text: wanted.text || undefined, published: wanted.published || undefined, resultOffset: wanted.resultOffset, resultRecordCount: PAGE });
    if (!isLast()) {
      return;
    }
    const from = Number(wanted.resultOffset);
    fill(list, tables.length ? table("Tables of the database", ["Table", "What it is", h("th.number", { scope: "col" }, "Rows"), "Geometry", "Publishing", ""], tables.map(row))
      : wanted.text || wanted.published !== "false" ? empty("No table is like that.", "Search for another name, or choose other tables.")
        : empty("Every table is published.", ["Make another with SQL, or bring a file: ", h("code", {}, "syncline import FILE --service NAME"), "."]));
    fill(pages, from > 0 ? button("Previous", () => turn(-PAGE), "button.second") : null, exceededTransferLimit ? button("Next", () => turn(PAGE), "button.second") : null);
  };
  const search = (changes) => {
    Object.assign(wanted, { resultOffset: "0" }, changes);
    toAddress(wanted);
    return trying(news, null, load);
  };
  const turn = (by) => search({ resultOffset: String(Math.max(0, Number(wanted.resultOffset) + by)) });
  const row = (one) => h("tr", { dataset: { id: `${one.schema}.${one.table}` } },
    h("th", { scope: "row" }, h("bdi", {}, one.table), h("small.of", {}, one.schema)),
    h("td", {}, one.kind),
    h("td.number", {}, one.rows === null ? h("span.none", {}, "unknown") : `≈ ${number(one.rows)}`),
    h("td", {}, one.geometry ?? h("span.none", {}, "none")),
    h("td.long", {}, one.service !== null ? [badge("ok", "published"), " as ", link(`${serviceAddress(one.service)}/${one.layerId}`, `${one.service}, layer ${one.layerId}`)]
      : one.problem !== null ? [badge("warning", "not possible"), " ", one.problem]
        : one.adds.length ? `adds ${one.adds.join(", ")}` : "adds nothing but its triggers"),
    h("td", {}, one.service !== null ? button("Unpublish…", () => end(one), "button.danger.small", { "aria-label": `Unpublish ${one.schema}.${one.table}` }) : one.publishable ? button("Publish…", () => ask(one), "button.second.small", { "aria-label": `Publish ${one.schema}.${one.table}` }) : ""));
  const ask = async (one) => {
    const answer = await publication(one, services);
    if (answer) {
      if (!services.some((service) => service.name === answer.service)) {
        services.push({ name: answer.service });
      }
      await trying(h("div"), null, load);
      const service = encodeURIComponent(answer.service);
      fill(news, h("div.done", { role: "status" }, h("p", {}, h("bdi", {}, `${one.schema}.${one.table}`), " is published as ", link(`${serviceAddress(answer.service)}/${answer.layerId}`, `layer ${answer.layerId} of ${answer.service}`), ". See to ", link(`/arcgis/console/grants?service=${service}`, "who may use it"), "."),
        answer.notices.length ? h("ul", {}, answer.notices.map((notice) => h("li", {}, notice))) : null));
      news.scrollIntoView({ block: "nearest" });
    }
  };
  const end = async (one) => {
    const answer = await trying(news, null, () => unpublication(one));
    if (answer) {
      await trying(h("div"), null, load);
      fill(news, done(h("bdi", {}, `${one.schema}.${one.table}`), " is no longer published; its rows stay as they are.", answer.replicaCount ? ` ${count(answer.replicaCount, "replica was", "replicas were")} unregistered.` : ""));
      news.scrollIntoView({ block: "nearest" });
    }
  };
  const text = h("input", { type: "search", id: "text", name: "text", value: wanted.text ?? "", placeholder: "schema.table", oninput: debounced(() => search({ text: text.value.trim() })) });
  fill(place,
    h("p", {}, "A published table stays where it is. Its changes are recorded by triggers, whoever makes them, so that replicas hear of them; other programs go on using it."),
    h("form.filter", { role: "search", onsubmit: (event) => event.preventDefault() },
      h("p.field.wider", {}, h("label", { for: "text" }, "Search"), text),
      choice("Tables", "published", [["false", "not published"], ["true", "published"], ["", "all"]], wanted.published, (event) => search({ published: event.target.value }))),
    news, list, pages);
  await load();
}

/** Asks as what a table is published, shows what that does to it, and does it. */
function publication(one, services) {
  const service = h("input", { type: "text", id: "publish-service", name: "service", list: "services", required: true, maxlength: "120", autocomplete: "off", spellcheck: "false", value: services[0]?.name ?? one.schema });
  const name = h("input", { type: "text", id: "publish-name", name: "layerName", maxlength: "200", autocomplete: "off", placeholder: one.table });
  const attachments = h("input", { type: "checkbox", id: "publish-attachments", name: "attachments" });
  const everybody = h("select", { id: "publish-anonymous", name: "anonymous" }, [["", "as the service, or the settings, say"], ["none", "nothing"], ["view", "view"], ["edit", "edit"]].map(([value, text]) => h("option", { value }, text)));
  const told = h("div.told-before", { "aria-live": "polite" });
  const parameters = () => ({ schema: one.schema, table: one.table, service: service.value.trim(), layerName: name.value.trim() || undefined, attachments: attachments.checked || undefined, anonymous: everybody.value || undefined });
  const begin = latest();
  const preview = async () => {
    const isLast = begin();
    let shown;
    try {
      const { notices, statements } = await admin("tables/publish", { ...parameters(), preview: true });
      shown = [
        notices.length ? h("ul", {}, notices.map((notice) => h("li", {}, notice))) : h("p", {}, "Nothing is missing in the table."),
        h("details", {}, h("summary", {}, `The SQL that will run (${count(statements.length, "statement")})`), h("pre", { tabindex: "0" }, statements.map((statement) => `${statement};\n`).join("\n"))),
      ];
    } catch (error) {
      shown = failure(error);
    }
    if (isLast()) {
      fill(told, shown);
    }
  };
  service.addEventListener("input", debounced(() => service.value.trim() && preview()));
  attachments.addEventListener("change", preview);
  preview();
  return question({
    title: `Publish ${one.schema}.${one.table}`,
    content: [
      field("Service", service, "An existing one, or the name of a new one."), h("datalist", { id: "services" }, services.map((known) => h("option", { value: known.name }))),
      field("Name of the layer", name), field("Everybody may", everybody, "Without signing in, with the whole service."),
      h("label.option", { for: "publish-attachments" }, attachments, "Its features may have attachments"),
      h("h3", {}, "What is done to the table"), told,
    ],
    action: "Publish",
    perform: () => admin("tables/publish", parameters()),
  });
}

/** Shows what is lost with a layer, asks, and ends its publication. */
async function unpublication(one) {
  const of = { service: one.service, layerId: one.layerId };
  const told = await admin("tables/unpublish", { ...of, preview: true });
  const isSure = h("input", { type: "checkbox", id: "unpublish-force", name: "force", required: true });
  return question({
    title: `Unpublish layer ${one.layerId} of ${one.service}?`,
    content: [
      h("h3", {}, "What is lost"),
      h("ul", {}, told.lost.map((said) => h("li", {}, said))),
      told.openRejectedEdits ? h("p", {}, link(`/arcgis/console/rejected?service=${encodeURIComponent(one.service)}`, "See to the refused edits first", { target: "_blank" })) : null,
      told.openConflicts ? h("p", {}, link(`/arcgis/console/conflicts?service=${encodeURIComponent(one.service)}`, "See to the conflicts first", { target: "_blank" })) : null,
      told.needsForce ? h("label.option", { for: "unpublish-force" }, isSure, "All of this may be lost") : null,
      told.replicas.length ? [h("h3", {}, "Replicas that end"), h("ul.consequences", {}, told.replicas.map(replicaThatEnds)), told.exceededTransferLimit ? h("p", {}, `and ${number(told.replicaCount - told.replicas.length)} more`) : null] : null,
      h("h3", {}, "What stays"),
      h("ul", {}, told.kept.map((said) => h("li", {}, said))),
    ],
    action: "Unpublish",
    danger: true,
    perform: () => admin("tables/unpublish", { ...of, force: told.needsForce || undefined }),
  });
}

function replicaThatEnds(one) {
  const behind = one.changesBehind ? `${one.moreChangesBehind ? "> " : ""}${count(one.changesBehind, "change")} (≈ ${bytes(one.bytesBehind)}) behind` : "not behind";
  return h("li", {}, link(replicaAddress(one.replicaID), h("bdi", {}, shorten(one.replicaName)), { target: "_blank" }), " of ", one.replicaOwner ? h("bdi", {}, one.replicaOwner) : "nobody who signed in",
    `: ${behind}, last sync ${one.neverSynchronized ? "never" : relative(one.lastSyncDate)}`,
    one.otherLayers.length ? [". It holds ", h("bdi", {}, one.otherLayers.join(", ")), ", too"] : null, ".");
}
