// The console where there are many replicas.

import { assert, scenarios } from "./harness.mjs";

await scenarios({
  "five thousand replicas are quick to look through": async (visit) => {
    await visit.page.goto(`${visit.base}/arcgis/console/replicas?orderByFields=changesBehind%20DESC`, { waitUntil: "load" });
    await visit.page.waitForSelector("#key");
    await visit.page.type("#key", "a-token-of-an-administrator");
    await visit.page.keyboard.press("Enter");
    await visit.page.waitForFunction(() => document.querySelectorAll("table.replicas tbody tr").length === 100);
    assert.match(await visit.text("p.note"), /5\u2009000 replicas, 1 to 100 shown/);
    await visit.page.type("#text", "Crew 4999");
    await visit.page.waitForFunction(() => document.querySelectorAll("table.replicas tbody tr").length === 1);
    assert.deepEqual(await visit.texts("table.replicas tbody th a"), ["Crew 4999"]);
    await visit.page.$eval("#text", (one) => { one.value = ""; one.dispatchEvent(new Event("input")); });
    await visit.page.waitForFunction(() => document.querySelectorAll("table.replicas tbody tr").length === 100);
    await visit.page.click('thead input[type="checkbox"]');
    await visit.page.evaluate(() => [...document.querySelectorAll(".selection button")].find((one) => one.innerText.startsWith("Select all")).click());
    await visit.page.waitForFunction(() => document.querySelector(".selection").innerText.includes("1\u2009000 replicas selected"));
    await visit.page.goto(`${visit.base}/arcgis/console`, { waitUntil: "load" });
    await visit.page.waitForSelector("svg.lag circle");
    await visit.picture("console many");
  },
});
