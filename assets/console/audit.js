// The audit log: who did what, and whether anybody has changed it since.

import { admin, badge, button, choice, count, done, empty, exact, field, fill, h, inAddress, latest, link, number, replicaAddress, table, time, toAddress, trying } from "./console-kit.js";

const PAGE = 50;

/** The kinds of actions that there are; each is the first word of some. */
const KINDS = ["user", "role", "session", "token", "key", "grant", "identity", "service", "layer", "relationship", "gap", "epoch", "instance", "replica", "rejected_edit", "conflict", "batch", "backup", "audit"];

export async function audit(place) {
  const { services } = await admin("health");
  const wanted = { resultOffset: "0", ...inAddress() };
  const news = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const pages = h("div.buttons.pages", {});
  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const { actor, action, service, since, until, resultOffset } = wanted;
    const { entries, exceededTransferLimit } = await admin("audit", { actor: actor || undefined, action: action || undefined, service: service || undefined, since: moment(since), until: moment(until), resultOffset, resultRecordCount: PAGE });
    if (!isLast()) {
      return;
    }
    const from = Number(resultOffset);
    fill(list, entries.length
      ? [h("p.note", { role: "status" }, `Entries ${number(from + 1)} to ${number(from + entries.length)}, the newest first`), table("Audit log", ["When", "Who", "What", "Service", "About", "More"], entries.map(row))]
      : empty("Nothing is like that.", ["Widen the search, or ", link("/arcgis/console/audit", "show all"), "."]));
    fill(pages, from > 0 ? button("Newer", () => turn(-PAGE), "button.second") : null, exceededTransferLimit ? button("Older", () => turn(PAGE), "button.second") : null);
  };
  const search = (changes) => {
    Object.assign(wanted, { resultOffset: "0" }, changes);
    toAddress(wanted);
    return trying(news, null, load);
  };
  const turn = (by) => search({ resultOffset: String(Math.max(0, Number(wanted.resultOffset) + by)) }).then(() => list.scrollIntoView({ block: "start" }));
  const input = (label, name, attributes) => h("p.field", {}, h("label", { for: `audit-${name}` }, label), h("input", { id: `audit-${name}`, name, value: wanted[name] ?? "", autocomplete: "off", ...attributes }));
  const form = h("form.filter", { role: "search", onsubmit: (event) => {
    event.preventDefault();
    const { what, ...others } = Object.fromEntries(new FormData(form));
    search({ ...others, action: what });
  } },
  input("Who", "actor", { type: "text", placeholder: "user, key:NAME, server" }),
  choice("What", "what", [["", "anything"], ...(wanted.action && !KINDS.includes(wanted.action) ? [[wanted.action, wanted.action]] : []), ...KINDS.map((kind) => [kind, kind.replace("_", " ")])], wanted.action ?? ""),
  choice("Service", "service", [["", "all services"], ...services.map((one) => [one.name, one.name])], wanted.service ?? ""),
  input("From (UTC)", "since", { type: "datetime-local" }),
  input("Until (UTC)", "until", { type: "datetime-local" }),
  h("p.field", {}, h("button", { type: "submit" }, "Search")));
  fill(place, form, verification(), news, list, pages);
  await load();
}

/** A moment as the field has it, in UTC, as the server takes it. */
function moment(text) {
  const ms = text ? Date.parse(`${text}Z`) : NaN;
  return Number.isFinite(ms) ? ms : undefined;
}

function row(entry) {
  const detail = Object.entries(entry.detail ?? {});
  const id = /^\{?[0-9a-f-]{36}\}?$/i.test(entry.subject) && entry.action.startsWith("replica.");
  return h("tr", {},
    h("th", { scope: "row" }, time(entry.time), h("small.of.when", {}, exact(entry.time))),
    h("td", {}, h("bdi", {}, entry.actor), entry.origin ? h("small.of", {}, entry.origin) : null),
    h("td", {}, h("a", { href: `?action=${encodeURIComponent(entry.action)}` }, entry.action)),
    h("td", {}, entry.service),
    h("td.long", {}, id ? link(replicaAddress(entry.subject), entry.subject) : h("bdi", {}, entry.subject)),
    h("td.long", {}, h("details", {},
      h("summary", {}, "Details"),
      h("dl", {}, [
        ...detail.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
        ["request", entry.requestId || "none"], ["place in the chain", entry.position === null ? "not sealed yet" : String(entry.position)], ["digest", entry.digest ?? ""],
      ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))))));
}

/** Checks the chain, and says where it stands. */
function verification() {
  const place = h("div", { "aria-live": "polite" });
  const expect = h("input.code", { type: "text", id: "expect", name: "expect", autocomplete: "off", spellcheck: "false", placeholder: "123:0a1b…" });
  const form = h("form", { onsubmit: (event) => {
    event.preventDefault();
    trying(place, form.querySelector("button"), async () => {
      const found = await admin("audit/verify", { expect: expect.value.trim() || undefined });
      const head = found.head ? [h("p", {}, "The chain ends at ", h("code.head", {}, found.head), ". Note it elsewhere: with it, anybody can tell later whether what is here now is still there.")] : null;
      fill(place, found.intact
        ? [done(badge("ok", "intact"), ` ${count(found.entries, "entry is", "entries are")} as they were written, and none is missing.`), head, found.unsealed ? h("p.note", {}, `${count(found.unsealed, "entry is", "entries are")} so new that the chain does not have ${found.unsealed === 1 ? "it" : "them"} yet.`) : null]
        : h("div.error", { role: "alert" }, h("p", {}, "Somebody has changed the log"), h("ul", {}, found.problems.map((problem) => h("li", {}, problem)))));
    });
  } },
  field("A place that you noted", expect, "Position and digest; it must still be there. It may be left empty."),
  h("p.buttons", {}, h("button", { type: "submit" }, "Verify the chain")));
  return h("details.verify", {}, h("summary", {}, "Verify that nobody has changed it"), h("p", {}, "Each entry is sealed with the digest of the one before it. Whoever changes or removes one, with whatever right in the database, breaks the chain."), form, place);
}
