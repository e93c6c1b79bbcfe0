// One replica: what it holds, what became of its synchronizations, and what can be put right.

import {
  admin, badge, bytes, button, choice, count, done, empty, exact, facts, failure, fill, h, keepingFocus, link, live, number, ofService, question, serviceAddress, stateOf, table,
  time, trying,
} from "./console-kit.js";
import { drawn, timelinePicture } from "./console-drawing.js";
import { expire, rectangle, unregister } from "./console-replicas.js";
import { extentOf, showMap } from "./map.js";

const PAGE = 50;

export async function replica(place, id) {
  const news = h("div", { "aria-live": "polite" });
  const head = h("div", {});
  const timeline = h("section", { id: "timeline" });
  const tools = h("section", {});
  fill(place, news, head, timeline, tools);
  let one;
  let toolsFor;
  const load = async () => {
    try {
      one = await admin(`replicas/${encodeURIComponent(id)}`);
    } catch (error) {
      if (error.code === 400) {
        return gone(place, id, error);
      }
      throw error;
    }
    keepingFocus(head, () => fill(head, summary(one, news, load)));
    map(head, one);
    await showTimeline(timeline, one, news);
    if (toolsFor !== one.replicaID) {
      toolsFor = one.replicaID;
      fill(tools, verify(one), explain(one));
    }
    return undefined;
  };
  await load();
  live(load);
}

/** A replica that is not registered any more still has a timeline and books. */
async function gone(place, id, error) {
  const timeline = h("section", { id: "timeline" });
  fill(place, failure(error), h("p", {}, "Its edits stay in the books: search its service's ", link("/arcgis/console/rejected", "refused edits"), " and ", link("/arcgis/console/conflicts", "conflicts"), "."), timeline);
  try {
    await showTimeline(timeline, { replicaID: id }, place);
  } catch {
    timeline.remove();
  }
}

function summary(one, news, load) {
  document.querySelector("h1").textContent = one.replicaName;
  document.title = `${one.replicaName} · Replica`;
  const after = async (message, goneIds = []) => {
    if (goneIds.length === 0) {
      await load();
    }
    fill(news, message);
  };
  const alone = one.historyKeptAlone;
  const ends = one.unregisterDate ?? one.expiryDate;
  const service = encodeURIComponent(one.service);
  const sentence = one.needsSnapshot
    ? "The changes since its last synchronization are no longer kept: its device has to take all rows anew (syncDirection=snapshot), or a new replica. Its edits can still be uploaded."
    : one.lastMessage
      ? `Its last synchronization was answered with an error: ${one.lastMessage}`
      : one.neverSynchronized ? "Its client has never come back since it took the data." : null;
  return [
    h("p.states", {}, stateOf(one), one.lastOutcome ? [" ", badge(one.lastOutcome)] : null),
    sentence ? h(one.lastMessage || one.needsSnapshot ? "div.error" : "div.hint", {}, h("p", {}, sentence)) : null,
    h("div.buttons", { dataset: { id: "actions" } },
      button("Expiry…", () => expire([one.replicaID], after), "button.second"),
      button("Unregister…", () => unregister([one.replicaID], after), "button.danger"),
      link(`${serviceAddress(one.service)}/replicas/${one.replicaID}`, "In the directory", { class: "button second" })),
    h("div.sides.replica-head", {},
      facts([
        ["Service", link(serviceAddress(one.service), one.service)],
        ["Id", h("code", {}, one.replicaID)],
        ["Owner", one.replicaOwner || h("span.none", {}, "anonymous")],
        ["Client", one.client || h("span.none", {}, "did not say")],
        ["Created", time(one.creationDate)],
        ["Last synchronization", one.neverSynchronized ? "never" : time(one.lastSyncDate)],
        ["Has everything up to", one.givenServerGen === null ? "only uploads" : [`generation ${number(one.givenServerGen)}`, one.givenDate ? [", of ", time(one.givenDate)] : ""]],
        ["May need changes since", one.acknowledgedServerGen === null ? null : [`generation ${number(one.acknowledgedServerGen)}`, h("small.of", {}, "the lowest that it presented within a week, as a device may be restored from a copy")]],
        ["Behind", [one.moreChangesBehind ? "more than " : "", count(one.changesBehind, "change"), one.changesBehind ? `, ≈ ${bytes(one.bytesBehind)}` : ""]],
        ["Keeps alone", alone.changes ? `${count(alone.changes, "change")} of history, ≈ ${bytes(alone.bytes)}` : "no history"],
        [one.unregisterDate ? "Is unregistered" : "Expires", [ends ? time(ends) : "never", one.ownExpireDays !== null ? " (own rule)" : ""]],
        ["Open refused edits", one.openRejectedEdits ? link(`/arcgis/console/rejected?service=${service}&replicaID=${one.replicaID}`, number(one.openRejectedEdits)) : "none"],
        ["Open conflicts", one.openConflicts ? link(`/arcgis/console/conflicts?service=${service}&replicaID=${one.replicaID}`, number(one.openConflicts)) : "none"],
        ["Synchronizes", `${one.syncDirection}, ${one.syncModel}${one.targetType === "server" ? ", with another server" : ""}`],
      ]),
      h("div", {}, h("div.map", { "aria-label": "Where it is" }, "It has no place on a map."), h("p.note", {}, one.extentOf === "geometry" ? "The area that it was made for." : one.extent ? "Everything: the box of its layers." : ""))),
    h("h2", {}, "Layers"),
    table("Layers", ["Layer", "Rows", "Condition", h("th.number", { scope: "col" }, "Was given"), h("th.number", { scope: "col" }, "Has shown")], one.layers.map((layer) => h("tr", {},
      h("th", { scope: "row" }, layer.id === null ? h("span.none", {}, "no longer published") : link(`${serviceAddress(one.service)}/${layer.id}`, `${layer.name} (${layer.id})`)),
      h("td", {}, { all: "all rows", none: layer.includeRelated ? "related rows only" : "none", useFilter: layer.extent ? "in its area" : "by condition" }[layer.queryOption] ?? layer.queryOption),
      h("td.long", {}, layer.where ? h("code", {}, layer.where) : h("span.none", {}, "none")),
      h("td.number", {}, number(layer.serverGen)),
      h("td.number", {}, layer.presentedServerGen ? number(layer.presentedServerGen) : "")))),
  ];
}

