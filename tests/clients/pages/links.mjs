// Everything that there is, found by links and forms from the catalogue on, as whoever may do everything sees it.

import { assert, scenarios } from "./harness.mjs";

const ROOT = "/arcgis/rest/services";
const SERVICE = `${ROOT}/trees/FeatureServer`;

/** One of everything that clients leave behind: edits, refused ones, replicas, conflicts, jobs, uploads, attachments. */
async function fill(visit) {
  const done = async (path, parameters) => {
    const answer = await visit.ask(`${SERVICE}${path}`, parameters);
    assert.equal(answer.error, undefined, `${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  await done("/0/applyEdits", {
    adds: JSON.stringify([{ attributes: { species: "Quercus robur" }, geometry: { x: 13.1, y: 52.1 } }, { attributes: { height: 99 } }]),
    rollbackOnFailure: "false",
  });
  const replica = await done("/createReplica", {
    replicaName: "walk", layers: "0,1", transportType: "esriTransportTypeEmbedded", geometry: "13,52,14,53", inSR: "4326",
  });
  const oak = (await done("/0/query", { objectIds: "3", outFields: "*" })).features[0].attributes;
  await done("/0/updateFeatures", { features: JSON.stringify([{ attributes: { objectid: 3, species: "here" } }]) });
  await done("/synchronizeReplica", {
    replicaID: replica.replicaID,
    replicaServerGen: replica.replicaServerGen,
    edits: JSON.stringify([{ id: 0, features: { updates: [{ attributes: { globalid: oak.globalid, species: "there", height: 3 } }] } }]),
  });
  const job = await done("/createReplica", { layers: "0", async: "true", dataFormat: "json" });
  for (let state; state !== "Completed"; ) {
    state = (await done(new URL(job.statusUrl).pathname.slice(SERVICE.length))).status;
    assert.notEqual(state, "Failed");
  }
  const form = new FormData();
  form.set("f", "json");
  form.set("file", new Blob(["[]"]), "edits.json");
  await fetch(`${visit.base}${SERVICE}/uploads/upload`, { method: "POST", body: form });
  await done("/uploads/register", { itemName: "parts.json" });
  const picture = new FormData();
  picture.set("f", "json");
  picture.set("attachment", new Blob(["no picture"], { type: "text/plain" }), "note.txt");
  await fetch(`${visit.base}${SERVICE}/0/1/addAttachment`, { method: "POST", body: picture });
}

/** What addresses have in common that lead to the same kind of page. */
function kindOf(address) {
  const { pathname, search } = new URL(address);
  const path = pathname
    .replace(/\/FeatureServer\/2\b/, "/FeatureServer/0")
    .replace(/\/FeatureServer\/1\/(?!query\b)/, "/FeatureServer/0/")
    .replace(/\/FeatureServer\/0\/\d+/, "/FeatureServer/0/N")
    .replace(/\/(replicas|jobs|uploads)\/[0-9a-f-]{8,}[^/]*/i, "/$1/ID")
    .replace(/\/(batches|rejectedEdits|conflicts)\/\d+/, "/$1/N");
  return path + [...new Set(new URLSearchParams(search).keys())].sort().join("&");
}

await scenarios({
  "every link leads somewhere, and every page is accessible and fits a phone": async (visit) => {
    await fill(visit);
    await visit.page.setExtraHTTPHeaders({ "X-Esri-Authorization": `Bearer ${visit.facts.admin}` });
    const known = new Map([[kindOf(visit.base + ROOT), visit.base + ROOT]]);
    const waiting = [visit.base + ROOT];
    const titles = [];
    while (waiting.length) {
      const address = waiting.shift();
      if (/[?&]f=(pjson|json|geojson|pbf)/.test(address) || /openapi|replicafiles|attachments\/\d+$/i.test(address)) {
        const response = await fetch(address, { headers: { "X-Esri-Authorization": `Bearer ${visit.facts.admin}` } });
        assert.equal(response.status, 200, address);
        if (response.headers.get("content-type").includes("json")) {
          assert.equal((await response.json()).error, undefined, address);
        }
        continue;
      }
      await visit.show({ phone: titles.length % 2 === 1, dark: titles.length % 3 === 1 });
      await visit.page.goto(address);
      await visit.until(() => !document.querySelector("#console[aria-busy]"));
      // A form that was sent empty may say what it needs.
      assert.match((await visit.error()) ?? "it is missing", /it is missing/, address);
      titles.push((await visit.text("h1")).replace(/(batch|edit|Conflict|Feature) \d+/i, "$1 N"));
      await visit.fits();
      await visit.accessible();
      await visit.picture(`page ${kindOf(address).replace(ROOT, "")}`);
      assert.match(await visit.text("footer"), /Server/);
      const found = await visit.page.evaluate(() => {
        const links = [...document.querySelectorAll("a[href]")].map((one) => one.href);
        // What a form that asks for nothing gets.
        const forms = [...document.querySelectorAll("form")].filter((form) => form.method === "get");
        // Sent by GET, a form puts its own parameters in the place of those that its address has.
        return [...links, ...forms.map((form) => `${form.action.replace(/\?.*/, "")}?${new URLSearchParams(new FormData(form))}`)];
      });
      for (const next of found) {
        const bare = next.replace(/#.*$/, "");
        assert.ok(bare.startsWith(visit.base), `${address} leads to ${next}`);
        if (!known.has(kindOf(bare))) {
          known.set(kindOf(bare), bare);
          waiting.push(bare);
        }
      }
    }
    for (const title of [
      "Services", "trees (FeatureServer)", "Layer: Oaks (ID: 0)", "Query: Oaks (ID: 0)", "Feature N: Oaks (ID: 0)", "Attachments: Oaks (ID: 0)",
      "Create Replica (trees)", "All Replicas (trees)", "Replica (trees)", "Replica status (trees)", "All Jobs (trees)", "Job (trees)", "Uploads (trees)",
      "Upload (trees)", "Batches (trees)", "Batch N (trees)", "Undo batch N (trees)", "Refused edits (trees)", "Refused edit N (trees)", "Conflicts (trees)",
      "Administration (trees)", "Update Definition (trees)", "Administration (Oaks)", "Truncate: Oaks (ID: 0)", "Cleanup Change Tracking (trees)",
    ]) {
      assert.ok(titles.includes(title), `${title} is not found; ${titles.join(", ")} are`);
    }
  },

  "without scripts, the way there is the same": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await visit.open(ROOT);
    await visit.follow("trees (FeatureServer)");
    await visit.follow("Oaks (0)");
    await visit.follow("Query: the first 100 records");
    assert.match(await visit.text(), /# records: 6[01]/);
    await visit.follow("7");
    assert.equal(await visit.text("h1"), "Feature 7: Oaks (ID: 0)");
    await visit.follow("Related Records: Visits");
    await visit.follow("Home");
  },

  "what is not there says so, and the way back": async (visit) => {
    await visit.open(`${SERVICE}/77`, { failing: true });
    assert.match(await visit.error(), /^Error: .*\n*Code: 404/);
    await visit.follow("Back to trees (FeatureServer)");
    assert.equal(await visit.text("h1"), "trees (FeatureServer)");
    await visit.open(`${SERVICE}/0/query?where=nonsense+%3D+1`, { failing: true });
    assert.equal(await visit.page.$eval("#where", (one) => one.value), "nonsense = 1", "what was asked is still in the form");
    await visit.accessible();
  },

  "who may only look is offered nothing else": async (visit) => {
    await visit.open(SERVICE);
    assert.doesNotMatch(await visit.text(), /Administration/);
  },
});
