// Names and values that would be somebody's script, if a page let them. What runs opens a dialog, or asks for what is not there; both fail.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/trees/FeatureServer";

/** What clients and administrators can name, named by somebody who means harm. Returns the pages about it. */
async function name(visit) {
  const { hostile, admin } = visit.facts;
  const long = `${hostile}\u202e${"x".repeat(10_000)}`;
  const done = async (path, parameters) => {
    const answer = await visit.ask(path, parameters);
    assert.equal(answer.error, undefined, `${path}: ${JSON.stringify(answer).slice(0, 500)}`);
    return answer;
  };
  const of = SERVICE.replace("/rest/services/", "/rest/admin/services/");
  const coded = { type: "codedValue", name: hostile, codedValues: [{ name: hostile, code: hostile }, { name: "javascript:alert(4)", code: "b" }] };
  await done(`${of}/0/updateDefinition`, {
    token: admin,
    updateDefinition: JSON.stringify({
      description: long, copyrightText: hostile, displayField: "species", fields: [{ name: "link", alias: hostile, description: hostile, domain: coded }],
    }),
  });
  await done(`${of}/updateDefinition`, { token: admin, updateDefinition: JSON.stringify({ serviceDescription: long, copyrightText: hostile }) });
  const replica = await done(`${SERVICE}/createReplica`, {
    replicaName: hostile, layers: "0", transportType: "esriTransportTypeEmbedded",
    layerQueries: JSON.stringify({ 0: { where: `species <> '${hostile.replaceAll("'", "''")}'` } }),
  });
  const adds = [{ attributes: { species: hostile, link: hostile }, geometry: { x: "NaN", y: hostile } }];
  await visit.ask(`${SERVICE}/0/applyEdits`, { adds: JSON.stringify(adds), rollbackOnFailure: "false" });
  const form = new FormData();
  form.set("f", "json");
  form.set("keywords", hostile.slice(0, 200));
  form.set("attachment", new Blob(["x"], { type: "text/html" }), `${hostile.replaceAll(/["/\\]/g, "'")}.html`);
  await fetch(`${visit.base}${SERVICE}/0/1/addAttachment`, { method: "POST", body: form });
  return [
    `${SERVICE}/replicas`, `${SERVICE}/replicas/${replica.replicaID}`, `${SERVICE}/replicas/${replica.replicaID}/status`, `${SERVICE}/batches`,
    `${SERVICE}/rejectedEdits`, `${SERVICE}/0/1/attachments`, `${SERVICE}/0/queryAttachments?objectIds=1`, `${SERVICE}/queryDomains?layers=0`,
    `${SERVICE}/synchronizeReplica?replicaID=${encodeURIComponent(hostile)}`, `${SERVICE}/0/updateFeatures?features=${encodeURIComponent(hostile)}`,
  ];
}

await scenarios({
  "nothing of names and values runs": async (visit) => {
    const named = await name(visit);
    const paths = [
      ...named,
      "/arcgis/rest/services",
      SERVICE,
      `${SERVICE}/layers`,
      `${SERVICE}/0`,
      `${SERVICE}/0/query?where=1%3D1&outFields=*`,
      `${SERVICE}/0/1`,
      `${SERVICE}/1`,
      `${SERVICE}/createReplica`,
      `${SERVICE}/createReplica?layers=0&where.0=${encodeURIComponent(visit.facts.hostile)}`,
      `${SERVICE}/extractChanges`,
    ];
    for (const phone of [false, true]) {
      await visit.show({ phone });
      for (const path of paths) {
        await visit.open(path);
        await visit.fits();
        assert.match(await visit.text("body"), /services/);
      }
    }
  },

  "nothing that a request says runs": async (visit) => {
    const hostile = encodeURIComponent(`"><script>alert(1)</script><img src=x onerror=alert(2)>`);
    for (const path of [
      `/arcgis/rest/services/${hostile}/FeatureServer`,
      `/arcgis/rest/services?f=${hostile}`,
      `${SERVICE}/0/query?where=${hostile}`,
      `${SERVICE}/0/query?where=1%3D1&outFields=${hostile}`,
      `${SERVICE}/replicas/${hostile}`,
    ]) {
      await visit.page.goto(visit.base + path);
    }
  },

  "no parameter of a form runs": async (visit) => {
    const { hostile } = visit.facts;
    for (const path of ["/0/query", "/query", "/0/queryRelatedRecords", "/0/queryAttachments", "/extractChanges", "/createReplica", "/0/applyEdits"]) {
      await visit.open(SERVICE + path);
      const names = await visit.page.$$eval("form [name]", (all) => [...new Set(all.map((one) => one.name))]);
      assert.ok(names.length > 3, path);
      const all = new URLSearchParams(names.filter((name) => name !== "f").map((name) => [name, hostile]));
      await visit.page.goto(`${visit.base}${SERVICE}${path}?${all}`);
      await visit.fits();
      for (const name of path === "/0/query" ? names : []) {
        await visit.page.goto(`${visit.base}${SERVICE}${path}?${new URLSearchParams({ where: "1=1", [name]: hostile })}`);
      }
    }
    const padded = await fetch(`${visit.base}${SERVICE}/0?f=json&callback=${encodeURIComponent("alert(1)//")}`);
    assert.match(padded.headers.get("content-type"), /^application\/json/, "what is no name of a function is not called");
  },

  "a map shows hostile features and runs nothing": async (visit) => {
    await visit.open(`${SERVICE}/0`);
    await visit.until(() => document.querySelector(".map[data-ready] .leaflet-overlay-pane path"));
    const path = await visit.page.$(".map .leaflet-overlay-pane path");
    await path.evaluate((one) => {
      one.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
      one.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    });
    await visit.until(() => document.querySelector(".leaflet-popup a"));
    await visit.fits();
  },
});
