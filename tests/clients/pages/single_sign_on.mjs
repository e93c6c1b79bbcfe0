// Signing in with an identity provider that others wrote, and out again, here and there.

import { assert, scenarios } from "./harness.mjs";

const SERVICE = "/arcgis/rest/services/trees/FeatureServer";

await scenarios({
  "somebody is led to the provider and back to where they wanted to go, and signs out of both": async (visit) => {
    const { provider } = visit.facts;
    // The provider's pages are not ours, and what they complain of is its own business.
    visit.expect(new RegExp(provider.replaceAll(".", "\\.")));
    visit.expect(/cdn\.jsdelivr\.net/);
    await visit.open(SERVICE);
    assert.equal(await visit.text("h1"), "Login");
    await visit.accessible();
    await visit.picture("login with a provider");
    await visit.follow("Sign in with Town <Hall>");
    assert.ok(visit.page.url().startsWith(provider), visit.page.url());
    await visit.fill({ sub: "u-1" });
    await visit.follow("Authorize");
    assert.equal(new URL(visit.page.url()).pathname, SERVICE, "the address has no code in it");
    assert.match(await visit.text(".account"), /carla/);
    // Roles came with the groups: an editor may add.
    await visit.open(`${SERVICE}/0/addFeatures`);
    await visit.fill({ features: '[{"attributes":{"species":"ash"}}]' });
    await visit.follow("Add Features", { within: "main" });
    assert.equal(await visit.error(), null);
    await visit.follow("Logout");
    assert.match(await visit.text("main"), /You are signed out of this server/);
    await visit.accessible();
    await visit.picture("signed out");
    await visit.follow("Sign out of Town <Hall>, too");
    assert.ok(visit.page.url().startsWith(provider), visit.page.url());
    await visit.follow("End session");
    assert.equal(new URL(visit.page.url()).pathname, "/arcgis/login");
    await visit.open(SERVICE);
    assert.equal(await visit.text("h1"), "Login");
    // Who says no at the provider is told so here.
    await visit.follow("Sign in with Town <Hall>");
    await visit.follow("Deny");
    assert.equal(await visit.text("h1"), "Login");
    assert.match(await visit.error(), /did not let you in/);
  },
});
