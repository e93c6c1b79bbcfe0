// Names and values that would be somebody's script, if a page let them. What runs opens a dialog, or asks for what is not there; both fail.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/trees/FeatureServer";

await scenarios({
  "nothing of names and values runs": async (visit) => {
    const paths = [
      "/arcgis/rest/services",
      SERVICE,
      `${SERVICE}/layers`,
      `${SERVICE}/0`,
      `${SERVICE}/0/query?where=1%3D1&outFields=*`,
      `${SERVICE}/0/1`,
      `${SERVICE}/1`,
      `${SERVICE}/createReplica`,
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
