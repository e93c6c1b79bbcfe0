// What all pages have: the frame, the two themes, the width of a phone.

import { assert, scenarios } from "./harness.mjs";

const LAYER = "/arcgis/rest/services/natural-earth/FeatureServer/0";

await scenarios({
  "the way leads back to the catalogue": async (visit) => {
    await visit.open(`${LAYER}/query`);
    assert.deepEqual(await visit.texts(".way li"), ["Home", "services", "natural-earth (FeatureServer)", "Cities (0)", "query"]);
    await visit.follow("Cities (0)");
    assert.equal(await visit.text("h1"), "Layer: Cities (ID: 0)");
    await visit.follow("services");
    assert.match(await visit.text(), /natural-earth \(FeatureServer\)/);
  },

  "files of pages are kept by the browser": async (visit) => {
    await visit.open(LAYER);
    const files = await visit.page.$$eval("link[href], script[src]", (all) => all.map((one) => one.href || one.src));
    assert.ok(files.length >= 3);
    for (const file of files) {
      const response = await fetch(file);
      assert.equal(response.headers.get("cache-control"), "public, max-age=31536000, immutable", file);
      const tag = response.headers.get("etag");
      assert.equal((await fetch(file, { headers: { "If-None-Match": tag } })).status, 304, file);
    }
  },

  "colours follow the system until somebody chooses": async (visit) => {
    const ground = () => visit.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await visit.show({ dark: false });
    await visit.open(LAYER);
    const light = await ground();
    await visit.accessible();
    await visit.picture("frame light");
    await visit.show({ dark: true });
    const dark = await ground();
    assert.notEqual(dark, light);
    await visit.accessible();
    await visit.picture("frame dark");
    await visit.page.click("button.theme");
    assert.equal(await ground(), light);
    await visit.open("/arcgis/rest/services");
    assert.equal(await ground(), light, "the choice holds on the next page");
    assert.equal(await visit.text("button.theme"), "Dark");
  },

  "a page fits a phone, also without scripts": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await visit.show({ phone: true });
    await visit.open(LAYER);
    await visit.fits();
    await visit.picture("frame phone");
  },

  "the first stop of the keyboard leads past the frame": async (visit) => {
    await visit.open(LAYER);
    await visit.page.keyboard.press("Tab");
    assert.equal(await visit.page.evaluate(() => document.activeElement.innerText), "Skip to the content");
    await visit.page.keyboard.press("Enter");
    await visit.until(() => document.activeElement.id === "content");
  },
});
