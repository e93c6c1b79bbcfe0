// The console for administrators: who has what, how far behind, what happened to an edit, and how it is put right.

import { DESKTOP, assert, scenarios } from "./harness.mjs";

const TOKEN = "a-token-of-an-administrator";

/** Opens a page of the console as an administrator. */
async function enter(visit, path = "") {
  await visit.page.goto(`${visit.base}/arcgis/console${path}`, { waitUntil: "load" });
  await visit.page.waitForSelector("#key");
  await visit.page.type("#key", TOKEN);
  await visit.page.keyboard.press("Enter");
  await visit.page.waitForFunction(() => !document.querySelector("#key") && !document.querySelector("#console[aria-busy]"));
}

/** Presses the button with a text, in the open dialog if there is one. */
async function press(visit, text) {
  const found = await visit.page.waitForFunction(
    (text) => [...(document.querySelector("dialog[open]") ?? document).querySelectorAll("button")].find((one) => one.innerText.trim().startsWith(text) && !one.disabled),
    {},
    text,
  );
  await found.evaluate((one) => one.click());
}

/** Waits until an element has a text. */
async function says(visit, selector, text) {
  await visit.page.waitForFunction((selector, text) => [...document.querySelectorAll(selector)].some((one) => one.innerText.includes(text)), {}, selector, text);
}

const rows = (visit) => visit.texts("table.replicas tbody th a");

async function listed(visit, names) {
  await visit.page.waitForFunction(
    (names) => JSON.stringify([...document.querySelectorAll("table.replicas tbody th a")].map((one) => one.innerText.trim())) === names,
    {},
    JSON.stringify(names),
  );
}

