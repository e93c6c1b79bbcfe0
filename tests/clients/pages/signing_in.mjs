// Signing in to a server on which nobody may do anything without it, and out again.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/trees/FeatureServer";

await scenarios({
  "somebody signs in, looks at a map, edits by a form, follows a link to JSON, and signs out": async (visit) => {
    const { user, password } = visit.facts;
    await visit.open(`${SERVICE}/0`);
    assert.equal(await visit.text("h1"), "Login", "whoever is nobody is asked to sign in");
    await visit.accessible();
    await visit.picture("login");
    await visit.fill({ username: user, password: "no idea" });
    await visit.follow("Login", { within: "main" });
    assert.equal(await visit.text("h1"), "Login");
    assert.notEqual(await visit.error(), null);
    await visit.picture("login refused");
    await visit.fill({ username: user, password });
    await visit.follow("Login", { within: "main" });
    assert.equal(await visit.text("h1"), "Layer: oak (ID: 0)", "signing in leads to where somebody wanted to go");
    assert.match(await visit.text(".account"), /ann/);
    await visit.until(() => document.querySelector(".map[data-ready]"));
    await visit.accessible();
    await visit.follow("JSON");
    assert.match(await visit.page.evaluate(() => document.body.innerText), /"displayField"/);
    await visit.open(`${SERVICE}/0/addFeatures`);
    await visit.fill({ features: '[{"attributes":{"species":"ash"}}]' });
    await visit.follow("Add Features", { within: "main" });
    assert.equal(await visit.error(), null);
    await visit.show({ phone: true, dark: true });
    await visit.open("/arcgis/tokens/generateToken");
    await visit.fits();
    await visit.accessible();
    await visit.picture("token phone dark");
    await visit.follow("Logout");
    await visit.open(SERVICE);
    assert.equal(await visit.text("h1"), "Login");
    await visit.fits();
  },
});