function map(head, one) {
  const place = head.querySelector(".map");
  const shapes = [];
  for (const layer of one.layers) {
    if (extentOf(layer.extent)) {
      shapes.push({ id: `layer-${layer.id}`, geometry: rectangle(layer.extent), label: layer.name });
    }
  }
  if (shapes.length === 0 && extentOf(one.extent)) {
    shapes.push({ id: "all", geometry: rectangle(one.extent), label: one.replicaName });
  }
  if (shapes.length) {
    showMap(place, { features: shapes });
  }
}

async function showTimeline(place, one, news) {
  const address = `replicas/${encodeURIComponent(one.replicaID)}/timeline`;
  const first = await admin(address, { resultRecordCount: PAGE });
  const all = first.synchronizations;
  if (all.length === 0) {
    fill(place, h("h2", {}, "Timeline"), empty("No synchronization yet.", "Every one will be here, also those that fail, with what went which way."));
    return;
  }
  const list = h("div", {});
  const pick = (picked) => {
    for (const row of list.querySelectorAll("tr.chosen")) {
      row.classList.remove("chosen");
    }
    const found = list.querySelector(`tr[data-number="${picked.number}"]`);
    found?.classList.add("chosen");
    found?.scrollIntoView({ block: "nearest" });
  };
  const picture = h("div.picture", {});
  const row = (sync) => h("tr", { dataset: { number: sync.number } },
    h("th", { scope: "row" }, time(sync.date), h("small.of.when", {}, exact(sync.date))),
    h("td", {}, badge(sync.outcome), sync.error ? h("small.of.told", {}, `${sync.error.code}: ${sync.error.message}`) : null),
    h("td", {}, sync.syncDirection ?? ""),
    h("td.number", {}, sync.applied ? number(sync.applied) : ""),
    h("td.number", {}, sync.refused ? number(sync.refused) : ""),
    h("td.number", {}, sync.conflicts ? number(sync.conflicts) : ""),
    h("td.number", {}, sync.sent ? number(sync.sent) : ""),
    h("td.number", {}, sync.bytesUp || sync.bytesDown ? `${bytes(sync.bytesUp)} / ${bytes(sync.bytesDown)}` : ""),
    h("td.number", {}, sync.durationMilliseconds < 10_000 ? `${number(sync.durationMilliseconds)} ms` : `${Math.round(sync.durationMilliseconds / 1000)} s`),
    h("td", {}, sync.batchId !== null && one.service ? button("Receipts", () => receipts(one, sync.batchId, news)) : ""),
    h("td.client", { title: `${sync.client} · request ${sync.requestId}` }, sync.userName || sync.client));
  const more = h("div.buttons.pages", {});
  const drawMore = (exceeded) => fill(more, exceeded ? button("Older ones", async () => {
    const next = await trying(news, more.firstChild, () => admin(address, { resultOffset: all.length, resultRecordCount: PAGE }));
    if (next) {
      all.push(...next.synchronizations);
      draw(next.exceededTransferLimit);
    }
  }, "button.second") : null);
  const draw = (exceeded) => {
    const numberHead = (name) => h("th.number", { scope: "col" }, name);
    const heads = ["When", "Outcome", "Direction", numberHead("Applied"), numberHead("Refused"), numberHead("Conflicts"), numberHead("Sent"), numberHead("Up / down"), numberHead("Took"), "Upload", "Who"];
    const { scrollTop } = list.firstChild ?? {};
    fill(list, table("Synchronizations", heads, all.map(row)));
    list.firstChild.classList.add("tall");
    list.firstChild.scrollTop = scrollTop ?? 0;
    drawMore(exceeded);
    drawn(picture, (width) => timelinePicture(all, width, pick, Date.now()));
  };
  fill(place, h("h2", {}, "Timeline"), picture, list, more);
  draw(first.exceededTransferLimit);
}

