// The first page: whether all is well, who is behind, and what holds the history.

import { admin, badge, bytes, count, empty, fill, h, keepingFocus, link, live, number, replicaAddress, table, time } from "./console-kit.js";
import { drawn, lagPicture } from "./console-drawing.js";

const MORE = {
  tracking: ["/arcgis/rest/admin/health", "Details"],
  history: ["/arcgis/console/replicas?orderByFields=lastSyncDate", "Replicas that have waited longest"],
  books: ["/arcgis/console/rejected", "Refused edits"],
  jobs: ["/arcgis/console/jobs", "Jobs"],
};

export async function overview(place) {
  const render = async () => {
    const [health, lags] = await Promise.all([admin("health"), admin("replicas/lag")]);
    keepingFocus(place, () => fill(place, cards(health), figures(health), lines(lags, health), services(health), h("p.note", {}, `Syncline ${health.version}; as of `, time(health.currentDate), ".")));
  };
  await render();
  live(render);
}

function cards({ checks }) {
  const worst = { problem: 0, warning: 1, ok: 2 };
  const sorted = [...checks].sort((one, other) => worst[one.verdict] - worst[other.verdict]);
  return h(
    "ul.cards.health",
    { "aria-label": "Health" },
    sorted.map((check) => {
      const more = MORE[check.name];
      return h(
        `li.card.${check.verdict}`,
        { dataset: { check: check.name } },
        h("h2", {}, check.title, " ", badge(check.verdict)),
        h("p", {}, check.summary),
        check.advice ? h("p.advice", {}, check.advice) : null,
        more && check.verdict !== "ok" ? h("p", {}, link(...more)) : null,
        check.name === "disk" ? disk(check.facts) : null,
      );
    }),
  );
}

function disk(facts) {
  const parts = [["results", facts.exports], ["being written", facts.spool], ["uploads", facts.uploads], ["attachments", facts.attachments]];
  return h("p.note", {}, parts.map(([name, one], index) => `${index ? " · " : ""}${name} ${bytes(one.bytes)}${one.more ? " or more" : ""}`));
}

/** The numbers that matter, each with where it leads. */
function figures({ services }) {
  const sum = (member) => services.reduce((all, one) => all + one[member], 0);
  const shown = [
    [sum("replicas"), "replica", "replicas", "/arcgis/console/replicas"],
    [sum("expiredReplicas"), "expired", "expired", "/arcgis/console/replicas?state=expired"],
    [sum("openRejectedEdits"), "refused edit open", "refused edits open", "/arcgis/console/rejected"],
    [sum("openConflicts"), "conflict open", "conflicts open", "/arcgis/console/conflicts"],
  ];
  return h("ul.figures", {}, shown.map(([value, one, several, href]) => h("li", {}, link(href, [h("strong", {}, number(value)), h("span", {}, value === 1 ? one : several)]))));
}

function lines({ services }, health) {
  const some = services.filter((one) => one.count > 0);
  const heading = h("h2", {}, "Who is behind");
  if (some.length === 0) {
    return h("section", {}, heading, empty("Nobody has taken anything offline.", "A replica appears here when a client calls createReplica, for instance a field app that downloads a map area, or syncline clone."));
  }
  const legend = h(
    "ul.legend",
    {},
    [["live", "live"], ["idle", "idle"], ["expired", "expired"], ["needs", "needs a snapshot"], ["holds", "holds the history"]].map(([kind, name]) => h("li", {}, h(`span.key.${kind}`, {}), name)),
  );
  const each = some.map((one) => {
    const picture = h("div.picture", {});
    drawn(picture, (width) => lagPicture(one, width, (picked) => { location.href = replicaAddress(picked.replicaID); }, health.currentDate));
    const behind = one.replicas.filter((replica) => replica.changesBehind > 0);
    const worst = behind.sort((first, second) => second.changesBehind - first.changesBehind).slice(0, 3);
    return h(
      "section.lag-of",
      { dataset: { service: one.name } },
      h("h3", {}, one.name, " ", h("small", {}, link(`/arcgis/console/replicas?service=${encodeURIComponent(one.name)}`, count(one.count, "replica")))),
      picture,
      h("p.note", {}, worst.length ? "Furthest behind: " : "Everybody has everything", worst.map((replica, index) => [
        index ? "; " : "",
        link(replicaAddress(replica.replicaID), replica.replicaName),
        ` (${number(replica.changesBehind)}${replica.moreChangesBehind ? "+" : ""} changes, last sync `,
        time(replica.lastSyncDate),
        ")",
      ]), "."),
    );
  });
  return h("section", {}, heading, h("p.note", {}, "Each replica stands where what it has was new. The bar is the history that is kept; it cannot get shorter than what the replica at its beginning needs."), legend, each);
}

function services({ services }) {
  const rows = services.map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, link(`/arcgis/console/replicas?service=${encodeURIComponent(one.name)}`, one.name)),
      h("td.number", {}, number(one.replicas)),
      h("td.number", {}, number(one.changes)),
      h("td.number", {}, bytes(one.changeBytes)),
      h("td", {}, one.oldestChangeDate ? time(one.oldestChangeDate) : h("span.none", {}, "nothing kept")),
      h("td", {}, one.heldBy ? link(replicaAddress(one.heldBy.replicaID), one.heldBy.replicaName) : h("span.none", {}, "nobody")),
      h("td", {}, time(one.lastEditDate)),
      h("td.number", {}, one.openRejectedEdits ? link(`/arcgis/console/rejected?service=${encodeURIComponent(one.name)}`, number(one.openRejectedEdits)) : "0"),
      h("td.number", {}, one.openConflicts ? link(`/arcgis/console/conflicts?service=${encodeURIComponent(one.name)}`, number(one.openConflicts)) : "0"),
    ),
  );
  return h("section", {}, h("h2", {}, "Services"), rows.length
    ? table("Services", ["Service", h("th.number", { scope: "col" }, "Replicas"), h("th.number", { scope: "col" }, "Changes kept"), h("th.number", { scope: "col" }, "Size"), "Oldest change", "Held by", "Last edit", h("th.number", { scope: "col" }, "Refused"), h("th.number", { scope: "col" }, "Conflicts")], rows)
    : empty("No service is published.", [link("/arcgis/console/publish", "Publish a table"), " of the database, or import a file with syncline import."]));
}
