// Maps in pages.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/natural-earth/FeatureServer";
const drawn = (visit) => visit.page.$$eval(".map .leaflet-overlay-pane path", (all) => all.length);

await scenarios({
  "a layer of points is on its map": async (visit) => {
    await visit.open(`${SERVICE}/0`);
    await visit.until(() => document.querySelector(".map[data-ready]"));
    assert.equal(await drawn(visit), 243);
    await visit.until(() => document.querySelector(".map .land"));
    await visit.accessible();
    await visit.picture("map points");
  },

  "a layer of polygons is on its map, in the dark": async (visit) => {
    await visit.show({ dark: true });
    await visit.open(`${SERVICE}/1`);
    await visit.until(() => document.querySelector(".map[data-ready]"));
    assert.equal(await drawn(visit), 177);
    await visit.accessible();
    await visit.picture("map polygons dark");
  },

  "a large layer says that there is more, until somebody zooms in": async (visit) => {
    await visit.open(`${SERVICE}/2`);
    await visit.until(() => document.querySelector(".map-note")?.innerText === "1000 of 4500 features are shown. Zoom in for the others.");
    await visit.page.focus(".map");
    for (let step = 0; step < 8 && (await visit.text(".map-note")) !== ""; step += 1) {
      await visit.page.keyboard.press("+");
      await visit.page.waitForNetworkIdle({ idleTime: 400 });
    }
    assert.equal(await visit.text(".map-note"), "", "close enough, all features in view are shown");
    assert.ok((await drawn(visit)) > 0);
  },

  "a feature is picked on the map, and leads to its page": async (visit) => {
    await visit.show({ phone: true });
    await visit.open(`${SERVICE}/1`);
    await visit.until(() => document.querySelector(".map[data-ready]"));
    await visit.fits();
    const path = await visit.page.$(".map .leaflet-overlay-pane path");
    await path.evaluate((one) => one.dispatchEvent(new MouseEvent("click", { bubbles: true })));
    await visit.until(() => document.querySelector(".leaflet-popup a"));
    await visit.picture("map phone");
    assert.match(await visit.page.$eval(".leaflet-popup a", (one) => one.href), /FeatureServer\/1\/\d+$/);
  },
});
