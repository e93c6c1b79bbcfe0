// The life of a replica, by forms: made, synchronized, looked at, unregistered; and a job that makes one.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/trees/FeatureServer";

async function create(visit, values) {
  await visit.open(`${SERVICE}/createReplica`);
  await visit.fill(values);
  await visit.follow("Create Replica", { within: "form" });
}

await scenarios({
  "a replica is made, synchronized and unregistered by forms, without scripts": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await visit.open(SERVICE);
    await visit.follow("Create Replica");
    assert.deepEqual(await visit.texts(".layer label"), ["Oaks (0)", "Visits (1)", "Tracks (2)"]);
    await visit.fill({
      replicaName: "walk", layers: ["0", "1"], "where.0": "height > 10", "rows.1": "all", geometry: "13,52,14,53", inSR: "4326",
      transportType: "esriTransportTypeEmbedded",
    });
    await visit.follow("Create Replica", { within: "form" });
    assert.equal(await visit.error(), null);
    assert.match(await visit.text(), /replicaName:\s*walk/);
    assert.deepEqual(await visit.page.$$eval("[name=layers]", (all) => all.map((one) => one.checked)), [true, true, false], "the form keeps what it sent");
    await visit.follow("Replica");
    assert.equal(await visit.text("h1"), "Replica (trees)");
    assert.match(await visit.text(), /height > 10/);
    assert.match(await visit.text(), /useFilter/);
    await visit.follow("Synchronize Replica");
    await visit.fill({ transportType: "esriTransportTypeEmbedded" });
    await visit.follow("Synchronize Replica", { within: "form" });
    assert.equal(await visit.error(), null);
    assert.match(await visit.text(), /esriReplicaResponseType/);
    await visit.open(`${SERVICE}/replicas`);
    assert.match(await visit.text(), /Replicas: 1/);
    await visit.page.click("tbody td a");
    await visit.page.waitForSelector("aside a");
    await visit.follow("Unregister Replica");
    await visit.follow("Unregister Replica", { within: "form" });
    assert.match(await visit.text(), /success:\s*true/);
    await visit.open(`${SERVICE}/replicas`);
    assert.match(await visit.text(), /None/);
  },

  "its area is drawn on a map of the service": async (visit) => {
    await visit.open(`${SERVICE}/createReplica`);
    await visit.until(() => document.querySelector("[data-draw][data-ready]"));
    await visit.page.evaluate(() => [...document.querySelectorAll("button")].find((one) => one.innerText === "Take what the map shows").click());
    await visit.accessible();
    await visit.picture("create replica");
    await visit.fill({ layers: ["0"], replicaName: "drawn" });
    await visit.follow("Create Replica", { within: "form" });
    assert.equal(await visit.error(), null);
    await visit.follow("Replica");
    assert.match(await visit.text(), /XMin: /);
    await visit.picture("replica");
  },

  "nothing chosen is said, and what was written stays": async (visit) => {
    await create(visit, { layers: [], replicaName: "of nothing" });
    assert.match(await visit.error(), /'layers' parameter is invalid: it is missing/);
    assert.equal(await visit.page.$eval("#replicaName", (one) => one.value), "of nothing");
  },

  "a job is watched until it has ended": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await create(visit, { layers: ["0"], replicaName: "later", async: "true" });
    const address = await visit.page.$eval("main dd a", (one) => one.href);
    await visit.open(address);
    // The page asks again by itself.
    await visit.page.waitForSelector(".badge.good");
    assert.equal(await visit.page.$("meta[http-equiv=refresh]"), null, "a job that has ended is not asked for again");
    assert.match(await visit.text(), /Result:\s*http/);
    await visit.picture("job");
    await visit.open(`${SERVICE}/jobs`);
    assert.match(await visit.text(), /Completed/);
  },
});
