// Rows: asked for by a form, shown as a table and on a map, with and without a mouse, with and without scripts.

import { assert, scenarios } from "./harness.mjs";

const LAYER = "/arcgis/rest/services/trees/FeatureServer/0";
const mapReady = (visit) => visit.until(() => document.querySelector(".map[data-ready]"));

await scenarios({
  "records are a table and a map, and a choice in one is one in the other": async (visit) => {
    await visit.open(`${LAYER}/query`);
    await visit.fill({ where: "objectid <= 12", outFields: "*" });
    await visit.follow("Query (GET)");
    await mapReady(visit);
    assert.match(await visit.text(), /# records: 12/);
    const drawn = await visit.page.$$(".map .leaflet-overlay-pane path");
    assert.equal(drawn.length, 12);
    await drawn[3].evaluate((one) => one.dispatchEvent(new MouseEvent("click", { bubbles: true })));
    await visit.until(() => document.querySelector("tr.chosen"));
    await drawn[3].evaluate((one) => one.dispatchEvent(new MouseEvent("mouseover", { bubbles: true })));
    const [wide, high] = await visit.page.$eval(".leaflet-tooltip", (one) => [one.offsetWidth, one.offsetHeight]);
    assert.ok(wide > high, `the name of a feature is read from left to right: ${wide} by ${high}`);
    await visit.page.click('tr[data-id="9"] td:nth-child(3)');
    assert.deepEqual(await visit.page.$$eval("tr.chosen", (rows) => rows.map((row) => row.dataset.id)), ["9"]);
    assert.equal(await visit.page.$$eval(".map path.chosen", (all) => all.length), 1);
    await visit.accessible();
    await visit.picture("query result");
    await visit.show({ phone: true, dark: true });
    await visit.fits();
    await visit.accessible();
    await visit.picture("query result phone dark");
    await visit.show({ phone: false });
    await visit.follow("9");
    assert.equal(await visit.text("h1"), "Feature 9: Oaks (ID: 0)");
    await mapReady(visit);
    assert.match(await visit.text("#feature"), /planted:\s*2025-12-23 12:00:00 UTC \(1766491200000\)/);
    await visit.picture("feature");
  },

  "null, empty, long and dates can be told apart": async (visit) => {
    await visit.open(`${LAYER}/query?where=objectid+in+(1,2,3,4)&outFields=remark,planted`);
    assert.deepEqual(
      (await visit.texts("#records tbody tr td:nth-child(2)")).map((text) => text.slice(0, 12)),
      ["null", "A remark tha", "fine", "empty"],
    );
    const long = await visit.page.$("#records details");
    const height = () => long.evaluate((one) => one.clientHeight);
    const folded = await height();
    await long.$eval("summary", (one) => one.click());
    assert.ok((await height()) > folded, "all of a long text is there");
  },

  "the same answer is there for programs": async (visit) => {
    await visit.open(`${LAYER}/query?where=${encodeURIComponent("species <> 'a&b=\"c\"'")}&outFields=species&resultRecordCount=3&token=`);
    const links = await visit.page.$$eval("p.note a", (all) => all.map((one) => [one.innerText, one.href]));
    assert.deepEqual(links.map(([name]) => name), ["JSON", "GeoJSON", "Protocol buffers"]);
    for (const [name, address] of links) {
      assert.doesNotMatch(address, /token/);
      const response = await fetch(address);
      const type = { JSON: "application/json", GeoJSON: "application/geo+json", "Protocol buffers": "application/x-protobuf" }[name];
      assert.ok(response.headers.get("content-type").startsWith(type), `${name}: ${response.headers.get("content-type")}`);
      if (name !== "Protocol buffers") {
        assert.equal((await response.json()).features.length, 3);
      }
    }
    await visit.open(`${LAYER}/query?where=1%3D1&returnCountOnly=true`);
    assert.deepEqual(await visit.texts("p.note a"), ["JSON", "Protocol buffers"]);
  },

  "a map of the past shows what was there": async (visit) => {
    const features = JSON.stringify([{ attributes: { species: "gone" }, geometry: { x: 13.2, y: 52.2 } }]);
    const { objectId } = (await visit.ask(`${LAYER}/addFeatures`, { features })).addResults[0];
    const moment = Date.now();
    while (Date.now() <= moment) {
      await visit.ask(LAYER);
    }
    await visit.ask(`${LAYER}/deleteFeatures`, { objectIds: objectId });
    await visit.open(`${LAYER}/query?objectIds=${objectId}&historicMoment=${moment}`);
    assert.match(await visit.text(), /# records: 1/);
    await mapReady(visit);
    assert.equal((await visit.page.$$(".map .leaflet-overlay-pane path")).length, 1, "also on the map, where it is no more");
  },

  "pages of records follow each other": async (visit) => {
    await visit.open(`${LAYER}/query?where=1%3D1&orderByFields=objectid&resultRecordCount=25`);
    const first = () => visit.page.$eval("#records tr[data-id]", (row) => row.dataset.id);
    assert.equal(await first(), "1");
    await visit.follow("Next records");
    assert.equal(await first(), "26");
    await visit.follow("Next records");
    assert.equal(await first(), "51");
    assert.doesNotMatch(await visit.text(), /Next records/);
    await visit.follow("Previous records");
    assert.equal(await first(), "26");
  },

  "an area is drawn on a map": async (visit) => {
    await visit.open(`${LAYER}/query`);
    await visit.page.click("details.draw summary");
    await visit.until(() => document.querySelector("[data-draw][data-ready]"));
    await visit.page.$eval("[data-draw]", (map) => map.scrollIntoView({ block: "center" }));
    await visit.page.evaluate(() => [...document.querySelectorAll("button")].find((one) => one.innerText === "Draw a box").click());
    const box = await (await visit.page.$("[data-draw]")).boundingBox();
    const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
    await visit.page.mouse.move(...at(0.5, 0.05));
    await visit.page.mouse.down();
    await visit.page.mouse.move(...at(0.7, 0.5), { steps: 4 });
    await visit.page.mouse.move(...at(0.95, 0.95), { steps: 4 });
    await visit.page.mouse.up();
    const drawn = await visit.page.$eval("#geometry", (one) => one.value.split(",").map(Number));
    assert.ok(drawn.length === 4 && drawn[0] < drawn[2] && drawn[1] < drawn[3] && drawn[0] > 12 && drawn[2] < 15, drawn.join());
    assert.equal(await visit.page.$eval("#inSR", (one) => one.value), "4326");
    await visit.picture("drawn");
    await visit.follow("Query (GET)");
    const count = Number((await visit.text()).match(/# records: (\d+)/)[1]);
    assert.ok(count > 0 && count < 60, `${count} of 60 oaks are in the box`);
  },

  "a query goes by keyboard alone": async (visit) => {
    await visit.open(`${LAYER}/query`);
    const focused = () => visit.page.evaluate(() => document.activeElement.id || document.activeElement.innerText || document.activeElement.tagName);
    const seen = [];
    for (let step = 0; step < 60 && (await focused()) !== "where"; step += 1) {
      await visit.page.keyboard.press("Tab");
      seen.push(await focused());
      const outline = await visit.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, "none", `nobody sees that ${seen.at(-1)} has the focus`);
    }
    assert.equal(seen.at(-1), "where");
    await visit.page.keyboard.type("objectid < 4");
    await Promise.all([visit.page.waitForNavigation(), visit.page.keyboard.press("Enter")]);
    assert.match(await visit.text(), /# records: 3/);
    await mapReady(visit);
    // The links of rows choose on the map what they lead to.
    await visit.page.focus('tr[data-id="2"] a');
    await visit.until(() => document.querySelector('tr.chosen[data-id="2"]'));
    await visit.page.focus(".map");
    await visit.page.keyboard.press("-");
  },

  "what the map shows is taken by keyboard": async (visit) => {
    await visit.open(`${LAYER}/query`);
    await visit.page.focus("details.draw summary");
    await visit.page.keyboard.press("Enter");
    await visit.until(() => document.querySelector("[data-draw][data-ready]"));
    const text = () => visit.page.evaluate(() => document.activeElement.innerText);
    for (let step = 0; step < 20 && (await text()) !== "Take what the map shows"; step += 1) {
      await visit.page.keyboard.press("Tab");
    }
    await visit.page.keyboard.press("Enter");
    assert.equal(await visit.page.$eval("#geometry", (one) => one.value.split(",").length), 4);
  },

  "without scripts, records and their pages are all there": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await visit.show({ phone: true });
    await visit.open(`${LAYER}/query?where=objectid+%3C+3&outFields=*`);
    await visit.fits();
    assert.match(await visit.text(), /# records: 2/);
    assert.match(await visit.text(".map"), /A browser that runs scripts shows a map here/);
    await visit.follow("2");
    await visit.follow("Edit");
    assert.match(await visit.page.$eval("#features", (one) => one.value), /"species": "Quercus 2"/);
    await visit.fits();
    await visit.follow("Update Features");
    assert.match(await visit.text(), /updateResults/);
  },

  "a page is readable on paper": async (visit) => {
    await visit.open(LAYER);
    await visit.show({ print: true });
    assert.equal(await visit.page.$eval(".map", (one) => getComputedStyle(one).display), "none");
    await visit.picture("print");
  },
});
