// A table of the database becomes a layer, by the console; it is looked at, taken offline by a form, and the replica is unregistered.

import { DESKTOP, assert, scenarios } from "./harness.mjs";
import { enter, press, says, signIn, tabTo } from "./people.mjs";

const PUBLISH = "/arcgis/console/publish";

await scenarios({
  "tables are found, with what publishing adds or why it is not possible": async (visit) => {
    await signIn(visit, "root", PUBLISH);
    await says(visit, "tbody", "parcel");
    const said = async (table) => visit.page.$eval(`tr[data-id="public.${table}"]`, (row) => row.innerText);
    assert.match(await said("parcel"), /geometry\(Polygon,25832\).*adds an integer key, global ids, a spatial index/s);
    assert.match(await said("parcel_view"), /not possible.*Only ordinary tables/s);
    assert.match(await said("parcel_year"), /not possible.*inherits/s);
    assert.equal(await visit.page.$('tr[data-id^="syncline."]'), null, "nothing of Syncline's own");
    assert.equal(await visit.page.$('tr[data-id="public.spatial_ref_sys"]'), null, "nothing of an extension");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
    await visit.accessible();
    await visit.picture("console publish");
    await visit.show({ dark: true });
    await visit.accessible();
    await visit.picture("console publish dark");
    await visit.show({ dark: false, phone: true });
    await visit.fits();
    await visit.picture("console publish phone");
    await visit.show({ phone: false });
    await visit.page.select("#choice-published", "true");
    await says(visit, "tbody", "trees, layer 0");
    await visit.page.type("#text", "no such table");
    await says(visit, ".empty", "No table is like that");
  },

  "a table with hostile names is published after a preview, and nothing runs": async (visit) => {
    const { table } = visit.facts;
    await signIn(visit, "root", `${PUBLISH}?text=alert`);
    await says(visit, "tbody", table);
    await press(visit, "Publish…");
    await says(visit, ".told-before", "no global id: column globalid was added");
    await visit.page.evaluate(() => document.querySelector("dialog[open] summary").click());
    await says(visit, ".told-before pre", "create trigger");
    await visit.page.$eval("#publish-service", (one) => { one.value = ""; });
    await visit.page.type("#publish-service", "a/b");
    await press(visit, "Publish");
    await says(visit, "dialog[open]", "cannot be the name of a service");
    await visit.page.$eval("#publish-service", (one) => { one.value = ""; });
    await visit.page.type("#publish-service", "hostile");
    await visit.page.type("#publish-name", visit.facts.hostile);
    await visit.page.click("#publish-attachments");
    await visit.page.select("#publish-anonymous", "view");
    await says(visit, ".told-before", "a table for the attachments");
    await visit.accessible();
    await visit.picture("console publish dialog");
    // Narrow only: as a phone, the browser would load the page anew.
    await visit.page.setViewport({ width: 360, height: 740 });
    await visit.fits();
    await visit.picture("console publish dialog phone");
    await visit.page.setViewport(DESKTOP);
    await press(visit, "Publish");
    await says(visit, ".done", "is published as layer 0 of hostile");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
    await visit.picture("console published");
    const layer = await visit.ask("/arcgis/rest/services/hostile/FeatureServer/0");
    assert.equal(layer.name, visit.facts.hostile, "everybody may view it");
    assert.equal(layer.hasAttachments, true);
    await visit.follow("layer 0 of hostile");
    assert.equal(await visit.text("h1"), `Layer: ${visit.facts.hostile} (ID: 0)`);
  },

  "what cannot be published is said before anything is done": async (visit) => {
    await signIn(visit, "root", `${PUBLISH}?text=vague`);
    await says(visit, "tbody", "vague");
    await press(visit, "Publish…");
    await says(visit, ".told-before .error", "declares no type");
    await press(visit, "Publish");
    await says(visit, "dialog > div > .error", "declares no type");
    await visit.picture("console publish refused");
    await press(visit, "Cancel");
    await visit.until(() => !document.querySelector("dialog"));
  },

  "a layer is unpublished when somebody has seen what is lost, and said that it may be": async (visit) => {
    const { page } = visit;
    await signIn(visit, "root", `${PUBLISH}?published=true&text=oak`);
    await says(visit, "tbody", "trees, layer 0");
    await press(visit, "Unpublish…");
    await says(visit, "dialog[open]", "2 replicas are unregistered");
    await says(visit, "dialog[open]", "<b>Crew</b> 1 of nobody who signed in: 2 changes");
    await says(visit, "dialog[open]", "The table public.oak and its rows");
    assert.equal(await page.$("dialog b, dialog script"), null);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel", "Enter does no harm");
    await visit.accessible();
    await visit.picture("console unpublish dialog");
    await page.setViewport({ width: 360, height: 740 });
    await visit.fits();
    await visit.picture("console unpublish dialog phone");
    await page.setViewport(DESKTOP);
    await press(visit, "Unpublish");
    assert.notEqual(await page.$("dialog[open]"), null, "it must be said that it may be lost");
    await press(visit, "Cancel");
    await visit.until(() => !document.querySelector("dialog"));
    assert.equal((await visit.text("tbody")).includes("trees, layer 0"), true, "nothing was done");
    await press(visit, "Unpublish…");
    await says(visit, "dialog[open]", "2 replicas are unregistered");
    await page.click("#unpublish-force");
    await press(visit, "Unpublish");
    await says(visit, ".done", "public.oak is no longer published; its rows stay as they are. 2 replicas were unregistered.");
    await says(visit, ".empty", "No table is like that");
    await page.select("#choice-published", "false");
    await says(visit, "tbody", "oak");
    await press(visit, "Publish…");
    await says(visit, ".told-before", "Nothing is missing in the table");
    await visit.picture("console unpublished");
  },

  "with the keyboard alone: sign in, publish, browse, take a replica, unregister it, sign out": async (visit) => {
    const { page } = visit;
    await page.goto(`${visit.base}/arcgis/console`, { waitUntil: "load" });
    await page.waitForSelector("#key");
    await enter(visit, "Sign in");
    await tabTo(visit, "username");
    await page.keyboard.type("root");
    await tabTo(visit, "password");
    await page.keyboard.type(visit.facts.password);
    await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")]);
    await says(visit, "main", "Who is behind");
    await enter(visit, "Publish");
    await says(visit, "tbody", "parcel");
    await enter(visit, "Publish public.parcel", { page: false });
    await says(visit, ".told-before", "no integer key");
    assert.equal(await page.evaluate(() => document.activeElement.name), "service");
    await page.keyboard.down("Control");
    await page.keyboard.press("a");
    await page.keyboard.up("Control");
    await page.keyboard.type("cadastre");
    await page.keyboard.press("Enter");
    await says(visit, ".done", "is published as layer 0 of cadastre");
    await enter(visit, "layer 0 of cadastre");
    assert.equal(await visit.text("h1"), "Layer: parcel (ID: 0)");
    await enter(visit, "cadastre (FeatureServer)");
    await enter(visit, "Create Replica");
    await tabTo(visit, "replicaName");
    await page.keyboard.type("by hand");
    await tabTo(visit, "parcel (0)");
    await page.keyboard.press("Space");
    if (!(await page.evaluate(() => document.activeElement.checked))) {
      await page.keyboard.press("Space");
    }
    await enter(visit, "Create Replica");
    assert.equal(await visit.error(), null);
    await enter(visit, "Replica");
    assert.match(await visit.text(), /by hand/);
    await enter(visit, "Unregister Replica");
    await enter(visit, "Unregister Replica");
    assert.match(await visit.text(), /success:\s*true/);
    await enter(visit, "Logout");
    assert.match(await visit.text(".account"), /Login/);
  },
});