/** What became of each edit of an upload, and undoing it. */
async function receipts(one, batchId, news) {
  const address = `replicas/${one.replicaID}/batches/${batchId}`;
  const content = h("div", {});
  const outcome = { value: "" };
  const load = async () => {
    const batch = await ofService(one.service, address, { outcome: outcome.value || undefined, resultRecordCount: 200 });
    fill(
      content,
      h("p", {}, `Received ${exact(batch.receivedDate)}; ${number(batch.applied)} applied, ${number(batch.refused)} refused, ${count(batch.conflicts, "conflict")}.`, batch.undoneDate ? ` Undone ${exact(batch.undoneDate)}.` : ""),
      h("div.inline-tools", {}, choice("Show", "outcome", [["", "all"], ["applied", "applied"], ["refused", "refused"]], outcome.value, (event) => { outcome.value = event.target.value; load(); }),
        button("Undo this upload…", () => undo(one, batchId, news), "button.danger.small")),
      batch.receipts.length ? table("Receipts", ["Layer", "Edit", "Feature", "What became of it"], batch.receipts.map((receipt) => h("tr", {},
        h("td", {}, receipt.layer === null ? "?" : String(receipt.layer)),
        h("td", {}, receipt.operation),
        h("td", {}, h("code", {}, receipt.globalId ?? ""), receipt.objectId ? h("small.of", {}, `object id ${receipt.objectId}`) : null),
        h("td.long", {}, receipt.success ? badge("ok", "applied") : [badge("refused", `refused (${receipt.error?.code})`), " ", receipt.error?.description ?? ""])))) : empty("No receipt is like that."),
      batch.exceededTransferLimit ? h("p.note", {}, "Only the first 200; ", link(`/arcgis/rest/services/${encodeURIComponent(one.service)}/FeatureServer/${address}`, "the directory has all"), ".") : null,
    );
  };
  await trying(news, null, load);
  if (content.childElementCount) {
    await question({ title: `Upload ${batchId}`, content });
  }
}

