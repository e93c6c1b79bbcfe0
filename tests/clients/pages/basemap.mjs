// Tiles under maps, from where the settings say.

import { assert, scenarios } from "./harness.mjs";

const TILE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");

await scenarios({
  "a map asks the tile server, and nobody else": async (visit) => {
    visit.expect(/request to another host: https:\/\/tiles\.example\.org\/\d+\/\d+\/\d+\.png$/);
    await visit.page.setRequestInterception(true);
    let tiles = 0;
    visit.page.on("request", (request) => {
      if (request.url().startsWith("https://tiles.example.org/")) {
        tiles += 1;
        return request.respond({ contentType: "image/png", body: TILE });
      }
      return request.continue();
    });
    const response = await visit.open("/arcgis/rest/services/trees/FeatureServer/0");
    assert.match(response.headers()["content-security-policy"], /img-src 'self' https:\/\/tiles\.example\.org data:;/);
    await visit.until(() => document.querySelector(".map[data-ready] img.leaflet-tile-loaded"));
    assert.ok(tiles > 0);
    assert.match(await visit.text(".leaflet-control-attribution"), /<b>Somebody<\/b>/, "an attribution is text");
  },
});