await scenarios({
  "only an administrator is let in": async (visit) => {
    await visit.page.goto(`${visit.base}/arcgis/console/replicas`, { waitUntil: "load" });
    await visit.page.waitForSelector("#key");
    assert.doesNotMatch(await visit.text(), /Crew/);
    await visit.page.type("#key", "somebody-else-altogether");
    await visit.page.keyboard.press("Enter");
    await says(visit, ".error", "Error 498");
    await visit.page.type("#key", TOKEN);
    await visit.page.keyboard.press("Enter");
    await says(visit, "table.replicas", "Crew North");
    await visit.page.reload();
    await says(visit, "table.replicas", "Crew North");
  },

  "the overview says whether all is well, and who is behind": async (visit) => {
    await enter(visit);
    assert.match(await visit.text('[data-check="books"]'), /open conflicts: 1\b/i);
    assert.match(await visit.text('[data-check="tracking"]'), /Every change of 2 layers is recorded/);
    assert.match(await visit.text(`[data-service="trees"]`), /Furthest behind: /);
    assert.match(await visit.page.$eval("svg.lag", (one) => one.getAttribute("aria-label")), /holds the history/);
    await visit.accessible();
    await visit.picture("console overview");
    await visit.show({ dark: true });
    await visit.accessible();
    await visit.picture("console overview dark");
    await visit.show({ phone: true, dark: false });
    await visit.fits();
    await visit.picture("console overview phone");
  },

  "replicas are searched, ordered, and found again by the address": async (visit) => {
    await enter(visit, "/replicas?orderByFields=replicaName");
    await visit.page.type("#text", "crew");
    await listed(visit, ["Crew East", "Crew North", "Crew South"]);
    await visit.page.focus('[data-column="replicaName"]');
    await visit.page.keyboard.press("Enter");
    await listed(visit, ["Crew South", "Crew North", "Crew East"]);
    assert.equal(await visit.page.$eval("th[aria-sort]", (one) => one.getAttribute("aria-sort")), "descending");
    assert.equal(await visit.page.evaluate(() => document.activeElement.dataset.column), "replicaName", "the keyboard stays where it was");
    const address = visit.page.url();
    await visit.page.select("#choice-state", "expired");
    await says(visit, ".empty", "No replica is like that");
    await visit.page.goto(address, { waitUntil: "load" });
    await listed(visit, ["Crew South", "Crew North", "Crew East"]);
    await press(visit, "Show map");
    await visit.page.waitForSelector(".console-map path.mark");
    await visit.accessible();
    await visit.picture("console replicas");
    await visit.show({ phone: true });
    await visit.fits();
    await visit.picture("console replicas phone");
  },

  "several replicas are unregistered with the keyboard, after a preview": async (visit) => {
    await enter(visit, "/replicas?text=spare&orderByFields=replicaName");
    await listed(visit, ["Spare 1", "Spare 2", "Spare 3"]);
    for (const name of ["Spare 1", "Spare 2"]) {
      await visit.page.focus(`input[aria-label="Select ${name}"]`);
      await visit.page.keyboard.press("Space");
    }
    await says(visit, ".selection", "2 replicas selected");
    await press(visit, "Unregister…");
    await says(visit, "dialog", "has to take a new replica");
    await visit.picture("console unregister");
    assert.equal(await visit.page.evaluate(() => document.activeElement.innerText), "Cancel", "Enter alone destroys nothing");
    await visit.page.keyboard.press("Enter");
    await visit.page.waitForFunction(() => !document.querySelector("dialog"));
    await listed(visit, ["Spare 1", "Spare 2", "Spare 3"]);
    await press(visit, "Unregister…");
    await says(visit, "dialog", "Unregister 2 replicas?");
    await visit.page.keyboard.down("Shift");
    await visit.page.keyboard.press("Tab");
    await visit.page.keyboard.up("Shift");
    await visit.page.keyboard.press("Enter");
    await says(visit, ".done", "2 replicas were unregistered");
    await listed(visit, ["Spare 3"]);
  },

  "a replica can be kept from expiring": async (visit) => {
    await enter(visit, "/replicas?text=north");
    await visit.page.waitForSelector("table.replicas tbody a");
    await visit.follow("Crew North", { within: "table" });
    await says(visit, "dl", "Expires");
    await press(visit, "Expiry…");
    await says(visit, "dialog", "Never expire");
    await press(visit, "Set");
    await says(visit, ".done", "was set");
    await says(visit, "dd", "never (own rule)");
  },

  "a replica has its timeline, and an upload is undone": async (visit) => {
    await enter(visit, `/replicas/${visit.facts.north}`);
    await says(visit, "#timeline", "request refused");
    assert.match(await visit.page.$eval("svg.timeline", (one) => one.getAttribute("aria-label")), /1 answered with an error/);
    assert.ok(await visit.page.$("svg.timeline .cross"));
    await visit.accessible();
    await visit.picture("console replica");
    const before = await visit.ask("/arcgis/rest/services/trees/FeatureServer/0/query", { where: "girth = 77", returnCountOnly: true });
    assert.equal(before.count, 1);
    await visit.page.waitForSelector(`tr[data-number="${visit.facts.upload}"] button`);
    await visit.page.click(`tr[data-number="${visit.facts.upload}"] button`);
    await says(visit, "dialog", "1 applied");
    await press(visit, "Undo this upload…");
    await visit.page.waitForFunction(() => [...document.querySelectorAll("dialog h2")].some((one) => one.innerText.startsWith("Undo upload")));
    await visit.picture("console undo");
    const dialogs = await visit.page.$$("dialog[open]");
    const go = await dialogs.at(-1).$("button.destroy");
    await go.evaluate((one) => one.click());
    await says(visit, ".done", "1 feature was put back");
    const after = await visit.ask("/arcgis/rest/services/trees/FeatureServer/0/query", { where: "girth = 77", returnCountOnly: true });
    assert.equal(after.count, 0);
    await visit.page.type("#global-id", visit.facts.feature);
    await press(visit, "Explain");
    await says(visit, ".hint", "");
    await says(visit, "dt", "Its edits of it");
    await press(visit, "Compute checksums");
    await says(visit, "th", "Content");
    await visit.show({ dark: true });
    await visit.accessible();
    await visit.picture("console replica dark");
    await visit.show({ phone: true });
    await says(visit, "#timeline", "request refused");
    await visit.fits();
    assert.ok(!(await visit.text(`tr[data-number="${visit.facts.upload}"]`)).includes("Conflicts"), "a card has no labels without values");
    const wide = await visit.page.$$eval("#timeline .wide", (all) => all.map((one) => one.scrollWidth - one.clientWidth));
    assert.deepEqual(wide, [0], "nothing of the timeline is to be pushed sideways");
    await visit.picture("console replica phone dark");
    await visit.show({ dark: false });
    await visit.picture("console replica phone");
  },

  "what was overwritten is put back": async (visit) => {
    await enter(visit, "/conflicts");
    await says(visit, ".entry", "Theirs");
    assert.match(await visit.text("tr.differs"), /girth/);
    await visit.accessible();
    await visit.picture("console conflict");
    await visit.show({ dark: true });
    await visit.accessible();
    await visit.picture("console conflict dark");
    await visit.show({ dark: false, phone: true });
    await visit.page.waitForSelector(".entries button");
    await visit.page.click(".entries button");
    await says(visit, ".entry", "Theirs");
    await visit.fits();
    const [label, value] = await visit.page.$eval("tr.differs td", (one) => [one.dataset.label, one.innerText.trim()]);
    assert.deepEqual([label, value], ["Base", "5"], "each version is told by its name");
    await visit.picture("console conflict phone");
    await visit.show({ phone: false });
    await says(visit, ".entry", "Theirs");
    await press(visit, "Put back theirs…");
    await says(visit, "dialog", "every replica hears of the change");
    await press(visit, "Put back");
    await says(visit, ".done", "is back");
    await says(visit, ".empty", "No conflict is open");
    const found = await visit.ask("/arcgis/rest/services/trees/FeatureServer/0/query", { where: "girth = 500", returnCountOnly: true });
    assert.equal(found.count, 1);
  },

  "a refused edit is corrected and applied, and others are dismissed": async (visit) => {
    await enter(visit, "/rejected");
    await says(visit, ".entries", "is not a whole number");
    await visit.page.evaluate(() => [...document.querySelectorAll(".entries button")].find((one) => one.innerText.includes("is not a whole number")).click());
    await says(visit, ".entry .error", "is not a whole number");
    await press(visit, "Apply as sent");
    await says(visit, ".entry .error", "refused again");
    await press(visit, "Correct…");
    await visit.page.waitForSelector("#field-girth");
    assert.equal(await visit.page.$eval("#field-girth", (one) => one.value), "many");
    await visit.accessible();
    await visit.picture("console refused edit");
    // Narrow only: as a phone, the browser would load the page anew.
    await visit.page.setViewport({ width: 360, height: 740 });
    await visit.fits();
    await visit.picture("console refused edit phone");
    await visit.page.setViewport(DESKTOP);
    await visit.page.$eval("#field-girth", (one) => { one.value = ""; });
    await visit.page.type("#field-girth", "none at all");
    await press(visit, "Apply corrected");
    await says(visit, "form.correct .error", "is not a number");
    await visit.page.$eval("#field-girth", (one) => { one.value = ""; });
    await visit.page.type("#field-girth", "321");
    await press(visit, "Apply corrected");
    await says(visit, ".done", "The edit is applied");
    const found = await visit.ask("/arcgis/rest/services/trees/FeatureServer/0/query", { where: "girth = 321", returnCountOnly: true });
    assert.equal(found.count, 1);
    await visit.page.waitForSelector(".selection input");
    await visit.page.click(".selection input");
    await press(visit, "Dismiss…");
    await says(visit, "dialog", "They are closed");
    await press(visit, "Dismiss 2");
    await says(visit, ".done", "2 entries done");
    await says(visit, ".empty", "No refused edit is open");
    await visit.show({ phone: true });
    await visit.fits();
    await visit.picture("console no refused edits phone");
  },

  "hostile names and values run nothing": async (visit) => {
    await enter(visit, "/replicas?text=alert");
    await says(visit, "table.replicas", "<script>alert(1)</script>");
    assert.equal((await rows(visit)).length, 1);
    await press(visit, "Show map");
    await visit.page.waitForSelector(".console-map .leaflet-pane");
    await visit.page.click("table.replicas tbody a");
    await says(visit, "h1", "<script>alert(1)</script>");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
    await visit.page.goto(`${visit.base}/arcgis/console`, { waitUntil: "load" });
    await says(visit, "h2", "Who is behind");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
  },

  "settings and jobs are shown, secrets are not": async (visit) => {
    await enter(visit, "/settings");
    await says(visit, "table", "keep_history_days");
    const text = await visit.page.content();
    assert.ok(!text.includes(TOKEN));
    await visit.accessible();
    await visit.picture("console settings");
    await visit.page.type("#text", "history");
    await visit.until(() => !document.querySelector("#console").innerText.includes("max_body_bytes"));
    await says(visit, "table", "keep_history_days");
    await visit.page.select("#choice-which", "set");
    await says(visit, ".empty", "No setting is like that");
    await visit.show({ phone: true });
    await visit.fits();
    await visit.picture("console settings phone");
    await visit.show({ phone: false });
    await visit.page.goto(`${visit.base}/arcgis/console/jobs`, { waitUntil: "load" });
    await says(visit, ".empty", "No jobs");
    await visit.show({ phone: true });
    await visit.fits();
  },

  "without scripts, the page says where the same is": async (visit) => {
    await visit.page.setJavaScriptEnabled(false);
    await visit.page.goto(`${visit.base}/arcgis/console/replicas`, { waitUntil: "load" });
    assert.match(await visit.text("noscript"), /rejectedEdits/);
  },
});