async function undo(one, batchId, news) {
  const address = `replicas/${one.replicaID}/batches/${batchId}/undo`;
  const preview = await trying(news, null, () => ofService(one.service, address, { preview: true }));
  if (!preview) {
    return;
  }
  const words = { deleted: "would be deleted", reverted: "would be as before", restored: "would come back" };
  const list = (items, said) => h("ul", {}, items.slice(0, 20).map((item) => h("li", {}, h("code", {}, item.globalId ?? ""), ` (layer ${item.layer}) `, said(item))), items.length > 20 ? h("li", {}, "…") : null);
  const force = h("input", { type: "checkbox", id: "force" });
  const content = [
    h("p", {}, `${count(preview.undoneCount, "feature")} would be put back as they were. It is a change of its own that reaches every replica, and can be undone, too.`),
    preview.undoneCount ? list(preview.undone, (item) => words[item.action] ?? item.action) : null,
    preview.skippedCount ? [h("p", {}, h("strong", {}, `${count(preview.skippedCount, "feature was", "features were")} changed by somebody since, and would be left alone:`)), list(preview.skipped, () => "was changed since"), h("p", {}, h("label.option", { for: "force" }, force, "Put them back as well, over what was done since"))] : null,
    preview.failedCount ? [h("p", {}, h("strong", {}, `${count(preview.failedCount, "feature")} cannot be put back:`)), list(preview.failed, (item) => item.error?.description ?? "")] : null,
  ];
  const can = preview.undoneCount + preview.skippedCount > 0;
  const answer = await question({ title: `Undo upload ${batchId}?`, content, action: can ? "Undo the upload" : undefined, danger: true, perform: () => ofService(one.service, address, { force: force.checked || undefined }) });
  if (answer) {
    document.querySelector("dialog[open]")?.close();
    fill(news, done(`${count(answer.undoneCount, "feature was", "features were")} put back`, answer.skippedCount ? `, ${number(answer.skippedCount)} left alone` : "", answer.failedCount ? `, ${number(answer.failedCount)} could not be` : "", "."));
    news.scrollIntoView({ block: "nearest" });
  }
}

function verify(one) {
  const place = h("div", { "aria-live": "polite" });
  const go = button("Compute checksums", () => trying(place, go, async () => {
    const answer = await ofService(one.service, `replicas/${one.replicaID}/verify`);
    fill(place, h("p", {}, `At generation ${number(answer.serverGen)}, it should hold:`), table("Checksums", ["Layer", "Of", h("th.number", { scope: "col" }, "Count"), "Rows", "Content"], answer.layers.map((layer) => h("tr", {},
      h("td", {}, String(layer.id)), h("td", {}, layer.of), h("td.number", {}, number(layer.count)), h("td", {}, h("code", {}, layer.rows)), h("td", {}, h("code", {}, layer.content))))));
  }), "button.second");
  return [h("h2", {}, "Verify"), h("p", {}, "Counts and checksums of what its device should hold, to compare with what it does."), h("p", {}, go), place];
}

function explain(one) {
  const place = h("div", { "aria-live": "polite" });
  const layers = one.layers.filter((layer) => layer.id !== null);
  const global = h("input.code", { type: "text", id: "global-id", name: "globalId", required: true, placeholder: "{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}" });
  const form = h("form.filter", {
    onsubmit: (event) => {
      event.preventDefault();
      trying(place, form.querySelector("button"), async () => {
        const answer = await ofService(one.service, `replicas/${one.replicaID}/explain`, { layer: form.elements.layer.value, globalId: global.value });
        const standing = (at) => (at ? `${at.exists ? "is there" : "is not there"}, ${at.inReplica ? "in the replica" : "not in the replica"}` : "");
        fill(place, h("div.hint", {}, answer.reasons.map((reason) => h("p", {}, reason))),
          facts([
            ["Now", standing(answer.now)], ["When it last had everything", standing(answer.then)],
            ["Its edits of it", answer.receipts.length ? answer.receipts.map((receipt) => h("p", {}, `upload ${receipt.batchId}: ${receipt.operation}, `, receipt.success ? "applied" : `refused: ${receipt.error?.description}`)) : "none"],
            ["Edits of connected clients", answer.connectedEdits.length ? answer.connectedEdits.map((edit) => h("p", {}, `${edit.sentBy}: ${edit.operation}`)) : "none"],
            ["Refused edits", answer.rejectedEdits.length ? answer.rejectedEdits.map((edit) => h("p", {}, link(`/arcgis/console/rejected?service=${encodeURIComponent(one.service)}&number=${edit.rejectedEditId}`, `${edit.state}: ${edit.reason.description}`))) : "none"],
            ["Conflicts", answer.conflicts.length ? answer.conflicts.map((conflict) => h("p", {}, link(`/arcgis/console/conflicts?service=${encodeURIComponent(one.service)}&number=${conflict.conflictId}`, `${conflict.operation} of ${conflict.fields.join(", ")}`))) : "none"],
          ]));
      });
    },
  },
  choice("Layer", "layer", layers.map((layer) => [String(layer.id), `${layer.name} (${layer.id})`]), ""),
  h("p.field.wider", {}, h("label", { for: "global-id" }, "Global id of the feature"), global),
  h("p.field", {}, h("button", { type: "submit" }, "Explain")));
  return [h("h2", {}, "Explain a feature"), h("p", {}, "Why the device has a feature or does not, and what happened to it."), form, place];
}
